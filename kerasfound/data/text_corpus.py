"""Texts, character by character: each is a row, and the character after it is its target."""

import platform
import string
import sysconfig
from pathlib import Path

import numpy as np

from kerasfound.bundle.schema import Schema
from kerasfound.errors import UserError
from kerasfound.preprocessing.characters import encode

from . import tfds
from .cache import Arrays, sha256
from .dataset import Dataset, Split

TASK = "text_generation"
SHAKESPEARE = "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase
PRINTABLE = "\n" + "".join(map(chr, range(ord(" "), ord("~") + 1)))
SHORTEST = 1_000
"""Characters of a text that is worth splitting in three."""


def schema(characters: str) -> Schema:
    return Schema(TASK, "ids", (), tuple(characters))


def tiny_shakespeare(data_dir: Path | None) -> Arrays:
    """The first 90% of the plays are for training, 5% for validation, the last 5% for the test."""
    arrays: Arrays = {}
    for split in ("train", "validation", "test"):
        (text,) = tfds.read("tiny_shakespeare", split, data_dir, instead="stdlib")["text"]
        arrays |= _rows(split, encode(text.decode(), SHAKESPEARE))
    return arrays


def standard_library(data_dir: Path | None) -> Arrays:
    """This Python's modules in alphabetical order, without characters beyond ASCII; `data_dir` has no part in it."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files).replace("\t", "    ")
    return _split(encode("".join(filter(set(PRINTABLE).__contains__, text)), PRINTABLE))


STANDARD_LIBRARY_VERSION = f"1-{platform.python_version()}"


def read(path: Path) -> Dataset:
    """A text file of the user's own, split like the named texts: 90%, 5%, 5%, from front to back.

    Args:
        path: UTF-8.

    Raises:
        UserError: if it cannot be read, is not UTF-8, or holds fewer than 1,000 characters or only one kind of them.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"--data {path}: cannot be read ({error.strerror}); give a text file.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--data {path}: not UTF-8 text (byte {error.start}); convert it first.") from error
    characters = "".join(sorted(set(text)))
    if len(text) < SHORTEST or len(characters) < 2:
        raise UserError(
            f"--data {path}: {len(text)} characters, {len(characters)} different ones; "
            f"a text to learn from has at least {SHORTEST}, and two kinds."
        )
    arrays = _split(encode(text, characters))
    source = f"{len(text):,} characters of {path.name}"
    return Dataset.of(str(path), source, sha256(arrays), arrays, schema(characters))


def windows(split: Split, length: int, stride: int = 1) -> Split:
    """Pieces of `length` rows that begin every `stride` rows, without copying any.

    Example:
        >>> windows(Split(np.arange(5), np.arange(1, 6)), length=2, stride=2).x.tolist()
        [[0, 1], [2, 3]]
    """
    if len(split.y) < length:
        raise UserError(f"the text is too short: a split has {len(split.y)} characters, --block-size is {length}.")
    x, y = (np.lib.stride_tricks.sliding_window_view(rows, length)[::stride] for rows in split)
    return Split(x, y)


def _split(ids: np.ndarray) -> Arrays:
    a, b = int(len(ids) * 0.9), int(len(ids) * 0.95)
    return _rows("train", ids[:a]) | _rows("validation", ids[a:b]) | _rows("test", ids[b:])


def _rows(split: str, ids: np.ndarray) -> Arrays:
    return {f"{split}_x": ids[:-1], f"{split}_y": ids[1:]}
