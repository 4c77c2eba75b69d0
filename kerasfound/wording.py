"""Counts and lists in sentences."""

from collections.abc import Collection, Iterable

MAX_NAMES = 5
"""The first names that are listed; of the others only the number."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, in the singular for 1.

    Args:
        number: how many there are.
        noun: the noun in the singular, the last of its words too.
        plural: the noun in the plural. Defaults to the noun with an s.

    Example:
        >>> counted(1, "file"), counted(1200, "empty row"), counted(0, "class", "classes")
        ('1 file', '1,200 empty rows', '0 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def enumerate_some(names: Collection[str], separator: str = ", ", limit: int = MAX_NAMES) -> str:
    """The first names, and how many more there are.

    Example:
        >>> enumerate_some(["a", "b", "c"], limit=2)
        'a, b and 1 more'
    """
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return separator.join(list(names)[:limit]) + more


def row_numbers(places: Iterable[int]) -> str:
    """The numbers of rows, from 1; of many rows the first.

    Args:
        places: the indices of the rows, from 0.

    Example:
        >>> row_numbers([3]), row_numbers([3, 8])
        ('row 4', 'rows 4, 9')
    """
    numbers = [f"{place + 1:,}" for place in places]
    return f"row{'s' if len(numbers) > 1 else ''} {enumerate_some(numbers)}"
