"""With small settings every lab has the verdict that its numbers must show, and a wrong block turns it.

Each file in `cases/` has a table `CASES` for the labs of a chapter: name -> small knobs, the verdict, a wrong block. A
wrong block is a function `mutant(patch)` that replaces a part of the package by a wrong one.
"""

from pathlib import Path
from runpy import run_path

import pytest

from kerasfound import labs

CASES = {
    name: case
    for file in sorted((Path(__file__).parent / "cases").glob("*.py"))
    for name, case in run_path(str(file))["CASES"].items()
}


def run(name):
    result = labs.find(name)(**CASES[name][0])
    return result, result.verdict.outcome.value


def test_every_lab_has_a_case():
    assert sorted(CASES) == sorted(labs.CHAPTERS)
    assert all(mutant.__doc__ for _, _, mutant in CASES.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_verdict(name):
    result, verdict = run(name)
    assert verdict == CASES[name][1], result
    assert result.evidence.figure.alt_text


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_wrong_block_turns_the_verdict(name, monkeypatch):
    _, right, mutant = CASES[name]
    mutant(monkeypatch)
    result, verdict = run(name)
    assert verdict != right, result
