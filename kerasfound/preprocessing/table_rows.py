"""A column's cells as numbers: what kind it is, and the code of each cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from kerasfound.bundle.schema import Column, require_column
from kerasfound.errors import UserError

if TYPE_CHECKING:  # not needed to list the tables
    import pyarrow as pa

from collections.abc import Collection

import pyarrow as pa

TRUE, FALSE = ("true", "yes"), ("false", "no")
NAMES = 50
"""A column of text with more different values than this, and than half its rows, names its rows: it is left out."""
EPOCH = np.datetime64("1970-01-01")
UNKNOWN = "(unknown)"


def infer(name: str, cells: pa.ChunkedArray, as_category: bool = False) -> Column:
    """What kind of column these cells are.

    Text is a number, boolean or date if every cell that is not missing can be read as one; a mixed column is a
    category. Columns with one value, or with a text of its own for nearly every row, are left out.

    Args:
        name: the column's.
        cells: of all rows.
        as_category: make it one, whatever its cells are.

    Example:
        >>> infer("size", pa.chunked_array([["1", "2", "two", None]]))
        Column(name='size', kind='category', categories=('1', '2', 'two'), missing=1, distinct=3)
    """
    known = cells.drop_null()
    if not as_category and pa.types.is_floating(cells.type):
        known = known.filter(pc.is_finite(known))
    distinct, missing = len(known.unique()), len(cells) - len(known)
    kind = "category" if as_category else _kind(known)
    names_rows = kind == "category" and distinct > max(NAMES, len(known) / 2) and not as_category
    if distinct < 2 or names_rows:
        return Column(name, "left out", (), missing, distinct)
    return as_seen(Column(name, kind, (), missing, distinct), cells)


def as_seen(column: Column, cells: pa.ChunkedArray) -> Column:
    """The column with the categories of these cells only: a model knows what it was trained on."""
    if column.kind != "category":
        return column
    categories = tuple(sorted(as_text(cells.drop_null()).unique().to_pylist()))
    return dataclasses.replace(column, categories=categories)


def encode(column: Column, cells: pa.ChunkedArray) -> np.ndarray:
    """The numbers of a column's cells, `(rows, column.width)`; NaN where one is missing.

    Args:
        column: as `infer` found it.
        cells: of any rows, as a file or a table has them.

    Raises:
        UserError: if a cell is not a number, boolean or date in a column that is; its row is named.

    Example:
        >>> size = Column("size", "category", ("large", "small"))
        >>> encode(size, pa.chunked_array([["small", "huge", None]])).tolist()
        [[2.0], [0.0], [0.0]]
    """
    if column.kind == "left out":
        return np.empty((len(cells), 0), "float32")
    if column.kind == "category":
        codes = pc.index_in(as_text(cells), value_set=pa.array(column.categories, pa.string()))
        return pc.add(codes.fill_null(-1), 1).to_numpy().astype("float32")[:, None]
    read = READERS[column.kind]
    try:
        numbers = read(cells)
    except pa.ArrowInvalid as error:
        row, cell = _first_bad(cells, read)
        raise UserError(f"row {row}, column {column.name!r}: {cell!r} is not a {column.kind}.") from error
    with np.errstate(over="ignore"):
        numbers = numbers.astype("float32")
    return np.where(np.isfinite(numbers), numbers, np.nan)


def decode(found: tuple[Column, ...], row: np.ndarray) -> list[str]:
    """The cells of an encoded row as they may be shown, a column each; what was left out is not there.

    Example:
        >>> decode((Column("size", "category", ("large", "small")), Column("age", "number")), np.array([2, np.nan]))
        ['small', '']
    """
    cells, place = [], 0
    for column in (column for column in found if column.width):
        cells.append(_shown(column, row[place : place + column.width]))
        place += column.width
    return cells


def _shown(column: Column, numbers: np.ndarray) -> str:
    if np.isnan(numbers[0]):
        return ""
    if column.kind == "category":
        return (UNKNOWN, *column.categories)[int(numbers[0])]
    if column.kind == "date":
        return str(EPOCH + int(numbers[3]))
    return {0.0: "false", 1.0: "true"}[float(numbers[0])] if column.kind == "boolean" else f"{numbers[0]:g}"


def are_codes(cells: pa.ChunkedArray) -> bool:
    """Whether numbers are written as codes are, such as 00501."""
    return bool(pc.any(pc.match_substring_regex(as_text(cells), r"^0\d")).as_py())


def as_text(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    return cells.cast(pa.string())


def numbers(cells: pa.ChunkedArray) -> np.ndarray:
    """Each cell as one float64, `(rows, 1)`."""
    return cells.cast(pa.float64(), safe=False).to_numpy()[:, None]


def booleans(cells: pa.ChunkedArray) -> np.ndarray:
    """1 for true or yes, 0 for false or no, in any case of letters."""
    if not pa.types.is_boolean(cells.type):
        text = pc.utf8_lower(as_text(cells))
        true, false = (pc.is_in(text, value_set=pa.array(words)) for words in (TRUE, FALSE))
        if not pc.all(pc.or_(pc.or_(true, false), pc.is_null(text)), min_count=0).as_py():
            raise pa.ArrowInvalid("neither true nor false")
        cells = pc.if_else(pc.is_null(text), None, true)
    return cells.cast(pa.float64()).to_numpy()[:, None]


def dates(cells: pa.ChunkedArray) -> np.ndarray:
    """Year, month, day of the week from 0 for Monday, and days since 1970, of ISO dates with or without a time."""
    moments = cells.cast(pa.timestamp("us"), safe=False)
    days = pc.divide(moments.cast(pa.int64()).cast(pa.float64()), 86_400e6)
    parts = (pc.year(moments), pc.month(moments), pc.day_of_week(moments), pc.floor(days))
    return np.stack([part.cast(pa.float64()).to_numpy() for part in parts], axis=1)


READERS = {"number": numbers, "boolean": booleans, "date": dates}


def _kind(known: pa.ChunkedArray) -> str:
    """The first kind whose reader takes every cell; text that is a number is one, whatever else it could be."""
    kinds: Collection[str] = READERS
    if pa.types.is_boolean(known.type):
        kinds = ("boolean",)
    elif pa.types.is_temporal(known.type):
        kinds = ("date",)
    elif not pa.types.is_string(known.type) and not pa.types.is_large_string(known.type):
        kinds = ("number",)
    return next((kind for kind in kinds if _reads(kind, known)), "category")


def _reads(kind: str, cells: pa.ChunkedArray) -> bool:
    try:
        READERS[kind](cells)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _first_bad(cells: pa.ChunkedArray, read: Callable[[pa.ChunkedArray], np.ndarray]) -> tuple[int, str]:
    """The row, counted from 1, and the text of the first cell that `read` refuses."""
    for row in range(len(cells)):
        try:
            read(cells.slice(row, 1))
        except pa.ArrowInvalid:
            return row + 1, str(cells[row].as_py())
    raise AssertionError("each cell alone can be read")


def encode_rows(found: tuple[Column, ...], cells: pa.Table) -> np.ndarray:
    """All rows as float32 numbers, the columns side by side.

    Args:
        found: the columns of a schema; others that the table has are not looked at.
        cells: of any rows.

    Raises:
        UserError: if a column is missing, or holds what it cannot.
    """
    for column in found:
        if column.width:
            require_column(cells.column_names, column.name, "the table")
    parts = [encode(column, cells[column.name]) for column in found if column.width]
    return np.concatenate([np.empty((len(cells), 0), "float32"), *parts], axis=1)


MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
"""What stands for a missing value in a file of text."""


def tidy(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without spaces around it, and null for what stands for a missing value; anything else as it is.

    Example:
        >>> tidy(pa.chunked_array([[" a", "?"]])).to_pylist()
        ['a', None]
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING, text.type)), None, text)
