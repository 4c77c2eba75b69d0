"""How a CSV file is written: its separator, the number of cells in a row, and the line that its rows begin at.

The separator is the sign that gives the most rows the same number of cells. The first line alone can mislead: it may be
Excel's `sep=;`, a comment, or have names with commas.
"""

import collections
import csv
import re
from collections.abc import Sequence
from typing import NamedTuple

SEPARATORS = "\t;|,"
"""In this order where two of them fit equally well: a comma is also part of numbers and texts."""
SPACE = " "
"""Any number of spaces, where no other separator fits and nearly all lines have the same number of words."""
MIN_LINES = 3
"""Fewest lines of a table between spaces: fewer can be a text."""
NONE = "\x1f"
"""The separator of a file with a single column: ASCII's unit separator, which no text has."""
SAMPLE = 1_000
"""Lines that the separator is decided on."""
EXCEL_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


class Dialect(NamedTuple):
    """How a CSV file is written.

    Args:
        separator: the character between two cells.
        width: the number of cells in a row.
        consistency: the share of the rows with this number of cells.
        first: the line of the header or, without one, of the first row.
        comments: the lines before it that hold something.
    """

    separator: str
    width: int
    consistency: float
    first: int
    comments: tuple[str, ...]


def find_dialect(lines: Sequence[str]) -> Dialect:
    """Infer the dialect from the lines of a file.

    Example:
        >>> find_dialect(["# of a scale", "", "size, in m;y", "1,5;a", "2,5;b"])
        Dialect(separator=';', width=2, consistency=1.0, first=2, comments=('# of a scale',))
    """
    stated = next((EXCEL_LINE.fullmatch(line) for line in lines[:1]), None)
    start = 1 if stated else 0
    sample = [line for line in lines[start : start + SAMPLE] if not is_blank(line) and not line.startswith("#")]
    head = sample[0] if sample else ""
    separators = stated[1] if stated else SEPARATORS
    separator, width, consistency = max((_measure(sample, s) for s in separators), key=lambda m: _fitness(m, head))
    if width == 1 or (consistency < 0.5 and separator not in head):
        separator, width, consistency = _measure(sample, SPACE)
        if width < 3 or consistency < 0.98 or len(sample) < MIN_LINES:
            separator, width, consistency = NONE, 1, 1.0
    first = start
    while first < len(lines) - 1 and _is_before_the_header(lines[first], separator, width):
        first += 1
    comments = tuple(line.strip() for line in lines[start:first] if not is_blank(line))
    return Dialect(separator, width, consistency, first, comments)


def is_blank(line: str) -> bool:
    return not line or line.isspace()


def split_plainly(line: str, separator: str) -> list[str]:
    """The cells of a line in which quotes are characters like any other."""
    return line.split() if separator == SPACE else line.split(separator)


def _measure(lines: list[str], separator: str) -> tuple[str, int, float]:
    """The separator, the commonest number of cells above one, and the share of the rows with it."""
    try:
        rows = csv.reader((f"{line.rstrip(SPACE)}\n" for line in lines), delimiter=separator, skipinitialspace=True)
        widths = collections.Counter(len(row) for row in rows)
    except csv.Error:  # a quote that never closes
        widths = collections.Counter(len(split_plainly(line, separator)) for line in lines)
    total = widths.total()
    del widths[1]
    (width, count), *_ = widths.most_common(1) or [(1, 0)]
    return separator, width, count / max(total, 1)


def _fitness(measured: tuple[str, int, float], head: str) -> tuple[float, bool, int]:
    separator, width, consistency = measured
    (names,) = csv.reader([head], delimiter=separator, skipinitialspace=True) if head else ([],)
    return round(consistency, 2), len(names) == width, -SEPARATORS.find(separator)


def _is_before_the_header(line: str, separator: str, width: int) -> bool:
    if is_blank(line):
        return True
    cells = split_plainly(line, separator)
    is_open = line.count('"') % 2 == 1  # a name with a line break
    is_title = sum(not is_blank(cell) for cell in cells) < 2 <= width - 1 and not is_open
    is_row = len(cells) == width and not line[1:2].isspace()  # a hashtag
    return is_title or (line.startswith("#") and not is_row)
