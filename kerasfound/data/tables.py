"""Tables, named or your own: encoded rows, three splits, and a schema that describes the columns."""

import dataclasses
import difflib
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.bundle.schema import Column, Schema, Task, require_column
from kerasfound.errors import UserError
from kerasfound.wording import counted

from .cache import sha256
from .dataset import Dataset, Split
from .named_tables import TABLES, Frame
from .splits import stratified_split

if TYPE_CHECKING:  # needs pyarrow
    import pyarrow as pa

    from kerasfound.preprocessing.readings import Conventions

MIN_ROWS = 10
"""Fewest rows that can be split in three."""
TABLE_SETTINGS = ("target", "task", "categorical", "keep", "header", "decimal", "day_first", "seed")
"""The arguments of `load_table` that are settings of a recipe."""


def load_table(
    data: str,
    data_dir: str | None = None,
    *,
    target: str | None = None,
    task: str | None = None,
    categorical: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    header: bool | None = None,
    decimal: str | None = None,
    day_first: bool | None = None,
    seed: int = 0,
) -> Dataset:
    """Read a named table, or your own CSV or Parquet file, as encoded rows and a schema.

    70% of the rows are for training, 10% for validation, 20% for test, stratified by class. Adult has its own test
    rows. Columns that number or name the rows are left out.

    Args:
        data: one of `TABLES`, or the path of a CSV or Parquet file.
        data_dir: a folder with the files of `adult` and `california`.
        target: the column to predict. Defaults to the target of a named table.
        task: `"classification"` or `"regression"`. By default it is inferred from the target.
        categorical: columns to treat as categories, whatever they look like.
        keep: columns to keep that look like row numbers or ids.
        header: whether the first row of a CSV file has the names of the columns. By default it is inferred. Without
            names the columns are `column_1`, `column_2`, ...
        decimal: `"comma"` or `"point"`, for numbers such as 1,234 if the cells of no column decide it.
        day_first: whether the day comes before the month in dates such as 03/04/2024, likewise.
        seed: the seed of a file's split. The split of a named table is always the same.

    Raises:
        UserError: if there is no such table or column, or nothing can be learned from it.

    Example:
        >>> wine = load_table("wine")
        >>> wine.train.x.shape, wine.schema.labels
        ((125, 13), ('class_0', 'class_1', 'class_2'))
    """
    notes: list[str] = []
    frame = _read_frame(data, data_dir, target, header, notes)
    for name in (frame.target, *categorical, *keep):
        require_column(frame.cells.column_names, name, f"`data` {data}")
    conventions = _conventions(decimal, day_first)
    known = _rows_with_target(frame, data, task, notes)
    inferred, column = _infer_columns(frame, known, task, categorical, keep, conventions, notes)
    task, labels, y = _encode_target(frame, column, known, task, notes)
    stratify = task == Task.TABULAR_CLASSIFICATION
    splits = stratified_split(y, 0 if data in TABLES else seed, stratify=stratify, test=frame.test)
    columns, x = _encode_features(frame, inferred, known, splits[0])
    if not x.shape[1]:
        reasons = "; ".join(f"{column.name}: {column.reason}" for column in columns)
        raise UserError(f"`data` {data}: no column other than {frame.target!r} can be used ({reasons}).")
    num_dropped = len(known) - len(y)
    dropped = f"; {counted(num_dropped, 'row')} without a target left out" if num_dropped else ""
    train, validation, test = (Split(x[split], y[split]) for split in splits)
    return Dataset(
        data,
        f"{frame.source}; {counted(len(y), 'row')}{dropped}",
        sha256({"x": x, "y": y, "train": splits[0], "validation": splits[1]}),
        train,
        validation,
        test,
        Schema(task, "row", (x.shape[1],), labels, columns, frame.target),
        tuple(notes),
        column,
    )


def _conventions(decimal: str | None, day_first: bool | None) -> "Conventions":
    from kerasfound.preprocessing.readings import Conventions

    if decimal not in (None, "comma", "point"):
        raise UserError(f"`decimal` {decimal}: expected comma or point.")
    return Conventions(decimal, day_first)


def _read_frame(data: str, data_dir: str | None, target: str | None, header: bool | None, notes: list[str]) -> Frame:
    try:
        from . import table_files
    except ImportError as error:
        raise UserError('tables are read with pyarrow: pip install "kerasfound[recipes]"') from error

    if data in TABLES:
        frame = TABLES[data].read(Path(data_dir) if data_dir else None)
        return dataclasses.replace(frame, target=target or frame.target)
    path = Path(data)
    if not path.exists():
        near = difflib.get_close_matches(data, TABLES, n=1)
        hint = f'Did you mean "{near[0]}"? ' if near else ""
        raise UserError(
            f'no table or file "{data}". {hint}The tables are {", ".join(TABLES)}; or give a .csv or .parquet file.'
        )
    cells = table_files.read_table_file(path, header, verbatim=True, tell=notes.append)
    if cells.num_columns < 2 or not len(cells):
        raise UserError(
            f"`data` {data}: no table: {counted(cells.num_columns, 'column')} and {counted(len(cells), 'row')}; "
            "expected the names of the columns in the first row, the column to predict and others, and rows."
        )
    if target is None:
        raise UserError(
            f"`data` {data}: name the column to predict with `target`; the columns are {', '.join(cells.column_names)}."
        )
    return Frame(cells, target, path.name, words_are_values=table_files.is_parquet(path))


def _rows_with_target(frame: Frame, data: str, task: str | None, notes: list[str]) -> np.ndarray:
    from .table_target import rows_with_target

    cells = frame.cells[frame.target]
    known = rows_with_target(cells, task, notes.append, words_are_values=frame.words_are_values)
    if known.sum() < MIN_ROWS:
        raise UserError(
            f"`data` {data}: {counted(known.sum(), 'row')} with a target; expected {MIN_ROWS} or more for three splits."
        )
    return known


def _infer_columns(
    frame: Frame,
    known: np.ndarray,
    task: str | None,
    categorical: tuple[str, ...],
    keep: tuple[str, ...],
    conventions: "Conventions",
    notes: list[str],
) -> tuple[list[Column], Column]:
    """The columns and the target, inferred together."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from .table_columns import infer_columns
    from .table_target import infer_target

    cells = pc.if_else(pa.array(known), frame.cells[frame.target], None)
    infer = functools.partial(infer_target, frame.target, cells, task)
    return infer_columns(_features(frame), categorical, keep, notes.append, conventions, infer, cells)


def _encode_target(
    frame: Frame, column: Column, known: np.ndarray, task: str | None, notes: list[str]
) -> tuple[Task, tuple[str, ...], np.ndarray]:
    from .table_target import encode_target

    return encode_target(column, frame.cells[frame.target].filter(known), task, notes.append)


def _encode_features(
    frame: Frame, columns: list[Column], known: np.ndarray, train: np.ndarray
) -> tuple[tuple[Column, ...], np.ndarray]:
    """The columns, and the encoded rows that have a target. The categories are those of the training rows."""
    from kerasfound.preprocessing import table_rows

    rows = _features(frame).filter(known)
    learned = tuple(table_rows.with_categories_of(column, rows[column.name].take(train)) for column in columns)
    return learned, table_rows.encode_rows(learned, rows, faults_are_missing=True)


def _features(frame: Frame) -> "pa.Table":
    from kerasfound.preprocessing import table_rows

    cells = frame.cells.drop_columns(frame.target)
    columns = [table_rows.normalize_missing(column) for column in cells.columns]
    return cells.from_arrays(columns, cells.column_names)
