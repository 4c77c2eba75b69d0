"""The lines of a CSV file as rows of cells, so that every line is part of exactly one row.

A double quote at the start of a cell can enclose it, with separators and line breaks inside, or be a character like any
other. A reader that always takes it for the first loses all rows up to the next quote.
"""

import csv
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kerasfound.errors import UserError
from kerasfound.wording import counted

from .csv_dialect import is_blank, split_plainly

csv.field_size_limit(2**31 - 1)
MAX_ROW_LIKE_LINES = 5
"""Lines of a quoted cell that by chance are rows with the right number of cells. If there are more, they are rows."""


class Row(NamedTuple):
    """One row of a file: its cells, the number of its lines, and whether its quotes are plain characters."""

    cells: list[str]
    lines: int
    plain: bool = False


def read_rows(
    lines: Sequence[str], separator: str, width: int, before: int, name: str
) -> tuple[list[list[str]], list[int]]:
    """Return the cells of all rows, and the rows, counted from 0, whose quotes are plain characters.

    Args:
        lines: all lines from the first row on. Blank lines are no rows if a row has two or more cells.
        separator: the character between two cells.
        width: the number of cells in a row. Empty cells after the last one are left out.
        before: the number of lines before them, for the messages.
        name: the file, for the messages.

    Raises:
        UserError: if a row has another number of cells.

    Example:
        >>> read_rows(['1,"two', 'lines"', '2,"a note', '3,"another note'], ",", 2, 0, "a.csv")
        ([['1', 'two\\nlines'], ['2', '"a note'], ['3', '"another note']], [1, 2])
    """
    rows: list[list[str]] = []
    plain: list[int] = []
    place = 0
    while place < len(lines):
        if width > 1 and is_blank(lines[place]):
            place += 1
            continue
        row = row_at(lines, place, separator, width)
        if len(row.cells) != width:
            line = before + place + 1
            fix = "put double quotes around text with a separator in it"
            if len(row.cells) < width:
                fix = "add the others, which may be empty, or remove the row"
            raise UserError(
                f"{name}: row {len(rows) + 1} of the data (line {line}) has {counted(len(row.cells), 'cell')} for "
                f"{counted(width, 'column')}; {fix}."
            )
        if row.plain:
            plain.append(len(rows))
        rows.append(row.cells)
        place += row.lines
    return rows, plain


def sample_rows(lines: Sequence[str], separator: str, width: int, first: int) -> list[list[str]]:
    """The rows from a line on that have `width` cells."""
    rows, place = [], first
    while place < len(lines):
        row = row_at(lines, place, separator, width)
        rows.append(row.cells)
        place += row.lines
    return [row for row in rows if len(row) == width]


def row_at(lines: Sequence[str], place: int, separator: str, width: int) -> Row:
    """The row that begins at a line, with `width` cells if there is a way to read it so."""
    line = lines[place]
    plain = Row(_fitted(split_plainly(line, separator), width), 1, plain='"' in line)
    if not plain.plain:
        return plain
    for row in _quoted_rows(lines, place, separator, width):
        if len(row.cells) == width and not _swallows_rows(lines[place : place + row.lines], separator, width):
            return row
    if len(plain.cells) == width:
        return plain
    return next(_quoted_rows(lines, place, separator, width), plain)


def _quoted_rows(lines: Sequence[str], place: int, separator: str, width: int) -> Iterator[Row]:
    """The row with its quotes around cells, if they are well formed; one inside is doubled, or after a backslash."""
    for escape in (None, "\\") if '\\"' in lines[place] else (None,):
        text = (f"{lines[i].rstrip(' ')}\n" for i in range(place, len(lines)))
        reader = csv.reader(text, delimiter=separator, escapechar=escape, skipinitialspace=True, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            continue
        yield Row(_fitted(cells, width), reader.line_num)


def _swallows_rows(lines: Sequence[str], separator: str, width: int) -> bool:
    """Whether the lines of a quoted cell are rows themselves, between two stray quotes."""
    if len(lines) == 1 or width == 1 or not all(line.count(separator) == width - 1 for line in lines):
        return False
    return separator == "\t" or len(lines) > MAX_ROW_LIKE_LINES


def _fitted(cells: list[str], width: int) -> list[str]:
    """Without the empty cells beyond `width`."""
    beyond = list(itertools.takewhile(is_blank, reversed(cells[width:])))
    return cells[: len(cells) - len(beyond)]
