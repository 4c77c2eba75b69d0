"""The recipe for labelled texts: it learns, predicts for texts of the user, exports, and is reproducible."""

import json
import unicodedata

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

import kerasfound as kf
from kerasfound.data.labelled_texts import make_schema
from kerasfound.errors import UserError
from kerasfound.recipes import imdb_lstm
from kerasfound.recipes.components import ngram_svm
from kerasfound.recipes.components.logit_weights import logit_weights
from kerasfound.recipes.components.word_vectors import word_vectors
from kerasfound.serving.raw_inputs import find_raw_inputs
from kerasfound.training import user_inputs

pytestmark = pytest.mark.xdist_group("text recipe")  # one worker, so that its models are trained once
SMALL = {"epochs": 6, "width": 16, "units": 8, "batch_size": 10, "learning_rate": 1e-2, "dropout": 0.2}
WORDS = {"praise": ("fine", "lovely", "great"), "criticism": ("poor", "sad", "bad")}


def rows(count=240, seed=0):
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(count):
        label = ("criticism", "praise")[i % 2]
        filler = " ".join(rng.choice(["the", "story", "of", "a", "man", "and", "his", "dog"], rng.integers(3, 80)))
        lines.append(f'"{filler}, {rng.choice(WORDS[label])} {filler}",{label}')
    return "\n".join(["text,label", *lines]) + "\n"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "mine.csv"
    path.write_text(rows())
    return path


@pytest.fixture(scope="module", params=[0, pytest.param(2, marks=pytest.mark.slow)], ids=["lstm", "with n-grams"])
def run(request, table, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("runs") / "run")
    config = imdb_lstm.Config(data=str(table), out=out, ngrams=request.param, **SMALL)
    return kf.training.execute(imdb_lstm, config)


def test_it_learns_from_a_table_of_texts(run):
    assert run.results["test"]["accuracy"] > 0.9
    assert set(run.results["test"]) == {"accuracy", "cross_entropy", "auc", "pr_auc", "precision", "recall", "f1"}


def test_evaluation_reproduces_the_recorded_metrics(run):
    assert kf.training.evaluate(run) == pytest.approx(run.results["test"], abs=1e-4)


def test_predict_reads_texts_files_and_tables(run, tmp_path):
    (tmp_path / "a.txt").write_text("The story of a lovely dog.")
    (tmp_path / "new.csv").write_text('text,who\n"a sad, sad man",me\n"the great dog",you\n')
    predictions = kf.training.predict(run, [tmp_path / "a.txt", tmp_path / "new.csv"], ["a poor story"])
    assert [(prediction.input, prediction.label) for prediction in predictions] == [
        ("a poor story", "criticism"),
        (str(tmp_path / "a.txt"), "praise"),
        (f"{tmp_path}/new.csv:1", "criticism"),
        (f"{tmp_path}/new.csv:2", "praise"),
    ]
    assert sum(predictions[0].probabilities.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("content", "texts", "message"),
    [
        (None, [], "no text given"),
        (None, ["  "], "the text is empty"),
        ("text,who\n,me\n,you\n", [], "no texts"),
        ("words\nfine\n", [], "no column 'text'"),
        ("text\n", [], "no text"),
    ],
)
def test_an_error_names_the_invalid_text(run, tmp_path, content, texts, message):
    path = tmp_path / "new.csv"
    if content:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        kf.training.predict(run, [path] if content else [], texts)


def test_an_empty_text_of_a_table_or_folder_is_left_out_by_name(run, tmp_path, capsys):
    (tmp_path / "texts").mkdir()
    for name, text in {"a.txt": "a great dog", "b.txt": "", "c.csv": "text,who\nfine,me\n,you\nsad,me\n"}.items():
        (tmp_path / "texts" / name).write_text(text)
    predictions = kf.training.predict(run, [tmp_path / "texts"])
    assert [prediction.input.rpartition("/")[2] for prediction in predictions] == ["a.txt", "c.csv:1", "c.csv:3"]
    said = capsys.readouterr().err
    assert f"1 of 3 files cannot be read and are left out. {tmp_path}/texts/b.txt: the text is empty." in said
    assert f"left out: {tmp_path}/texts/c.csv:2." in said


def test_a_usual_name_above_texts_is_a_header_for_a_run_without_names(tmp_path, capsys):
    path = tmp_path / "new.csv"
    path.write_text("text\na sad man\na great dog\n")
    schema = make_schema(("a", "b"), "column_1", "column_2")
    assert user_inputs._texts_in(path, schema) == [(f"{path}:1", "a sad man"), (f"{path}:2", "a great dog")]
    assert "'text', is taken for the name of the column" in capsys.readouterr().err
    path.write_text("fine\na great dog\n")
    assert len(user_inputs._texts_in(path, schema)) == 2


def test_an_image_classifier_rejects_text(digits_run):
    with pytest.raises(UserError, match="`text` is for a text classifier"):
        kf.training.predict(digits_run, [], ["seven"])


def test_padding_does_not_change_a_prediction(run):
    model = run.load_model()
    ids = np.array([[3, 4, 5, 6]], "int32")
    padded = np.pad(ids, ((0, 0), (0, 9)))
    np.testing.assert_allclose(model.predict(ids, verbose=0), model.predict(padded, verbose=0), atol=1e-6)
    assert np.isfinite(model.predict(np.zeros((1, 5), "int32"), verbose=0)).all()


def test_the_report_shows_misclassified_texts(run):
    page = run.report_file.read_text()
    assert "The worst mistakes" in page
    assert {"curves", "confusion", "calibration", "length"} <= {path.stem for path in run.plots.iterdir()}


def test_the_log_ratios_of_ngrams_are_those_of_naive_bayes():
    occurs = csr_matrix(np.array([[1, 0], [1, 1], [0, 1]], "float32"))
    ratios = ngram_svm.log_ratios(occurs, np.array([0, 0, 1]), classes=2)
    # the first n-gram is in two texts of class 0, the second in one text of each class; each count starts at 1
    np.testing.assert_allclose(ratios[1], np.log([(1 / 3) / (3 / 5), (2 / 3) / (2 / 5)]), rtol=1e-6)
    np.testing.assert_allclose(ratios[0], -ratios[1], atol=1e-6)


def test_ngrams_of_a_single_text_are_left_out():
    ids = keras.Input((None,), dtype="int32")
    ngrams = keras.Model(ids, kf.layers.HashedNGrams(2, 2**31)(ids))
    occurs, known = ngram_svm.occurrences(ngrams, np.array([[2, 3, 4], [2, 3, 0], [5, 2, 0]], "int32"))
    assert occurs.toarray().sum(axis=1).tolist() == [3, 3, 1]  # of 2, 3 and "2 3"
    assert (np.diff(known) > 0).all()


def test_all_ngrams_are_known_if_no_texts_share_one():
    ids = keras.Input((None,), dtype="int32")
    ngrams = keras.Model(ids, kf.layers.HashedNGrams(1, 2**31)(ids))
    occurs, _ = ngram_svm.occurrences(ngrams, np.array([[2, 3], [4, 5]], "int32"))
    assert occurs.shape == (2, 4)


@pytest.mark.parametrize("evidence", ["log-ratio", "occurrence"])
def test_the_keras_svm_has_the_margins_of_scikit_learn(evidence):
    rng = np.random.default_rng(0)
    train = kf.data.Split(rng.integers(2, 9, (60, 6)).astype("int32"), np.arange(60) % 3)
    ids = keras.Input((None,), dtype="int32")
    margins = keras.Model(ids, ngram_svm.ngram_svm(ids, 3, train, 2, evidence, 0.5, seed=0)).predict(train.x, verbose=0)
    occurs, _ = ngram_svm.occurrences(keras.Model(ids, kf.layers.HashedNGrams(2, 2**31)(ids)), train.x)
    for c, ratio in enumerate(ngram_svm.log_ratios(occurs, train.y, 3)):
        x = normalize(occurs.multiply(ratio) if evidence == "log-ratio" else occurs)
        machine = LinearSVC(C=0.5, random_state=0).fit(x, train.y == c)
        np.testing.assert_allclose(margins[:, c], machine.decision_function(x), atol=1e-5)


def test_an_overconfident_or_random_model_gets_a_smaller_weight():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 1, 3))
    p = np.exp(logits[:, 0]) / np.exp(logits[:, 0]).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=row) for row in p])
    overconfident, random = 5 * logits, rng.normal(size=logits.shape)
    assert logit_weights(logits, y) == pytest.approx([1], abs=0.1)
    assert logit_weights(np.concatenate([overconfident, random], axis=1), y) == pytest.approx([0.2, 0], abs=0.05)


def test_the_weights_stay_nearly_equal_for_few_texts():
    assert logit_weights(np.array([[[0.0, 2.0], [0.0, 1.0]]]), np.array([1])) == pytest.approx([0.5, 0.5], abs=0.2)


def test_words_with_the_same_neighbours_have_similar_vectors():
    rng = np.random.default_rng(0)
    nouns, verbs = np.array([2, 3]), np.array([4, 5])  # every noun comes before every verb, and 6 after it
    ids = np.stack([rng.choice(nouns, 500), rng.choice(verbs, 500), np.full(500, 6), np.zeros(500, int)], axis=1)
    vectors = word_vectors(ids, vocabulary=9, width=4, seed=0)
    similarity = vectors @ vectors.T / 9  # each vector has the length 3
    assert vectors.shape == (9, 4)
    assert similarity[2, 3] > 0.9
    assert similarity[4, 5] > 0.9
    assert similarity[2, 4] < 0.8
    assert np.allclose(vectors[[0, 1, 7, 8]], 0, atol=1e-3)


def test_vectors_may_have_more_features_than_there_are_words():
    vectors = word_vectors(np.array([[2, 3, 2]]), vocabulary=4, width=16, seed=0)
    assert vectors.shape == (4, 16)
    assert np.isfinite(vectors).all()


def test_long_texts_are_trained_as_film_reviews():
    config = imdb_lstm.adapt(imdb_lstm.Config(), 30_000, np.full(22_500, 230))
    assert (config.epochs, config.batch_size, config.dropout, config.word_dropout) == (3, 50, 0.6, 0.2)
    assert (config.evidence, config.error_cost) == ("log-ratio", 2)


def test_short_texts_keep_all_words_and_few_texts_get_more_passes():
    few, many = (imdb_lstm.adapt(imdb_lstm.Config(), 500, np.full(rows, 20)) for rows in (350, 200_000))
    assert (few.epochs, few.batch_size, few.evidence) == (30, 8, "occurrence")
    assert (many.epochs, many.batch_size) == (3, 50)
    assert few.word_dropout == 0
    assert few.vocabulary == 500


def test_texts_with_few_different_words_are_trained_without_dropout():
    grammar, tweets = (imdb_lstm.adapt(imdb_lstm.Config(), words, np.full(6_000, 30)) for words in (130, 8_000))
    assert (grammar.dropout, grammar.epochs) == (0, 12)
    assert tweets.dropout == 0.6


def test_settings_of_the_user_are_kept():
    config = imdb_lstm.Config(dropout=0.0, epochs=1, batch_size=3, error_cost=9.0)
    adapted = imdb_lstm.adapt(config, 500, np.full(350, 20))
    assert (adapted.dropout, adapted.epochs, adapted.batch_size, adapted.error_cost) == (0.0, 1, 3, 9.0)


OPINIONS = {
    "Chinese": (
        "{}这部{}真的{}。",
        ("我觉得", "昨天看的", ""),
        ("电影", "小说", "连续剧"),
        ("很好看", "很精彩", "不无聊"),
        ("很难看", "很无聊", "不精彩"),
    ),
    "Thai": (
        "{}{}เรื่องนี้{}",
        ("ฉันว่า", "เมื่อวาน", ""),
        ("หนัง", "ละคร", "นิยาย"),
        ("สนุกมาก", "ดีจริง", "ไม่น่าเบื่อ"),
        ("น่าเบื่อมาก", "แย่จริง", "ไม่สนุก"),
    ),
}
"""For each language a sentence, its beginnings, its subjects, and its predicates of praise and of criticism."""


def opinions(language, count):
    """Rows of a text and its label. The same words are in both classes, with and without a negation."""
    sentence, *parts = OPINIONS[language]
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        beginning, subject, praise, criticism = (rng.choice(words) for words in parts)
        rows.append((sentence.format(beginning, subject, (criticism, praise)[i % 2]), ("critic", "fan")[i % 2]))
    return rows


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs are exported from the TensorFlow backend")
@pytest.mark.parametrize("language", OPINIONS)
def test_a_script_without_spaces_is_learned_exported_and_served(language, tmp_path):
    rows, data = opinions(language, 400), tmp_path / "opinions.csv"
    data.write_text("\n".join(map(",".join, [("text", "label"), *rows])) + "\n")
    config = imdb_lstm.Config(data=str(data), out=str(tmp_path / "run"), epochs=3, width=16, units=8, ngrams=3)
    run = kf.training.execute(imdb_lstm, config)
    assert run.results["test"]["accuracy"] > 0.95

    folder = kf.export.bundle(run, tmp_path / "models", name="opinions")
    texts = [text for text, _ in rows[:20]] + ["", "好", "\x00", unicodedata.normalize("NFD", rows[0][0])]
    expected = run.load_model().predict(kf.preprocessing.encode_texts(run.tokenizer, texts), verbose=0)
    served = find_raw_inputs(kf.bundle.manifest.read(folder / "manifest.json"), folder)
    ids = served["ids"].from_json(json.dumps(texts).encode())
    (from_onnx,) = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"ids": ids})
    (from_saved_model,) = tf.saved_model.load(folder).signatures["text"](text=tf.constant(texts)).values()
    np.testing.assert_allclose(from_onnx, expected, atol=1e-5)
    np.testing.assert_allclose(from_saved_model, expected, atol=1e-5)


@pytest.mark.parametrize("option", ["dropout", "word_dropout"])
def test_a_dropout_of_one_is_rejected(option):
    with pytest.raises(UserError, match=f"`{option}` must be below 1, got 1.0"):
        imdb_lstm.Config(**{option: 1.0})


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs are exported from the TensorFlow backend")
def test_it_is_exported_with_dynamic_batch_and_time_and_its_tokenizer(run, tmp_path):
    folder = kf.export.bundle(run, tmp_path, name="texts")
    manifest = kf.bundle.manifest.read(folder / "manifest.json")
    assert [x.shape for x in manifest.inputs] == [["batch", "time"]]
    assert manifest.preprocessing[0].name == "tokenizer"
    assert (folder / manifest.preprocessing[0].file).read_bytes() == run.tokenizer_file.read_bytes()
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for shape in ((1, 1), (3, 7), (2, 60)):
        ids = np.random.default_rng(0).integers(0, 16, shape).astype("int32")
        (outputs,) = session.run(None, {"ids": ids})
        np.testing.assert_allclose(outputs, run.load_model().predict(ids, verbose=0), atol=1e-5)
