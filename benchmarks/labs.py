"""All labs with their defaults on both backends: numbers with intervals, verdicts, CPU seconds, and wrong blocks.

    python benchmarks/labs.py table                      # one row for each lab
    python benchmarks/labs.py table --only structure     # the labs of a chapter
    python benchmarks/labs.py wrong-block xor            # the verdict with the wrong block of tests/labs/cases

Every lab runs in a new process. Its seconds are without the imports.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from runpy import run_path

import cyclopts
import pytest

from kerasfound import labs
from kerasfound.labs.evidence import Outcome, Verdict
from kerasfound.labs.measured import significant

ROOT = Path(__file__).parents[1]
NUMBERS = 3
"""How many numbers of a lab the table shows, the first ones."""
app = cyclopts.App()


@app.command
def table(only: str | None = None) -> None:
    """Print the claim, the numbers and the verdict of each lab on TensorFlow, and the seconds on both backends.

    Args:
        only: the name of a chapter.
    """
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| lab | claim | first numbers, mean [95% interval] | verdict | on JAX | s | s, JAX | wrong block |")
    print("|---|---|---|---|---|---|---|---|")
    for name in labs.names_of(only):
        print(row(name), flush=True)


def row(name: str) -> str:
    tensorflow, jax = run(name, "tensorflow"), run(name, "jax")
    numbers = list(tensorflow["numbers"].items())[:NUMBERS]
    cells = [
        name,
        tensorflow["claim"],
        "<br>".join(f"{key}: {interval(number)}" for key, number in numbers),
        verdict_of(tensorflow),
        "the same" if jax["verdict"]["outcome"] == tensorflow["verdict"]["outcome"] else verdict_of(jax),
        f"{tensorflow['seconds']:.0f}",
        f"{jax['seconds']:.0f}",
        subprocess.run(
            [sys.executable, __file__, "wrong-block", name], check=True, capture_output=True, text=True
        ).stdout,
    ]
    return f"| {' | '.join(cell.strip().replace('|', chr(92) + '|') for cell in cells)} |"


def run(name: str, backend: str) -> dict:
    """The result of a lab as its JSON file has it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "kerasfound",
            "lab",
            name.replace("_", "-"),
            "--backend",
            backend,
            "--out",
            folder,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return json.loads((Path(folder) / f"{name}.json").read_text())


def interval(number: dict) -> str:
    mean, low, high = (significant(float(number[end])) for end in ("mean", "low", "high"))
    return mean if low == high else f"{mean} [{low}, {high}]"


def verdict_of(result: dict) -> str:
    return str(Verdict(Outcome(result["verdict"]["outcome"]), result["verdict"]["explanation"]))


@app.command
def wrong_block(name: str) -> None:
    """Print what the wrong block of a lab is, the right verdict and the one with it, with the settings of its test."""
    file = ROOT / "tests" / "labs" / "cases" / f"{labs.CHAPTERS[name]}.py"
    knobs, right, mutant = run_path(str(file))["CASES"][name]
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        outcome = labs.find(name)(**knobs).verdict.outcome.value
    print(f"{mutant.__doc__.splitlines()[0].rstrip('.')}: {right} -> {outcome}")


if __name__ == "__main__":
    app()
