"""Each test file of a chapter has a table `CASES`: lab -> small knobs, the verdict, a wrong block.

A wrong block is a function `mutant(patch)`: it replaces a part of the package by a wrong one with
`patch.setattr(...)`. The lab must notice: its verdict differs.
"""

from typing import Any, NamedTuple

import pytest

from kerasfound import labs


class Case(NamedTuple):
    """A lab with small settings."""

    name: str
    knobs: dict[str, Any]
    outcome: str
    mutant: Any

    def check(self) -> None:
        """The small experiment has the expected verdict, and can be written to files."""
        result = labs.find(self.name)(**self.knobs)
        assert result.verdict.outcome.value == self.outcome, result
        assert result.evidence.figure.alt_text

    def check_mutant(self, patch: pytest.MonkeyPatch) -> None:
        """With a wrong block the verdict differs."""
        self.mutant(patch)
        result = labs.find(self.name)(**self.knobs)
        assert result.verdict.outcome.value != self.outcome, result


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = [Case(name, *row) for name, row in metafunc.module.CASES.items()]
        metafunc.parametrize("case", cases, ids=[case.name for case in cases])
