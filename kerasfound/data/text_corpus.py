"""Texts as characters: each character is a row, and the next character is its target."""

import dataclasses
import platform
import string
import sysconfig
from pathlib import Path

import numpy as np

from kerasfound.bundle.schema import Schema, Task
from kerasfound.errors import UserError
from kerasfound.preprocessing.characters import encode_characters
from kerasfound.wording import counted

from . import tfds
from .cache import Arrays, sha256
from .dataset import Dataset, Split
from .text_encoding import read_text_file

SHAKESPEARE = "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase
PRINTABLE = "\n" + "".join(map(chr, range(ord(" "), ord("~") + 1)))
MIN_CHARACTERS = 1_000
"""Length of the shortest text that can be split in three."""


def make_schema(characters: str) -> Schema:
    """The schema of a language model on the ids of these characters."""
    return Schema(Task.TEXT_GENERATION, "ids", (), tuple(characters))


def tiny_shakespeare(data_dir: Path | None) -> Arrays:
    """The first 90% of the plays for training, the next 5% for validation, the last 5% for test."""
    arrays: Arrays = {}
    for split in ("train", "validation", "test"):
        (text,) = tfds.read_split("tiny_shakespeare", split, data_dir, instead="stdlib")["text"]
        arrays |= _rows(split, encode_characters(text.decode(), SHAKESPEARE))
    return arrays


def standard_library(data_dir: Path | None) -> Arrays:
    """The source of this Python's modules in alphabetical order, ASCII characters only; `data_dir` is not used."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files).replace("\t", "    ")
    return _split(encode_characters("".join(filter(set(PRINTABLE).__contains__, text)), PRINTABLE))


STANDARD_LIBRARY_VERSION = f"1-{platform.python_version()}"


def read_text_corpus(path: Path) -> Dataset:
    """Read your own text file: the first 90% for training, the next 5% for validation, the last 5% for test.

    Args:
        path: a text file.

    Raises:
        UserError: if it cannot be read, is not text, or has fewer than 1,000 characters or two different ones.
    """
    text, remark = read_text_file(path)
    characters = "".join(sorted(set(text)))
    if len(text) < MIN_CHARACTERS or len(characters) < 2:
        raise UserError(
            f"`data` {path}: {counted(len(text), 'character')}, {len(characters):,} different; "
            f"expected at least {MIN_CHARACTERS} characters, and two different ones."
        )
    arrays = _split(encode_characters(text, characters))
    source = f"{len(text):,} characters of {path.name}"
    dataset = Dataset.from_arrays(str(path), source, sha256(arrays), arrays, make_schema(characters))
    return dataclasses.replace(dataset, notes=(remark,) if remark else ())


def windows(split: Split, block_size: int, stride: int = 1) -> Split:
    """Return views of `block_size` consecutive rows, one every `stride` rows. No row is copied.

    Example:
        >>> windows(Split(np.arange(5), np.arange(1, 6)), block_size=2, stride=2).x.tolist()
        [[0, 1], [2, 3]]
    """
    if len(split.y) < block_size:
        raise UserError(
            f"the text is too short: a split has {counted(len(split.y), 'character')}, `block_size` is {block_size}; "
            "make it smaller, or give a longer text."
        )
    x, y = (np.lib.stride_tricks.sliding_window_view(rows, block_size)[::stride] for rows in split)
    return Split(x, y)


def _split(ids: np.ndarray) -> Arrays:
    a, b = int(len(ids) * 0.9), int(len(ids) * 0.95)
    return _rows("train", ids[:a]) | _rows("validation", ids[a:b]) | _rows("test", ids[b:])


def _rows(split: str, ids: np.ndarray) -> Arrays:
    return {f"{split}_x": ids[:-1], f"{split}_y": ids[1:]}
