"""A count and its noun agree in number."""

import ast
import re
from pathlib import Path

import pytest

from kerasfound.wording import counted, enumerate_some

ROOT = Path(__file__).parent.parent
NOUN = re.compile(r" (bytes|cells|classes|columns|files|folders|images|labelled texts|rows|texts)\b")


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, ("row",), "1 row"), (0, ("row",), "0 rows"), (2, ("class", "classes"), "2 classes")],
)
def test_one_has_the_singular(number, noun, text):
    assert counted(number, *noun) == text


def test_of_many_names_the_first_are_listed_and_the_others_counted():
    assert enumerate_some(["a", "b"]) == "a, b"
    assert enumerate_some([*"abcdefg"]) == "a, b, c, d, e and 2 more"


def test_no_message_about_the_users_files_puts_a_plural_after_any_number():
    """The number in `f"{len(files)} files"` can be 1. `of 3 files` and constants are no such numbers."""
    found = []
    for file in sorted((ROOT / "kerasfound" / "data").glob("*.py")):
        for text in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.JoinedStr)):
            for value, after in zip(text.values, text.values[1:], strict=False):
                if (
                    isinstance(value, ast.FormattedValue)
                    and isinstance(after, ast.Constant)
                    and NOUN.match(after.value)
                ):
                    number = ast.unparse(value.value)
                    found += [] if number.isupper() else [f"{file.name}: {number}{NOUN.match(after.value)[0]}"]
    assert not found
