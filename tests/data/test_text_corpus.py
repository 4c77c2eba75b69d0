"""Texts: every character comes back, splits share nothing, what is no text is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasfound import data
from kerasfound.data import Split, text_corpus
from kerasfound.errors import UserError
from kerasfound.preprocessing.characters import encode


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_encoding_loses_nothing(text):
    characters = "".join(sorted(set(text)))
    assert "".join(characters[i] for i in encode(text, characters)) == text


@given(st.integers(2, 40), st.integers(1, 10), st.integers(1, 10))
def test_windows_are_pieces_of_the_text_with_the_next_characters(rows, length, stride):
    split = Split(np.arange(rows), np.arange(rows) + 1)
    if rows < length:
        with pytest.raises(UserError, match="too short"):
            text_corpus.windows(split, length, stride)
        return
    x, y = text_corpus.windows(split, length, stride)
    assert np.array_equal(y, x + 1)
    assert x[:, 0].tolist() == list(range(0, rows - length + 1, stride))
    assert np.array_equal(x, x[:, :1] + np.arange(length))


def test_the_standard_library_is_three_texts_in_a_row():
    found = data.load("stdlib")
    characters = found.schema.labels
    train = "".join(characters[i] for i in found.train.x[:2000])
    assert "import" in train
    assert np.array_equal(found.train.x[1:], found.train.y[:-1])
    sizes = [len(split.y) for split in (found.train, found.validation, found.test)]
    assert sizes[0] == pytest.approx(18 * sizes[1], rel=1e-3)
    assert sizes[1] == pytest.approx(sizes[2], abs=2)


def test_a_file_of_the_users_own(tmp_path):
    (tmp_path / "mine.txt").write_text("ab\n" * 1000, encoding="utf-8")
    found = data.load(str(tmp_path / "mine.txt"), task="text_generation")
    assert found.schema.labels == ("\n", "a", "b")
    assert found.train.x[:4].tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 characters"),
        (b"short", "5 characters, 5 different ones"),
        (b"a" * 5000, "1 different ones"),
        (b"abc" * 1000 + b"\xff\xfe", r"not UTF-8 text \(byte 3000\)"),
    ],
)
def test_what_is_no_text_to_learn_from_is_named(tmp_path, content, message):
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        data.load(str(path))


def test_shakespeare_is_whole(tfds_dir):
    found = data.load("tiny_shakespeare", tfds_dir)
    sizes = [len(split.y) + 1 for split in (found.train, found.validation, found.test)]
    assert sizes == [1_003_854, 55_770, 55_770]
    assert "".join(found.schema.labels[i] for i in found.train.x[:14]) == "First Citizen:"
