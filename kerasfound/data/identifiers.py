"""Row numbers and ids: columns that name the rows and say nothing about them.

The name decides together with the cells. A counter 0, 1, 2, ... is a row number under any name but that of an amount or
a time. Different whole numbers or texts are ids under the name of an id only: all prices can be different too.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NAMELESS = re.compile(r"unnamed[: _]*\d+.*|index|level_\d+|__index_level_\d+__|\.{3}\d+|row_?names?", re.IGNORECASE)
"""The names that pandas, R and our own reader give to a column without one."""
ID_WORDS = {
    "id", "ids", "uuid", "guid", "pid", "uid", "sid", "cid", "eid", "oid", "rid", "gid", "key", "pk", "idx", "hash",
    "md5", "sha1", "sha256", "serial",
}  # fmt: skip
JOINED_ID = re.compile(
    "(account|book|case|client|customer|employee|event|house|invoice|item|listing|loan|member|movie|object|order|"
    "passenger|patient|person|policy|post|product|property|rec|record|row|sample|session|song|student|subject|ticket|"
    "track|transaction|tweet|unit|user|visit)(id|num|number|no)"
)
"""Names of ids whose words are not told apart, such as customerid or ROWNUMBER."""
NUMBER_WORDS = {"no", "nr", "num", "number"}
"""As the last of several words: RowNumber, Ticket No."""
AMOUNT_WORDS = {
    "age", "amount", "area", "count", "day", "days", "date", "depth", "distance", "dose", "duration", "height",
    "hour", "hours", "income", "length", "level", "minute", "minutes", "month", "months", "period", "population",
    "position", "price", "quantity", "rank", "revenue", "salary", "score", "second", "seconds", "size", "speed",
    "step", "t", "temp", "temperature", "time", "total", "value", "volume", "week", "weeks", "weight", "width",
    "year", "years", "jahr",
}  # fmt: skip
"""Names of columns in which a counter is a measurement: a series of years, of doses, of distances."""
CODE = "^[0-9A-Za-z]*[0-9][0-9A-Za-z]*([-_.:/][0-9A-Za-z]+)*$"
"""Letters with digits, without spaces: 7590-VHVEG, or a UUID."""
MOSTLY = 0.9
"""Share of the rows with a value of their own, in a column of ids."""


def identifier_reason(name: str, cells: pa.ChunkedArray) -> str:
    """Say why a column names rows; empty if it does not.

    Args:
        name: the name of the column.
        cells: all its cells, in the order of the file.

    Example:
        >>> counter = pa.chunked_array([range(100)])
        >>> identifier_reason("instant", counter), identifier_reason("year", counter)
        ('row number', '')
        >>> identifier_reason("CustomerId", pa.chunked_array([[52, 17, 33]]))
        'id'
    """
    if not (_is_text(cells) or _is_number(cells)):
        return ""
    words, known = name_words(name), cells.drop_null()
    is_nameless = bool(NAMELESS.fullmatch(name.strip()))
    is_id = is_nameless or _names_an_id(words)
    numbers = _whole_numbers(known)
    steps = np.diff(numbers) if numbers is not None and len(known) == len(cells) else np.zeros(1)
    starts = numbers is not None and numbers[0] in (0, 1)
    if (steps == 1).all() and (is_id or (starts and not AMOUNT_WORDS & set(words))):
        return "row number"
    if is_nameless and (steps == 1).mean() >= MOSTLY:
        return "row number, several times from the start"
    if not is_id or len(known.unique()) < MOSTLY * len(cells):
        return ""
    if (steps > 0).all():
        return "row number"
    return "id" if numbers is not None or _are_codes(known) else ""


def name_words(name: str) -> list[str]:
    """The words of a name in lower case.

    Example:
        >>> name_words("CustomerId"), name_words("customerID"), name_words("row_number"), name_words("PID")
        (['customer', 'id'], ['customer', 'id'], ['row', 'number'], ['pid'])
    """
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]


def _names_an_id(words: list[str]) -> bool:
    if not words:
        return False
    last = words[-1]
    is_number = (len(words) > 1 and last in NUMBER_WORDS) or last.endswith("nummer")
    return is_number or "id" in (words[0], last) or last in ID_WORDS or bool(JOINED_ID.fullmatch(last))


def _whole_numbers(known: pa.ChunkedArray) -> np.ndarray | None:
    """The cells as whole numbers, if all of them are."""
    if len(known) < 2:
        return None
    for cells in (known.slice(0, 100), known):  # most columns are told by their first cells
        try:
            numbers = cells.cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            return None
        if not (numbers == np.rint(numbers)).all():
            return None
    return numbers


def _are_codes(known: pa.ChunkedArray) -> bool:
    if not _is_text(known):
        return False
    return bool(pc.mean(pc.match_substring_regex(known, CODE).cast(pa.float64())).as_py() >= MOSTLY)


def _is_text(cells: pa.ChunkedArray) -> bool:
    return pa.types.is_string(cells.type)


def _is_number(cells: pa.ChunkedArray) -> bool:
    return pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type)
