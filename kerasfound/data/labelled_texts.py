"""Labelled texts, such as reviews or letters: raw strings, with one class for each text."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.bundle.schema import Column, ColumnKind, Schema, Task, require_column
from kerasfound.errors import UserError
from kerasfound.wording import counted

from . import synthetic_reviews, tfds
from .cache import TEXT, Arrays, sha256
from .dataset import Dataset
from .splits import stratified_split
from .tables import MIN_ROWS
from .text_encoding import read_text_file

if TYPE_CHECKING:  # pyarrow is not needed to list the named sets
    import pyarrow as pa

IMDB_VALIDATION = 2_500
GRAMMAR_ROWS = {"train": 6_000, "validation": 1_000, "test": 2_000}
MAX_BYTES = 1_000_000
"""Largest file that is read as one text."""


def make_schema(labels: tuple[str, ...], text: str = "", target: str = "") -> Schema:
    """The schema of a text classifier on token ids.

    Args:
        labels: the classes.
        text: the column of the texts, if they come from a table.
        target: the column of the labels, if they come from a table.
    """
    columns = (Column(text, ColumnKind.TEXT),) if text else ()
    return Schema(Task.TEXT_CLASSIFICATION, "ids", (), labels, columns, target)


def imdb_reviews(data_dir: Path | None) -> Arrays:
    """The reviews with their own 25,000 test rows; the last of the 25,000 training rows are for validation."""
    train, test = (tfds.read_split("imdb_reviews", split, data_dir, instead="grammar") for split in ("train", "test"))
    first, last = slice(None, -IMDB_VALIDATION), slice(-IMDB_VALIDATION, None)
    arrays: Arrays = {}
    for name, table, rows in (("train", train, first), ("validation", train, last), ("test", test, slice(None))):
        arrays[f"{name}_x"] = np.array([text.decode() for text in table["text"][rows]], TEXT)
        arrays[f"{name}_y"] = table["label"][rows].astype("int64")
    return arrays


def synthetic(data_dir: Path | None) -> Arrays:
    """The sentences of `kerasfound.data.synthetic_reviews`; `data_dir` is not used."""
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    for name, rows in GRAMMAR_ROWS.items():
        texts, arrays[f"{name}_y"] = synthetic_reviews.sentences(rows, rng)
        arrays[f"{name}_x"] = np.array(texts, TEXT)
    return arrays


def read_labelled_texts(
    path: Path, text: str | None = None, target: str | None = None, header: bool | None = None
) -> Dataset:
    """Read your own labelled texts: 70% for training, 10% for validation, 20% for test, stratified by class.

    Args:
        path: a CSV or Parquet file with a column of texts and a column of labels, or a folder with one folder of text
            files for each class, with the name of the class.
        text: the column of the texts. Defaults to "text", or to the column with the longest cells.
        target: the column of the labels. Defaults to "label", or to the only other column that is not an id.
        header: whether the first row of a CSV file has the names of the columns. By default it is inferred. Without
            names the columns are `column_1`, `column_2`, ...

    Raises:
        UserError: if the texts cannot be read, or are too few to learn from.
    """
    notes: list[str] = []
    if path.is_dir():
        schema, texts, y, source = _from_folder(path, notes)
    else:
        schema, texts, y, source = _from_table(path, text, target, header, notes)
    arrays: Arrays = {}
    for name, rows in zip(("train", "validation", "test"), stratified_split(y, seed=0), strict=True):
        arrays[f"{name}_x"], arrays[f"{name}_y"] = texts[rows], y[rows]
    dataset = Dataset.from_arrays(str(path), source, sha256(arrays), arrays, schema)
    return dataclasses.replace(dataset, notes=tuple(notes))


def read_text(path: Path) -> tuple[str, str]:
    """Read a whole file as one text, and return it with a remark on its encoding, which is empty for Unicode.

    Raises:
        UserError: if it cannot be read, is not a text, is empty or too large.
    """
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path}: larger than {MAX_BYTES:,} bytes; give one text, or a table with a row for each.")
    text, remark = read_text_file(path)
    if not text.strip():
        raise UserError(f"{path}: the text is empty.")
    return text.strip(), remark


def column_texts(table: "pa.Table", path: Path, name: str) -> np.ndarray:
    """Return the texts of a column; missing ones are empty.

    Raises:
        UserError: if the table has no such column, or the column does not hold text.
    """
    import pyarrow as pa

    require_column(table.column_names, name, str(path))
    cells = table[name]
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        raise UserError(f"{path}: column {name!r} holds {cells.type}, not text.")
    return np.array(cells.fill_null("").to_pylist(), TEXT)


def find_text_column(table: "pa.Table", path: Path) -> str:
    """Return the column named "text", or the one with the longest texts on average."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "text" in table.column_names:
        return "text"
    lengths = {
        name: pc.mean(pc.utf8_length(table[name])).as_py() or 0
        for name in table.column_names
        if pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)
    }
    if not lengths:
        raise UserError(f"{path}: no column holds text; the columns are {', '.join(table.column_names)}.")
    return max(lengths, key=lengths.__getitem__)


def _find_target_column(table: "pa.Table", text: str, path: Path) -> str:
    from .identifiers import identifier_reason

    others = [name for name in table.column_names if name != text and not identifier_reason(name, table[name])]
    if "label" in others:
        return "label"
    if len(others) != 1:
        raise UserError(
            f"`data` {path}: name the column of the labels with `target`; "
            f"the columns other than the texts in {text!r} are {', '.join(others) or 'none'}."
        )
    return others[0]


def _from_folder(folder: Path, notes: list[str]) -> tuple[Schema, np.ndarray, np.ndarray, str]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = {path.name: sorted(path.glob("*.txt")) for path in classes}
    if len(files) < 2 or not all(files.values()):
        counts = ", ".join(f"{name} with {len(texts)}" for name, texts in files.items()) or "none"
        raise UserError(f"`data` {folder}: expected two or more folders with .txt files in them, found {counts}.")
    y = np.repeat(np.arange(len(files)), [len(texts) for texts in files.values()])
    _check_enough(folder, len(y))
    texts = []
    for file in (file for class_files in files.values() for file in class_files):
        text, remark = read_text(file)
        texts.append(text)
        if remark:
            notes.append(f"{file.relative_to(folder)}: {remark}")
    source = f"{counted(len(y), 'text')} in {counted(len(files), 'folder')} of {folder.name}"
    return make_schema(tuple(files)), np.array(texts, TEXT), y, source


def _from_table(
    path: Path, text: str | None, target: str | None, header: bool | None, notes: list[str]
) -> tuple[Schema, np.ndarray, np.ndarray, str]:
    try:
        from . import table_files
        from .table_target import encode_target, infer_target, rows_with_target
    except ImportError as error:
        raise UserError('tables are read with pyarrow: pip install "kerasfound[recipes]"') from error

    table = table_files.read_table_file(path, header, verbatim=True, tell=notes.append)
    if table.num_columns < 2 or not len(table):
        raise UserError(
            f"`data` {path}: no table of labelled texts: {counted(table.num_columns, 'column')}, "
            f"{counted(len(table), 'row')}; expected a table with a column of texts and a column of labels, or a "
            "folder with a folder of texts for each class."
        )
    text = text or find_text_column(table, path)
    target = target or _find_target_column(table, text, path)
    require_column(table.column_names, target, str(path))
    texts, cells = column_texts(table, path, text), table[target]
    words_are_values = table_files.is_parquet(path)
    known = rows_with_target(cells, "classification", notes.append, words_are_values=words_are_values)
    complete = (texts != "") & known
    _check_enough(path, int(complete.sum()))
    cells = cells.filter(complete)
    column = infer_target(target, cells, "classification")
    _, labels, y = encode_target(column, cells, "classification", tell=notes.append)
    num_dropped = len(complete) - len(y)
    dropped = f"; {counted(num_dropped, 'row')} without a text or a label left out" if num_dropped else ""
    return make_schema(labels, text, target), texts[complete], y, f"{path.name}; {counted(len(y), 'text')}{dropped}"


def _check_enough(path: Path, rows: int) -> None:
    if rows < MIN_ROWS:
        raise UserError(
            f"`data` {path}: {counted(rows, 'labelled text')}; expected {MIN_ROWS} or more for three splits, in a "
            "table with a column of texts and a column of labels, or in a folder of text files for each class."
        )
