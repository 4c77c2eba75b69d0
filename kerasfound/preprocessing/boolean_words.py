"""Booleans in many spellings: the words for true and false, and marks such as `x` in the true cells."""

import itertools
from typing import Any

from kerasfound.bundle.cell_formats import BooleanFormat

from .missing_values import GAPS
from .text_operations import BAD, TextOperations

PAIRS = (
    *(("true", "false"), ("yes", "no"), ("on", "off"), ("1", "0"), ("y", "n"), ("t", "f")),
    *(("ja", "nein"), ("wahr", "falsch"), ("j", "n"), ("oui", "non"), ("vrai", "faux"), ("o", "n")),
    *(("si", "no"), ("sí", "no"), ("sì", "no"), ("s", "n"), ("verdadero", "falso"), ("vero", "falso")),
    *(
        ("sim", "não"),
        ("ja", "nee"),
        ("ja", "nej"),
        ("ja", "nei"),
        ("tak", "nie"),
        ("да", "нет"),
        ("evet", "hay\u0131r"),
    ),
    *(("是", "否"), ("はい", "いいえ"), ("✓", "✗"), ("✔", "✘")),
)
"""The word for true and the word for false, in lower case."""
MARKS = ("x", "✓", "✔", "☑")
TRUE, FALSE = (frozenset(words) for words in zip(*PAIRS, strict=True))


def are_booleans(words: set[str]) -> bool:
    """Whether words in lower case are booleans: both values occur, and single letters are those of one pair.

    Example:
        >>> are_booleans({"yes", "no", "true"}), are_booleans({"y", "f"}), are_booleans({"1", "0"})
        (True, False, False)
    """
    if not words <= TRUE | FALSE or words <= {"1", "0"}:
        return False
    letters = {word for word in words if len(word) == 1 and word.isascii() and word.isalpha()}
    one_pair = any(letters <= set(pair) for pair in PAIRS)
    return one_pair and bool(words & TRUE) and bool(words & FALSE)


def cells(form: BooleanFormat | None) -> dict[str, str]:
    """Return the cells that are true, false or missing, with their numbers as text."""
    values = dict.fromkeys(GAPS, "0" if form else "nan")
    values |= dict.fromkeys({form.mark.lower(), form.mark.upper()}, "1") if form else {}
    for words, number in ((TRUE, "1"), (FALSE, "0")):
        for word in words:
            values |= dict.fromkeys(_spellings(word), number)
    return values


def parse(texts: TextOperations, form: BooleanFormat | None, x: Any) -> Any:
    """Return 1 for true, 0 for false, and NaN for missing values.

    Example:
        >>> from kerasfound.preprocessing.text_operations import PlainTexts
        >>> [parse(PlainTexts(), None, word) for word in ("Yes", "FALSE", "nein", "")]
        [1.0, 0.0, 0.0, nan]
    """
    return texts.to_number(texts.lookup(x, cells(form), BAD))


def _spellings(word: str) -> set[str]:
    """Every mix of upper and lower case."""
    return set(map("".join, itertools.product(*({letter, letter.upper()} for letter in word))))
