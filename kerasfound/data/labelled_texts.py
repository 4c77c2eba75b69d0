"""Labelled texts: whole reviews, letters, sentences as raw strings, one class each."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.bundle.schema import Column, Schema, require_column
from kerasfound.errors import UserError

from . import synthetic_reviews, tfds
from .cache import TEXT, Arrays, sha256
from .dataset import Dataset
from .tables import FEWEST, encode_target, split

if TYPE_CHECKING:  # not needed to list the named sets
    import pyarrow as pa

TASK = "text_classification"
IMDB_VALIDATION = 2_500
GRAMMAR_ROWS = {"train": 6_000, "validation": 1_000, "test": 2_000}
LONGEST = 1_000_000
"""Bytes of a file of text that are worth reading as one text."""


def schema(labels: tuple[str, ...], text: str = "", target: str = "") -> Schema:
    """Of texts: their numbers of words go in, `text` and `target` name the columns of a table that they came from."""
    columns = (Column(text, "text"),) if text else ()
    return Schema(TASK, "ids", (), labels, columns, target)


def imdb_reviews(data_dir: Path | None) -> Arrays:
    """The canonical 25,000 reviews for the test; the last of the 25,000 for training are for validation."""
    train, test = (tfds.read("imdb_reviews", split, data_dir, instead="grammar") for split in ("train", "test"))
    rest, last = slice(None, -IMDB_VALIDATION), slice(-IMDB_VALIDATION, None)
    arrays: Arrays = {}
    for name, found, rows in (("train", train, rest), ("validation", train, last), ("test", test, slice(None))):
        arrays[f"{name}_x"] = np.array([text.decode() for text in found["text"][rows]], TEXT)
        arrays[f"{name}_y"] = found["label"][rows].astype("int64")
    return arrays


def made(data_dir: Path | None) -> Arrays:
    """Sentences of `kerasfound.data.synthetic_reviews`; `data_dir` has no part in it."""
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    for name, rows in GRAMMAR_ROWS.items():
        texts, arrays[f"{name}_y"] = synthetic_reviews.sentences(rows, rng)
        arrays[f"{name}_x"] = np.array(texts, TEXT)
    return arrays


def read(path: Path, text: str | None = None, target: str | None = None) -> Dataset:
    """Labelled texts of the user's own: 70% for training, 10% for validation, 20% for the test, alike in classes.

    Args:
        path: a CSV or Parquet file with a column of texts and one of labels, or a folder with a folder of text files
            (UTF-8) for each class, named as the class.
        text: the column of texts. Defaults to "text", or to the one with the longest cells.
        target: the column of labels. Defaults to "label", or to the only other one.

    Raises:
        UserError: if it cannot be read, or there is too little to learn from; it says why.
    """
    found, texts, y, source = _from_folder(path) if path.is_dir() else _from_table(path, text, target)
    places = split(y, 0, stratify=True)
    arrays: Arrays = {}
    for name, rows in zip(("train", "validation", "test"), places, strict=True):
        arrays[f"{name}_x"], arrays[f"{name}_y"] = texts[rows], y[rows]
    return Dataset.of(str(path), source, sha256(arrays), arrays, found)


def read_text(path: Path) -> str:
    """One text file, whole.

    Raises:
        UserError: if it cannot be read, is no UTF-8, is empty or too large; it is named.
    """
    try:
        if path.stat().st_size > LONGEST:
            raise UserError(f"{path}: larger than {LONGEST:,} bytes; give one text, or a table with a row for each.")
        text = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a text file.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); convert it first.") from error
    if not text:
        raise UserError(f"{path}: the text is empty.")
    return text


def column(cells: "pa.Table", path: Path, name: str) -> np.ndarray:
    """A column of texts, empty ones where there is none.

    Raises:
        UserError: if the table has no such column, or it does not hold texts.
    """
    import pyarrow as pa

    require_column(cells.column_names, name, str(path))
    found = cells[name]
    if not (pa.types.is_string(found.type) or pa.types.is_large_string(found.type)):
        raise UserError(f"{path}: column {name!r} holds {found.type}, not text.")
    return np.array(found.fill_null("").to_pylist(), TEXT)


def _from_folder(folder: Path) -> tuple[Schema, np.ndarray, np.ndarray, str]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = {path.name: sorted(path.glob("*.txt")) for path in classes}
    if len(files) < 2 or not all(files.values()):
        found = ", ".join(f"{name} with {len(texts)}" for name, texts in files.items()) or "none"
        raise UserError(f"--data {folder}: expected two or more folders with .txt files in them, found {found}.")
    y = np.repeat(np.arange(len(files)), [len(found) for found in files.values()])
    _enough(folder, len(y))
    texts = np.array([read_text(file) for found in files.values() for file in found], TEXT)
    return schema(tuple(files)), texts, y, f"{len(y):,} texts in {len(files)} folders of {folder.name}"


def _from_table(path: Path, text: str | None, target: str | None) -> tuple[Schema, np.ndarray, np.ndarray, str]:
    try:
        from . import table_files
    except ImportError as error:
        raise UserError('tables are read with pyarrow: pip install "kerasfound[recipes]"') from error

    cells = table_files.read(path)
    text = text or text_column(cells, path)
    target = target or _target_column(cells.column_names, text, path)
    require_column(cells.column_names, target, str(path))
    texts = column(cells, path, text)
    known = (texts != "") & np.asarray(cells[target].is_valid())
    _enough(path, int(known.sum()))
    _, labels, y = encode_target(target, cells[target].filter(known), "classification")
    dropped = len(known) - len(y)
    lost = f"; {dropped:,} without a text or a label were dropped" if dropped else ""
    return schema(labels, text, target), texts[known], y, f"{path.name}; {len(y):,} texts{lost}"


def text_column(cells: "pa.Table", path: Path) -> str:
    """The one that is called text, or the one with the longest texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "text" in cells.column_names:
        return "text"
    lengths = {
        name: pc.mean(pc.utf8_length(cells[name])).as_py() or 0
        for name in cells.column_names
        if pa.types.is_string(cells[name].type) or pa.types.is_large_string(cells[name].type)
    }
    if not lengths:
        raise UserError(f"--data {path}: no column holds text; there is {', '.join(cells.column_names)}.")
    return max(lengths, key=lengths.__getitem__)


def _target_column(names: list[str], text: str, path: Path) -> str:
    """The one that is called label, or the only other one."""
    others = [name for name in names if name != text]
    if "label" in others:
        return "label"
    if len(others) != 1:
        raise UserError(
            f"--data {path}: say which column is the label with --target; "
            f"beside the texts in {text!r} there is {', '.join(others) or 'none'}."
        )
    return others[0]


def _enough(path: Path, rows: int) -> None:
    if rows < FEWEST:
        raise UserError(f"--data {path}: {rows} labelled texts; at least {FEWEST} can be split in three.")
