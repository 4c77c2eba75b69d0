"""The operations on texts that Arrow, TensorFlow and ONNX share.

The rules that read numbers and dates are written once, with these operations, so that training, the SavedModel and the
ONNX file read the same cells.
"""

import re
from typing import Any, Protocol

BAD = "a_cell_of_another_form"
"""Replaces a text that does not fit. It cannot be converted to a number, so the conversion raises an error."""


class TextOperations(Protocol):
    """Operations on one text, or on all texts of a column. A plain `str` stands for the same text in every row."""

    def matches(self, x: Any, pattern: str) -> Any:
        """Whether the pattern matches the whole text."""

    def select(self, condition: Any, x: Any, y: Any) -> Any:
        """`x` where the condition is true, otherwise `y`."""

    def split(self, x: Any, separator: str, count: int) -> list[Any]:
        """The first `count` parts of each text. Texts with fewer parts have empty ones at the end."""

    def replace(self, x: Any, old: str, new: str, count: int) -> Any:
        """`new` in place of `old`, which is at most `count` times in each text."""

    def join(self, *parts: Any) -> Any:
        """The parts of each row as one text."""

    def lookup(self, x: Any, values: dict[str, str], default: str) -> Any:
        """The value of each text; `default` for texts without one."""

    def to_integer(self, x: Any) -> Any:
        """The integer that each text is. Integers have the operators `+ - * // % <=`."""

    def to_number(self, x: Any) -> Any:
        """The floating-point number that each text is."""

    def divide(self, x: Any, divisor: int, missing: Any) -> Any:
        """The integers as floating-point numbers, divided; NaN where `missing` is true."""


class PlainTexts:
    """The operations on a single `str`."""

    def matches(self, x: str, pattern: str) -> bool:
        return bool(re.fullmatch(pattern, x))

    def select(self, condition: bool, x: str, y: str) -> str:
        return x if condition else y

    def split(self, x: str, separator: str, count: int) -> list[str]:
        return (x + separator * count).split(separator)[:count]

    def replace(self, x: str, old: str, new: str, count: int) -> str:
        return x.replace(old, new)

    def join(self, *parts: str) -> str:
        return "".join(parts)

    def lookup(self, x: str, values: dict[str, str], default: str) -> str:
        return values.get(x, default)

    def to_integer(self, x: str) -> int:
        return int(x)

    def to_number(self, x: str) -> float:
        return float(x)

    def divide(self, x: int, divisor: int, missing: bool) -> float:
        return float("nan") if missing else x / divisor
