"""The cells of a table as numbers: the encoding of each kind of column."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasfound.bundle.schema import Column, ColumnKind, require_column
from kerasfound.errors import UserError
from kerasfound.wording import counted, enumerate_some

from .arrow_texts import ArrowTexts
from .cell_texts import cell_error, parse_texts
from .column_inference import cast_to_text as cast_to_text
from .column_inference import infer_column as infer_column
from .column_inference import is_text
from .column_inference import with_categories_of as with_categories_of
from .missing_values import GAPS, MISSING_VALUES

EPOCH = np.datetime64("1970-01-01")
UNKNOWN_CATEGORY = "(unknown)"
TEXTS = ArrowTexts()
MAX_NAMED, MAX_COUNTED = 10, 1000
"""Cells that cannot be read: how many an error names, and how many it counts in each column."""


class UnreadableCell(NamedTuple):
    """A cell that does not fit its column; the row counts from 0."""

    row: int
    column: Column
    text: str

    def __str__(self) -> str:
        return f"row {self.row + 1}, column {self.column.name!r}: {cell_error(self.column, self.text)}"


class UnreadableCellsError(UserError):
    """Cells do not fit their columns. The message has the first of them, by row, and how many there are.

    Args:
        cells: all of them, in any order; of each column at most `MAX_COUNTED` and one more.
    """

    def __init__(self, cells: Sequence[UnreadableCell]):
        in_order = [str(cell) for cell in sorted(cells, key=lambda cell: cell.row)]
        more_than = "more than " if len(cells) > MAX_COUNTED else ""
        count = f"{more_than}{counted(len(cells) - bool(more_than), 'cell')} cannot be read: " if len(cells) > 1 else ""
        super().__init__(f"{count}{enumerate_some(in_order, '; ', MAX_NAMED)}.")
        self.cells = tuple(cells)


def encode_column(column: Column, cells: pa.ChunkedArray) -> np.ndarray:
    """Return the cells of a column as float32, `(rows, column.width)`; missing cells are NaN.

    Args:
        column: the column, as `infer_column` returns it.
        cells: its cells in any table with this column.

    Raises:
        UnreadableCellsError: if cells do not fit the column.

    Example:
        >>> size = Column("size", ColumnKind.CATEGORY, ("large", "small"))
        >>> encode_column(size, pa.chunked_array([["small", "huge", None]])).tolist()
        [[2.0], [0.0], [0.0]]
    """
    if column.kind == ColumnKind.IGNORED:
        return np.empty((len(cells), 0), "float32")
    if column.kind == ColumnKind.CATEGORY:
        codes = pc.index_in(cast_to_text(cells), value_set=pa.array(column.categories, pa.string()))
        return pc.add(codes.fill_null(-1), 1).to_numpy().astype("float32")[:, None]
    try:
        numbers = parse_cells(column, cells)
    except pa.ArrowInvalid as error:
        rows = itertools.islice(_unreadable_rows(column, cells), MAX_COUNTED + 1)
        raise UnreadableCellsError([UnreadableCell(row, column, str(cells[row].as_py())) for row in rows]) from error
    with np.errstate(over="ignore"):
        numbers = numbers.astype("float32")
    return np.where(np.isfinite(numbers), numbers, np.nan)


def encode_rows(columns: tuple[Column, ...], table: pa.Table, faults_are_missing: bool = False) -> np.ndarray:
    """Return all rows of a table as float32, the encoded columns side by side.

    Args:
        columns: the columns of a schema. The table may have more columns; they are not read.
        table: any rows.
        faults_are_missing: take cells that do not fit their column for missing, as `infer_column` does. Defaults to
            `False`: they are an error.

    Raises:
        UserError: if a column is missing.
        UnreadableCellsError: if cells do not fit their columns.
    """
    used = [column for column in columns if column.width]
    for column in used:
        require_column(table.column_names, column.name, "the table")
    parts, unreadable = [], list[UnreadableCell]()
    for column in used:
        try:
            parts.append(encode_column(column, table[column.name]))
        except UnreadableCellsError as error:
            if faults_are_missing:
                parts.append(encode_column(column, _without_faults(column, table[column.name])))
            unreadable += error.cells
    if unreadable and not faults_are_missing:
        raise UnreadableCellsError(unreadable)
    return np.concatenate([np.empty((len(table), 0), "float32"), *parts], axis=1)


def decode_row(columns: tuple[Column, ...], row: np.ndarray) -> list[str]:
    """Return the cells of an encoded row as text, one for each column that is not ignored.

    Example:
        >>> columns = Column("size", ColumnKind.CATEGORY, ("large", "small")), Column("age", ColumnKind.NUMBER)
        >>> decode_row(columns, np.array([2, np.nan]))
        ['small', '']
    """
    cells, place = [], 0
    for column in columns:
        if column.width:
            cells.append(_decode_cell(column, row[place : place + column.width]))
            place += column.width
    return cells


def _decode_cell(column: Column, numbers: np.ndarray) -> str:
    if np.isnan(numbers[0]):
        return ""
    if column.kind == ColumnKind.CATEGORY:
        return (UNKNOWN_CATEGORY, *column.categories)[int(numbers[0])]
    if column.kind == ColumnKind.DATE:
        day, minutes = str(EPOCH + int(numbers[3])), round(float(numbers[-1]) * 60)
        return f"{day} {minutes // 60:02}:{minutes % 60:02}" if len(numbers) > 4 else day
    if column.kind == ColumnKind.BOOLEAN:
        return {0.0: "false", 1.0: "true"}[float(numbers[0])]
    return f"{numbers[0]:.7g}"


def parse_cells(column: Column, cells: pa.ChunkedArray) -> np.ndarray:
    """Return the numbers of the cells as float64, `(rows, column.width)`; missing cells are NaN.

    Args:
        column: a column of numbers, booleans or dates.
        cells: its cells in any table with this column.

    Raises:
        pyarrow.ArrowInvalid: if a cell does not fit the column.
    """
    if pa.types.is_temporal(cells.type):
        return _date_numbers(cells, column.width)
    if column.kind == ColumnKind.DATE or (is_text(cells) and (column.kind == ColumnKind.BOOLEAN or column.format)):
        texts = pc.fill_null(cast_to_text(cells).combine_chunks(), "")
        return np.stack(parse_texts(TEXTS, column, texts), axis=1)
    if is_text(cells):
        cells = pc.if_else(pc.is_in(cells, value_set=pa.array(GAPS, cells.type)), None, cells)
    return cells.cast(pa.float64(), safe=False).to_numpy()[:, None]


def _date_numbers(cells: pa.ChunkedArray, count: int) -> np.ndarray:
    moments = cells.cast(pa.timestamp("us", getattr(cells.type, "tz", None)), safe=False)
    moments = moments.cast(pa.int64()).cast(pa.timestamp("us"))  # the instant in UTC
    days = pc.floor(pc.divide(moments.cast(pa.int64()).cast(pa.float64()), 86_400e6))
    minutes = pc.add(pc.multiply(pc.hour(moments), 60), pc.minute(moments))
    parts = [pc.year(moments), pc.month(moments), pc.day_of_week(moments), days, minutes]
    numbers = np.stack([part.cast(pa.float64()).to_numpy() for part in parts], axis=1)
    return (numbers / [1, 1, 1, 1, 60])[:, :count]


def _unreadable_rows(column: Column, cells: pa.ChunkedArray, start: int = 0) -> Iterator[int]:
    """The places of the cells that cannot be parsed, in order, by halving."""
    try:
        parse_cells(column, cells)
    except pa.ArrowInvalid:
        if len(cells) == 1:
            yield start
            return
        half = len(cells) // 2
        yield from _unreadable_rows(column, cells.slice(0, half), start)
        yield from _unreadable_rows(column, cells.slice(half), start + half)


def _without_faults(column: Column, cells: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = pa.chunked_array([cells.unique()])
    faults = texts.take(pa.array(_unreadable_rows(column, texts), pa.int64()))
    return pc.if_else(pc.is_in(cells, value_set=faults.combine_chunks()), None, cells)


def normalize_missing(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strip the spaces around texts, and replace the texts that stand for a missing value by null.

    Cells that are not text do not change.

    Example:
        >>> normalize_missing(pa.chunked_array([[" a", "?"]])).to_pylist()
        ['a', None]
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if not is_text(cells):
        return cells
    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING_VALUES, text.type)), None, text)
