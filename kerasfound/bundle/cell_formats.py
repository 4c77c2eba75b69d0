"""How the cells of a column are written: the forms of numbers, dates and booleans."""

import msgspec


class NumberFormat(msgspec.Struct, frozen=True, tag="number"):
    """Numbers that are not plain: with a decimal comma, thousands separators, a unit or digits of another script.

    Args:
        decimal: the character before the fraction.
        thousands: the character between groups of digits; a space stands for each of `spaces`.
        spaces: the kinds of space in the cells.
        unit: the text before or after the number, such as `"€"`, `"%"` or `"kg"`.
        exponent: whether cells may have an exponent, as in `1,5E+03`.
        zero: the digit zero of the script.
        example: a cell of the training table.
    """

    decimal: str = "."
    thousands: str = ""
    spaces: str = " "
    unit: str = ""
    exponent: bool = False
    zero: str = "0"
    example: str = ""


class DateFormat(msgspec.Struct, frozen=True, tag="date"):
    """Dates with or without a time of day.

    Args:
        order: the order of year, month and day: `"ymd"`, `"dmy"` or `"mdy"`.
        separator: the character between them; empty for `20241231`.
        month_names: whether months are English names, as in `1 Jan 2024`.
        short_year: whether years have two digits: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068.
        hours: whether the time of day is a number of the encoded row.
        half_days: whether times have AM or PM.
        zones: whether times have an offset from UTC, or `Z`.
        example: a cell of the training table.
    """

    order: str = "ymd"
    separator: str = "-"
    month_names: bool = False
    short_year: bool = False
    hours: bool = False
    half_days: bool = False
    zones: bool = False
    example: str = ""


class BooleanFormat(msgspec.Struct, frozen=True, tag="boolean"):
    """A mark such as `x` in the cells that are true; the other cells are empty.

    Args:
        mark: the mark of true cells.
    """

    mark: str = "x"


CellFormat = NumberFormat | DateFormat | BooleanFormat
