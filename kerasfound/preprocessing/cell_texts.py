"""A single cell of a column as text: the words for what the column has, and for a cell that does not fit."""

from typing import Any

from kerasfound.bundle.cell_formats import BooleanFormat, DateFormat, NumberFormat
from kerasfound.bundle.schema import Column, ColumnKind

from . import boolean_words, date_formats, number_formats
from .text_operations import PlainTexts, TextOperations


def describe_column(column: Column) -> str:
    """Return the kind of a column, and how its cells are written.

    Example:
        >>> describe_column(Column("day", ColumnKind.DATE, format=DateFormat("dmy", "/", example="31/12/2024")))
        "date, day first, '31/12/2024'"
        >>> describe_column(Column("id", ColumnKind.IGNORED, reason="row numbers"))
        'ignored: row numbers'
    """
    if isinstance(column.format, NumberFormat):
        return number_formats.describe(column.format)
    if isinstance(column.format, DateFormat) and column.format.example:
        return date_formats.describe(column.format)
    if isinstance(column.format, BooleanFormat):
        return f"boolean, {column.format.mark!r} or empty"
    return f"{column.kind}: {column.reason}" if column.reason else str(column.kind)


def cell_error(column: Column, text: str) -> str:
    """Return why a cell cannot be read, for an error.

    Example:
        >>> cell_error(Column("age", ColumnKind.NUMBER), "old")
        "'old' is not a number"
    """
    example = getattr(column.format, "example", "")
    return f"{text!r} is not a {column.kind}" + (f" written as in {example!r}" if example else "")


def parse_texts(texts: TextOperations, column: Column, x: Any) -> list[Any]:
    """Return the numbers of the texts of a column of numbers, booleans or dates: one list item for each number.

    Args:
        texts: the operations of Arrow, TensorFlow, ONNX, or on a single text.
        column: the column.
        x: its texts.

    Example:
        >>> parse_texts(PlainTexts(), Column("sold", ColumnKind.BOOLEAN), "Yes")
        [1.0]
    """
    form = column.format
    if column.kind == ColumnKind.DATE:
        return date_formats.parse(texts, form if isinstance(form, DateFormat) else DateFormat(), x)
    if column.kind == ColumnKind.BOOLEAN:
        return [boolean_words.parse(texts, form if isinstance(form, BooleanFormat) else None, x)]
    return [number_formats.parse(texts, form if isinstance(form, NumberFormat) else NumberFormat(), x)]


def can_be_read(column: Column, text: str) -> bool:
    """Whether the text is a cell of this column; missing values are, and all texts of a category column.

    Example:
        >>> can_be_read(Column("sold", ColumnKind.BOOLEAN), "perhaps")
        False
    """
    try:
        if column.kind != ColumnKind.CATEGORY:
            parse_texts(PlainTexts(), column, text)
    except ValueError:
        return False
    return True


def write_cell(column: Column, value: bool | float) -> str:
    """Return a number, `True` or `False` as a cell of a column that is read as text.

    Example:
        >>> write_cell(Column("price", ColumnKind.NUMBER, format=NumberFormat(",", ".", unit="€")), 1234.5)
        '1234,5'
        >>> write_cell(Column("rank", ColumnKind.CATEGORY, ("1", "2")), 2)
        '2'
    """
    if isinstance(column.format, NumberFormat) and not isinstance(value, bool):
        return number_formats.write(column.format, value)
    if column.kind == ColumnKind.CATEGORY:
        spellings = [str(value), str(value).lower(), str(value).upper(), f"{value:g}", str(float(value))]
        return next((text for text in spellings if text in column.categories), spellings[0])
    return str(value)
