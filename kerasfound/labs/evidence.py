"""What an experiment shows: its findings, the verdict that follows from them, and the result that a person reads."""

from __future__ import annotations

import enum
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .figure import Figure
from .measured import Measured


class Outcome(enum.Enum):
    """The four verdicts on a claim."""

    HOLDS = "holds"
    HOLDS_IF = "holds if"
    FALSE = "false as stated"
    NOT_TESTABLE = "not testable here"


@dataclass(frozen=True)
class Verdict:
    """A verdict with its condition, with what is true instead, or with why nothing was decided."""

    outcome: Outcome
    explanation: str = ""

    def __str__(self) -> str:
        separator = " " if self.outcome is Outcome.HOLDS_IF else ": "
        return f"{self.outcome.value}{separator}{self.explanation}" if self.explanation else self.outcome.value


@dataclass(frozen=True)
class Finding:
    """A statement that the experiment decides.

    Args:
        statement: one sentence without its full stop.
        shown: whether the numbers show it; None if their intervals do not decide.
        condition: for a limit of the claim, what must be the case for the claim to hold.
        otherwise: for a prediction of the claim, what is true instead if it fails.
    """

    statement: str
    shown: bool | None
    condition: str = ""
    otherwise: str = ""

    def __str__(self) -> str:
        return f"{ {True: 'yes', False: 'no', None: 'undecided'}[self.shown]:<9} {self.statement}"


def predicts(statement: str, shown: bool | None, otherwise: str) -> Finding:
    """What must be the case if the claim is true; `otherwise` says what is true if it is not the case."""
    return Finding(statement, shown, otherwise=otherwise)


def limit(statement: str, shown: bool | None, condition: str) -> Finding:
    """A case in which the claim fails; `condition` says what excludes this case: "holds if <condition>"."""
    return Finding(statement, shown, condition=condition)


def untestable(statement: str, why: str) -> Finding:
    """A part of the claim that this experiment cannot decide."""
    return Finding(f"{statement} ({why})", None)


@dataclass(frozen=True)
class Evidence:
    """What a lab returns.

    Args:
        numbers: what was measured, by name with its unit.
        findings: what the numbers show about the claim.
        figure: the numbers as curves, bars or pictures.
    """

    numbers: Mapping[str, Measured]
    findings: tuple[Finding, ...]
    figure: Figure

    @property
    def verdict(self) -> Verdict:
        """False if a prediction fails, undecided if a finding is; limits that are shown give conditions."""
        failed = [finding for finding in self.findings if finding.otherwise and finding.shown is False]
        if failed:
            return Verdict(Outcome.FALSE, "; ".join(finding.otherwise for finding in failed))
        undecided = [finding for finding in self.findings if finding.shown is None]
        if undecided:
            return Verdict(Outcome.NOT_TESTABLE, "; ".join(f"undecided: {each.statement}" for each in undecided))
        limits = [finding.condition for finding in self.findings if finding.condition and finding.shown]
        return Verdict(Outcome.HOLDS_IF, " and ".join(limits)) if limits else Verdict(Outcome.HOLDS)


@dataclass(frozen=True)
class Result:
    """The result of a lab: prints as text, shows in a notebook with its figure, and `save` writes it to files."""

    name: str
    claim: str
    who: str
    knobs: Mapping[str, Any]
    backend: str
    seconds: float = field(compare=False)
    evidence: Evidence

    @property
    def verdict(self) -> Verdict:
        return self.evidence.verdict

    @property
    def numbers(self) -> Mapping[str, Measured]:
        return self.evidence.numbers

    def __str__(self) -> str:
        width = max(map(len, self.numbers), default=0)
        return "\n".join(
            [
                f"{self.name}: {self.claim}",
                f"claimed by: {self.who}",
                "",
                *(f"  {name:<{width}}  {number}" for name, number in self.numbers.items()),
                "",
                *(f"  {finding}" for finding in self.evidence.findings),
                "",
                textwrap.fill(f"verdict: {self.verdict}", 110, subsequent_indent="  "),
            ]
        )

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        rows = [f"| {name} | {number} |" for name, number in self.numbers.items()]
        findings = [f"- {finding}" for finding in self.evidence.findings]
        return "\n".join(
            [
                f"### {self.name}",
                f"**{self.claim}** ({self.who})",
                "",
                *("| | mean [95% interval] |", "|---|---|", *rows),
                "",
                *findings,
                "",
                f"**Verdict: {self.verdict}**",
                "",
                f"![{self.evidence.figure.alt_text}](data:image/png;base64,{self.evidence.figure.png()})",
            ]
        )

    def save(self, folder: str | Path) -> Path:
        """Write `NAME.svg`, `NAME.png` and `NAME.json` to `folder`, and return the path of the JSON file."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in ("svg", "png"):
            self.evidence.figure.draw(folder / f"{self.name}.{suffix}")
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.as_json(), indent=1, allow_nan=False) + "\n")
        return path

    def as_json(self) -> dict[str, Any]:
        """The result in numbers and texts; a number that is not finite is a string."""
        numbers = {
            name: {"mean": number.mean, "low": number.low, "high": number.high, "values": list(number.values)}
            for name, number in self.numbers.items()
        }
        findings = [{"statement": each.statement, "shown": each.shown} for each in self.evidence.findings]
        return _finite(
            {
                "name": self.name,
                "claim": self.claim,
                "who": self.who,
                "knobs": dict(self.knobs),
                "backend": self.backend,
                "seconds": round(self.seconds, 1),
                "numbers": numbers,
                "findings": findings,
                "verdict": {"outcome": self.verdict.outcome.value, "explanation": self.verdict.explanation},
                "alt_text": self.evidence.figure.alt_text,
                "figure": self.evidence.figure.as_json(),
            }
        )


def _finite(value: Any) -> Any:
    """Replace infinities and NaN, which JSON does not have, by their names."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value
