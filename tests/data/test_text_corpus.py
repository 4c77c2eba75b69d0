"""Texts as characters: windows, splits that share nothing, and errors about files that are not texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasfound import data
from kerasfound.data import Split, text_corpus
from kerasfound.errors import UserError


@given(st.integers(2, 40), st.integers(1, 10), st.integers(1, 10))
def test_windows_are_consecutive_characters_with_their_next_ones(rows, block_size, stride):
    split = Split(np.arange(rows), np.arange(rows) + 1)
    if rows < block_size:
        with pytest.raises(UserError, match=r"too short: .* `block_size` is"):
            text_corpus.windows(split, block_size, stride)
        return
    x, y = text_corpus.windows(split, block_size, stride)
    assert np.array_equal(y, x + 1)
    assert x[:, 0].tolist() == list(range(0, rows - block_size + 1, stride))
    assert np.array_equal(x, x[:, :1] + np.arange(block_size))


def test_the_standard_library_is_split_from_front_to_back():
    corpus = data.load("stdlib")
    characters = corpus.schema.labels
    train = "".join(characters[i] for i in corpus.train.x[:2000])
    assert "import" in train
    assert np.array_equal(corpus.train.x[1:], corpus.train.y[:-1])
    sizes = [len(split.y) for split in (corpus.train, corpus.validation, corpus.test)]
    assert sizes[0] == pytest.approx(18 * sizes[1], rel=1e-3)
    assert sizes[1] == pytest.approx(sizes[2], abs=2)


def test_your_own_file_is_split_and_encoded(tmp_path):
    (tmp_path / "mine.txt").write_text("ab\n" * 1000, encoding="utf-8")
    corpus = data.load(str(tmp_path / "mine.txt"), task="text_generation")
    assert corpus.schema.labels == ("\n", "a", "b")
    assert corpus.train.x[:4].tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_character_of_a_text(tmp_path, encoding):
    (tmp_path / "mine.txt").write_bytes(("aé\r\n" * 1000).encode(encoding))
    assert data.load(str(tmp_path / "mine.txt")).schema.labels == ("\n", "a", "é")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 characters"),
        (b"short", "5 characters, 5 different"),
        (b"a" * 5000, "5,000 characters, 1 different"),
        (b"abc" * 1000 + b"\xff\xfe", r"not UTF-8 text \(byte 3000\)"),
        (b"\x89PNG" + b"abc" * 1000, "not a text file but a PNG image"),
    ],
)
def test_a_file_that_is_not_a_text_or_too_short_is_an_error(tmp_path, content, message):
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        data.load(str(path))


def test_shakespeare_is_complete(tfds_dir):
    corpus = data.load("tiny_shakespeare", tfds_dir)
    sizes = [len(split.y) + 1 for split in (corpus.train, corpus.validation, corpus.test)]
    assert sizes == [1_003_854, 55_770, 55_770]
    assert "".join(corpus.schema.labels[i] for i in corpus.train.x[:14]) == "First Citizen:"
