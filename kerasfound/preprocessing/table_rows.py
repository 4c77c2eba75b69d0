"""The cells of a table as numbers: the kind of each column, and its encoding."""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasfound.bundle.schema import Column, ColumnKind, require_column
from kerasfound.errors import UserError

MISSING_VALUES = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
"""The texts that stand for a missing value in a file."""
TRUE, FALSE = ("true", "yes"), ("false", "no")
MAX_CATEGORIES = 50
"""A text column with more distinct values than this, and than half its rows, names its rows: it is ignored."""
EPOCH = np.datetime64("1970-01-01")
UNKNOWN_CATEGORY = "(unknown)"


def infer_column(name: str, cells: pa.ChunkedArray, as_category: bool = False) -> Column:
    """Infer the kind of a column from its cells.

    A text column is of the first kind among number, boolean and date as which every cell can be read, otherwise of
    the kind category. Columns with one value, or with a different text in nearly every row, are ignored.

    Args:
        name: the name of the column.
        cells: all cells of the column.
        as_category: treat the cells as categories, whatever they look like.

    Example:
        >>> column = infer_column("size", pa.chunked_array([["1", "2", "two", None]]))
        >>> column.kind.value, column.categories, column.missing
        ('category', ('1', '2', 'two'), 1)
    """
    known = cells.drop_null()
    if not as_category and pa.types.is_floating(cells.type):
        known = known.filter(pc.is_finite(known))
    distinct, missing = len(known.unique()), len(cells) - len(known)
    kind = ColumnKind.CATEGORY if as_category else _infer_kind(known)
    too_many = not as_category and kind == ColumnKind.CATEGORY and distinct > max(MAX_CATEGORIES, len(known) / 2)
    if distinct < 2 or too_many:
        return Column(name, ColumnKind.IGNORED, (), missing, distinct)
    return with_categories_of(Column(name, kind, (), missing, distinct), cells)


def with_categories_of(column: Column, cells: pa.ChunkedArray) -> Column:
    """Return a category column with exactly the categories of `cells`; columns of other kinds do not change.

    With the training cells, the column has the categories that the model learns.
    """
    if column.kind != ColumnKind.CATEGORY:
        return column
    categories = tuple(sorted(cast_to_text(cells.drop_null()).unique().to_pylist()))
    return msgspec.structs.replace(column, categories=categories)


def encode_column(column: Column, cells: pa.ChunkedArray) -> np.ndarray:
    """Return the cells of a column as float32, `(rows, column.width)`; missing cells are NaN.

    Args:
        column: the column, as `infer_column` returns it.
        cells: its cells in any table with this column.

    Raises:
        UserError: if a cell does not fit the kind of the column; the message has its row.

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
    parse = PARSERS[column.kind]
    try:
        numbers = parse(cells)
    except pa.ArrowInvalid as error:
        row, cell = _first_invalid(cells, parse)
        raise UserError(f"row {row}, column {column.name!r}: {cell!r} is not a {column.kind}.") from error
    with np.errstate(over="ignore"):
        numbers = numbers.astype("float32")
    return np.where(np.isfinite(numbers), numbers, np.nan)


def encode_rows(columns: tuple[Column, ...], table: pa.Table) -> np.ndarray:
    """Return all rows of a table as float32, the encoded columns side by side.

    Args:
        columns: the columns of a schema. The table may have more columns; they are not read.
        table: any rows.

    Raises:
        UserError: if a column is missing, or a cell does not fit the kind of its column.
    """
    used = [column for column in columns if column.width]
    for column in used:
        require_column(table.column_names, column.name, "the table")
    parts = [encode_column(column, table[column.name]) for column in used]
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
        return str(EPOCH + int(numbers[3]))
    if column.kind == ColumnKind.BOOLEAN:
        return {0.0: "false", 1.0: "true"}[float(numbers[0])]
    return f"{numbers[0]:g}"


def have_leading_zeros(cells: pa.ChunkedArray) -> bool:
    """Whether a number is written with a leading zero, such as 00501: then the numbers are codes, not amounts."""
    return bool(pc.any(pc.match_substring_regex(cast_to_text(cells), r"^0\d")).as_py())


def cast_to_text(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    return cells.cast(pa.string())


def parse_numbers(cells: pa.ChunkedArray) -> np.ndarray:
    """Return each cell as one float64, `(rows, 1)`."""
    return cells.cast(pa.float64(), safe=False).to_numpy()[:, None]


def parse_booleans(cells: pa.ChunkedArray) -> np.ndarray:
    """Return 1 for true or yes and 0 for false or no, in upper or lower case, `(rows, 1)`."""
    if not pa.types.is_boolean(cells.type):
        text = pc.utf8_lower(cast_to_text(cells))
        true, false = (pc.is_in(text, value_set=pa.array(words)) for words in (TRUE, FALSE))
        if not pc.all(pc.or_(pc.or_(true, false), pc.is_null(text)), min_count=0).as_py():
            raise pa.ArrowInvalid("neither true nor false")
        cells = pc.if_else(pc.is_null(text), None, true)
    return cells.cast(pa.float64()).to_numpy()[:, None]


def parse_dates(cells: pa.ChunkedArray) -> np.ndarray:
    """Return year, month, day of the week from 0 for Monday, and days since 1970, `(rows, 4)`.

    Text cells are ISO dates, with or without a time.
    """
    moments = cells.cast(pa.timestamp("us"), safe=False)
    days = pc.divide(moments.cast(pa.int64()).cast(pa.float64()), 86_400e6)
    parts = (pc.year(moments), pc.month(moments), pc.day_of_week(moments), pc.floor(days))
    return np.stack([part.cast(pa.float64()).to_numpy() for part in parts], axis=1)


PARSERS = {ColumnKind.NUMBER: parse_numbers, ColumnKind.BOOLEAN: parse_booleans, ColumnKind.DATE: parse_dates}
"""The parser of each kind, in the order in which `infer_column` tries them."""


def _infer_kind(known: pa.ChunkedArray) -> ColumnKind:
    kinds: Iterable[ColumnKind] = PARSERS
    if pa.types.is_boolean(known.type):
        kinds = (ColumnKind.BOOLEAN,)
    elif pa.types.is_temporal(known.type):
        kinds = (ColumnKind.DATE,)
    elif not _is_text(known):
        kinds = (ColumnKind.NUMBER,)
    return next((kind for kind in kinds if _is_kind(kind, known)), ColumnKind.CATEGORY)


def _is_kind(kind: ColumnKind, cells: pa.ChunkedArray) -> bool:
    try:
        PARSERS[kind](cells)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _is_text(cells: pa.ChunkedArray) -> bool:
    return pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)


def _first_invalid(cells: pa.ChunkedArray, parse: Callable[[pa.ChunkedArray], np.ndarray]) -> tuple[int, str]:
    """The row, counted from 1, and the text of the first cell that `parse` rejects."""
    for row in range(len(cells)):
        try:
            parse(cells.slice(row, 1))
        except pa.ArrowInvalid:
            return row + 1, str(cells[row].as_py())
    raise AssertionError("every cell alone can be parsed")


def normalize_missing(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strip the spaces around texts, and replace the texts that stand for a missing value by null.

    Cells that are not text do not change.

    Example:
        >>> normalize_missing(pa.chunked_array([[" a", "?"]])).to_pylist()
        ['a', None]
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if not _is_text(cells):
        return cells
    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING_VALUES, text.type)), None, text)
