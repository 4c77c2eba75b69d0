"""Labelled texts: your own tables and folders, and the synthetic reviews."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasfound import data
from kerasfound.data import cache, labelled_texts, synthetic_reviews
from kerasfound.errors import UserError

ROWS = [f"{i},A {'fine' if i % 2 else 'poor'} story number {i}.,{'good' if i % 2 else 'bad'}" for i in range(40)]

HEAD = "id,review,stars"


def load(path, **columns):
    return data.load(str(path), task="text_classification", **columns)


def write_table(tmp_path, rows, head=HEAD):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_can_be_packed_and_unpacked_without_loss(texts):
    arrays = {"x": np.array(texts, cache.TEXT), "y": np.arange(3)}
    kept = cache.unpack_texts(cache.pack_texts(arrays))
    assert kept["x"].tolist() == texts
    assert kept["x"].dtype == cache.TEXT
    assert cache.sha256(kept) == cache.sha256(arrays)


def test_every_class_of_a_table_is_in_every_split(tmp_path):
    dataset = load(write_table(tmp_path, ROWS), text="review", target="stars")
    assert dataset.schema.labels == ("bad", "good")
    assert [len(s.y) for s in (dataset.train, dataset.validation, dataset.test)] == [28, 4, 8]
    for split in (dataset.train, dataset.validation, dataset.test):
        assert set(split.y) == {0, 1}
        assert all(("fine" in text) == bool(y) for text, y in zip(split.x, split.y, strict=True))
    all_texts = [text for s in (dataset.train, dataset.validation, dataset.test) for text in s.x]
    assert len(set(all_texts)) == 40


@pytest.mark.parametrize("head", ["text,label", "review,stars", "stars,review"])
def test_columns_are_chosen_by_name_or_because_there_are_only_two(tmp_path, head):
    first, second = head.split(",")
    cells = [{"text": f"a longer text {i}", "review": f"a longer text {i}"} | {"label": i % 2, "stars": i % 2}
             for i in range(20)]  # fmt: skip
    dataset = load(write_table(tmp_path, [f"{row[first]},{row[second]}" for row in cells], head))
    assert dataset.schema.target in ("label", "stars")
    assert dataset.schema.columns[0].name in ("text", "review")
    assert dataset.train.x[0].startswith("a longer text")


def test_rows_without_a_text_or_a_label_are_dropped_and_counted(tmp_path):
    dataset = load(
        write_table(tmp_path, [*ROWS, "40,,good", "41,A story.,", "42,  ,bad"]), text="review", target="stars"
    )
    assert "40 texts; 3 rows without a text or a label left out" in dataset.source


def test_a_folder_of_texts_for_each_class(tmp_path):
    for label in ("calm", "angry"):
        (tmp_path / label).mkdir()
        for i in range(10):
            (tmp_path / label / f"{i}.txt").write_text(f"{label} letter {i}\n", encoding="utf-8")
    dataset = load(tmp_path)
    assert dataset.schema.labels == ("angry", "calm")
    assert sorted(dataset.test.x) == sorted(
        f"{dataset.schema.labels[y]} letter {text.split()[-1]}"
        for text, y in zip(dataset.test.x, dataset.test.y, strict=True)
    )


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (
            [row + ",home" for row in ROWS],
            {"head": "id,review,stars,place"},
            "with `target`; the columns other than the texts in 'review' are stars, place",
        ),
        (ROWS, {"target": "star"}, "no column 'star'; did you mean 'stars'"),
        (ROWS, {"text": "revew", "target": "stars"}, "no column 'revew'; did you mean 'review'"),
        (ROWS[:6], {"target": "stars"}, "6 labelled texts; expected 10 or more"),
        ([row.replace("good", "bad") for row in ROWS], {"target": "stars"}, "every row has 'bad'"),
        (ROWS, {"target": "id"}, "40 classes in 40 rows; use `task` regression"),
        ([*ROWS, "1,2"], {"target": "stars"}, "row 41 of the data (line 42) has 2 cells for 3 columns"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_an_error(tmp_path, rows, columns, message):
    with pytest.raises(UserError, match=re.escape(message)):
        load(write_table(tmp_path, rows, columns.pop("head", HEAD)), **columns)


@pytest.mark.parametrize("word", ["None", "NA", "null", "n/a"])
def test_a_frequent_word_for_missing_is_a_class_and_a_text_of_it_is_a_text(tmp_path, word):
    rows = [*ROWS, *(f"{i},{word},{word}" for i in range(40, 60))]
    dataset = load(write_table(tmp_path, rows), text="review", target="stars")
    assert set(dataset.schema.labels) == {"bad", "good", word}
    assert word in set(dataset.train.x)
    (note,) = dataset.notes
    assert note == f"{word!r} is the target of 20 rows: it is a class; remove these rows if theirs is not known"


def test_texts_without_a_header_are_read_whole(tmp_path):
    path = tmp_path / "spam.tsv"
    quotes = ('"', "", "")
    path.write_text("".join(f"{'spam' if i % 5 else 'ham'}\t{quotes[i % 3]}Message {i}\n" for i in range(100)))
    dataset = load(path)
    assert (dataset.schema.columns[0].name, dataset.schema.target) == ("column_2", "column_1")
    assert sum(len(split.y) for split in (dataset.train, dataset.validation, dataset.test)) == 100


def test_one_text_is_no_table_of_texts(tmp_path):
    (tmp_path / "review.txt").write_text("Not a dull moment.\n")
    with pytest.raises(UserError, match="no table of labelled texts: 1 column, 0 rows; expected a table"):
        load(tmp_path / "review.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the text is empty"),
        (b" \n", "the text is empty"),
        (b"abc\xff", "not UTF-8 text (byte 3)"),
        (b"a" * (labelled_texts.MAX_BYTES + 1), "larger than 1,000,000 bytes"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_not_a_text_is_an_error_with_its_path(tmp_path, content, message):
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        labelled_texts.read_text(path)
    assert str(path) in str(raised.value)


def test_a_folder_without_classes_is_an_error(tmp_path):
    (tmp_path / "only").mkdir()
    with pytest.raises(UserError, match=r"two or more folders with \.txt files in them, found only with 0"):
        load(tmp_path)


def true_label(sentence):
    """The label by the rule of the grammar: the word of the film's predicate, inverted by a negation."""
    clause = next(part for part in re.split(r" , (?:although |and |but )?| \.|although |while ", sentence) if
                  part.startswith("the film"))  # fmt: skip
    good = any(word in clause.split() for word in synthetic_reviews.GOOD)
    negated = any(clause.find(form.split(" {}")[0]) >= 0 for form in synthetic_reviews.NEGATED)
    return int(good != negated)


@given(st.integers(0, 1000))
def test_the_best_possible_accuracy_on_synthetic_reviews_is_95_percent(seed):
    texts, labels = synthetic_reviews.sentences(200, np.random.default_rng(seed))
    assert sum(true_label(text) == y for text, y in zip(texts, labels, strict=True)) == 190


def test_single_words_of_synthetic_reviews_do_not_predict_the_label():
    dataset = data.load("grammar")
    words = [set(text.split()) for text in dataset.test.x]
    for word in (*synthetic_reviews.GOOD, *synthetic_reviews.BAD, "not", "never"):
        has = np.array([word in text for text in words])
        assert has.sum() > 50
        assert abs(dataset.test.y[has].mean() - 0.5) < 4 * 0.5 / np.sqrt(has.sum())  # four standard errors


def test_the_reviews_are_complete(tfds_dir):
    dataset = data.load("imdb_reviews", tfds_dir)
    assert [len(s.y) for s in (dataset.train, dataset.validation, dataset.test)] == [22_500, 2_500, 25_000]
    assert dataset.test.y.sum() == 12_500
