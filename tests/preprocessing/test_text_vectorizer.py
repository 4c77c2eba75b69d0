"""A text vectorizer has the tokens of `keras.layers.TextVectorization`."""

import itertools
import random

import keras
import numpy as np
import pytest

from kerasfound.errors import UserError
from kerasfound.preprocessing import TextVectorizer, load_vectorizer
from kerasfound.preprocessing.text_vectorizer import MAX_NGRAM_BYTES, MAX_VALUES

VOCABULARY = ["a", "b", "film", "größe", "it's", "its", "映画", "😀", "a b", "film a", "i", "t", " ", "straße"]
WORDS = [
    *["a", "b", "film", "FILM", "Größe", "straße", "STRASSE", "İstanbul", "ΟΔΟΣ", "映画", "😀", "it's", "10/10."],
    *["--", "naïve_one", "x²", "a\u0301", "[UNK]", "<br", "/>"],
    "\x00",
    "\x07",
    "\x1c",
    "\x85",
    "\u2028",
    "",
]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\x0b", "\x0c", ", ", "", "\u00a0", "\u3000", "."]


@pytest.fixture(scope="module")
def texts():
    choose = random.Random(0)
    return [
        "".join(choose.choice(WORDS) + choose.choice(SPACES) for _ in range(choose.randrange(12))) for _ in range(1000)
    ]


OUTPUTS = (
    {"output_mode": "int"},
    {"output_mode": "int", "output_sequence_length": 4},
    {"output_mode": "multi_hot"},
    {"output_mode": "count", "pad_to_max_tokens": True, "max_tokens": 40},
    {"output_mode": "tf_idf"},
)


@pytest.mark.parametrize("output", OUTPUTS)
def test_it_has_the_tokens_of_keras(texts, output):
    assert_equal_tokens(texts, "lower_and_strip_punctuation", "whitespace", 2, output)


@pytest.mark.slow
@pytest.mark.parametrize("standardize", [None, "lower", "strip_punctuation", "lower_and_strip_punctuation"])
def test_every_form_has_the_tokens_of_keras(texts, standardize):
    for split, ngrams, output in itertools.product((None, "whitespace", "character"), (None, 2, (1, 3)), OUTPUTS):
        assert_equal_tokens(texts, standardize, split, ngrams, output)


def assert_equal_tokens(texts, standardize, split, ngrams, output):
    weights = np.linspace(0.3, 2, len(VOCABULARY)).tolist() if output["output_mode"] == "tf_idf" else None
    settings = {"standardize": standardize, "split": split, "ngrams": ngrams}
    layer = keras.layers.TextVectorization(vocabulary=VOCABULARY, idf_weights=weights, **settings, **output)
    vectorizer = TextVectorizer(
        layer.get_vocabulary(),
        output["output_mode"],
        standardize,
        split,
        ngrams=[1, 2] if ngrams == 2 else list(ngrams or ()),
        length=output.get("output_sequence_length"),
        size=output.get("max_tokens", layer.vocabulary_size()),
        idf_weights=layer._lookup_layer.idf_weights.numpy().tolist() if weights else [],
    )
    np.testing.assert_array_equal(vectorizer.encode(texts), np.asarray(layer(np.array(texts, object)[:, None])))


def test_it_comes_back_from_its_file(tmp_path):
    vectorizer = TextVectorizer(["[UNK]", "ü\n"], "tf_idf", None, None, size=2, idf_weights=[0.1, 1 / 3])
    vectorizer.save(tmp_path / "words.json")
    assert load_vectorizer(tmp_path / "words.json") == vectorizer


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"vocabulary": ["", "[UNK]"], "output_mode": "hash"}',
        b'{"vocabulary": ["", "[UNK]"], "output_mode": "int", "ngrams": [0]}',
        b'{"vocabulary": ["", "[UNK]"], "output_mode": "int", "length": 99999999}',
        b'{"vocabulary": ["a", "b"], "output_mode": "count", "size": 1}',
        b'{"vocabulary": ["a", "b"], "output_mode": "tf_idf", "size": 2, "idf_weights": [1]}',
    ],
)
def test_a_file_whose_settings_contradict_each_other_is_an_error(tmp_path, content):
    (tmp_path / "words.json").write_bytes(content)
    with pytest.raises(UserError, match=r"words\.json"):
        load_vectorizer(tmp_path / "words.json")


def test_a_call_has_bounded_memory():
    long, many = "a " * 3000, [""] * 3000
    with pytest.raises(UserError, match="send fewer texts"):
        TextVectorizer(["", "[UNK]"], "int").encode([long, *many])
    with pytest.raises(UserError, match="send fewer texts"):
        TextVectorizer(["[UNK]"], "count", size=MAX_VALUES // 2).encode(["a", "b", "c"])
    with pytest.raises(UserError, match="n-grams"):
        TextVectorizer(["", "[UNK]"], "int", ngrams=[MAX_NGRAM_BYTES]).encode(["ab"])
