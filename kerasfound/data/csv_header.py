"""Whether the first row of a CSV file has the names of the columns, and names for those that have none."""

import collections
import itertools
import re
from collections.abc import Callable, Sequence

from kerasfound.preprocessing.table_rows import MISSING_VALUES

AMOUNT = re.compile(r"[^A-Za-z]*\d[^A-Za-z]*([eE][-+]?\d+)?")
"""A number, a date, a time or a price: digits, and no letters but those of an exponent."""
MAX_CATEGORIES = 20
"""Different words in a column of categories."""
MOSTLY = 0.9
"""Share of a column's cells that are amounts, in a column of amounts."""


def has_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has names. Where nothing speaks against it, it has.

    It has none if it has amounts where the others have, and nowhere a word in a column of amounts; or, in a table of
    words only, if one of its words is common in its column. Names can be whole numbers, such as years, if they count up
    or if the words beside them are none of the categories in their columns.

    Args:
        first: the cells of the first row.
        rows: some of the rows after it.

    Example:
        >>> has_header(["age", "2011"], [["31", "5"], ["40", "6"]]), has_header(["25", "7"], [["31", "5"], ["40", "6"]])
        (True, False)
    """
    columns = [[row[i] for row in rows if not _is_missing(row[i])] for i in range(len(first))]
    amounts = [sum(map(_is_amount, cells)) >= MOSTLY * len(cells) > 0 for cells in columns]
    in_amounts = [name for name, amount in zip(first, amounts, strict=True) if amount and not _is_missing(name)]
    if in_amounts and all(map(_is_amount, in_amounts)):
        categories = [(name, set(cells)) for name, cells in zip(first, columns, strict=True) if _are_categories(cells)]
        are_new = bool(categories) and not any(name in cells for name, cells in categories)
        return _are_equal_steps(in_amounts) or (are_new and all(name.strip().isdecimal() for name in in_amounts))
    if in_amounts:
        return True
    return not any(_is_common(name, cells) for name, cells in zip(first, columns, strict=True))


def complete_names(names: Sequence[str], tell: Callable[[str], object]) -> list[str]:
    """Return a name for each column, where one is blank or occurs twice.

    Without a name the first column is `index`, as in pandas, the third is `column_3`. The second `size` is `size_2`.

    Args:
        names: the cells of the header.
        tell: receives a line about what was changed.
    """
    stripped = [" ".join(name.split()) for name in names]
    seen: collections.Counter[str] = collections.Counter()
    complete: list[str] = []
    for place, name in enumerate(stripped, start=1):
        name = name or ("index" if place == 1 else f"column_{place}")
        seen[name] += 1
        while name in complete:
            name = f"{stripped[place - 1]}_{seen[name]}"
        complete.append(name)
    changed = [
        f"column {i} is called {new!r}"
        for i, (old, new) in enumerate(zip(stripped, complete, strict=True), 1)
        if old != new
    ]
    if changed:
        tell(f"names that are blank or occur twice: {', '.join(changed)}")
    return complete


def _is_missing(cell: str) -> bool:
    return cell.strip() in MISSING_VALUES


def _is_amount(cell: str) -> bool:
    return bool(AMOUNT.fullmatch(cell.strip()))


def _are_categories(cells: Sequence[str]) -> bool:
    return bool(cells) and not any(map(_is_amount, cells)) and len(set(cells)) <= min(MAX_CATEGORIES, len(cells) / 2)


def _are_equal_steps(cells: list[str]) -> bool:
    """Whether the cells count up, as years do that are the names of columns: 2019, 2020, 2021."""
    if len(cells) < 3 or not all(cell.strip().isdecimal() for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    return len({b - a for a, b in itertools.pairwise(numbers)}) == 1 and numbers[0] != numbers[1]


def _is_common(word: str, cells: list[str]) -> bool:
    return not _is_missing(word) and cells.count(word) >= max(2, len(cells) / 100)
