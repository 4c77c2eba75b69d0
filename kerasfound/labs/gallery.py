"""A page with the results of several labs."""

import html
from collections.abc import Sequence
from pathlib import Path

from .evidence import Result

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Labs</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; }}
td {{ border-bottom: 1px solid #ccc; padding: .2rem .8rem .2rem 0; }}
</style>
<h1>Labs</h1>
<table>{rows}</table>
{sections}
</html>
"""

SECTION = """<h2 id="{name}">{claim}</h2>
<p>Claimed by {who}. <b>Verdict: {verdict}.</b></p>
<img src="{name}.svg" alt="{alt_text}">
<table>{numbers}</table>
<ul>{findings}</ul>
<p>{command}, {seconds:.0f} CPU seconds on {backend}</p>"""


def write(results: Sequence[Result], folder: Path) -> Path:
    """Write `index.html` next to the saved figures, and return its path."""
    rows = "".join(
        f'<tr><td><a href="#{result.name}">{result.name}</a><td>{_text(result.claim)}<td>{_text(result.verdict)}'
        for result in results
    )
    path = folder / "index.html"
    path.write_text(PAGE.format(rows=rows, sections="\n".join(map(_section, results))))
    return path


def _section(result: Result) -> str:
    return SECTION.format(
        name=result.name,
        claim=_text(result.claim),
        who=_text(result.who),
        verdict=_text(result.verdict),
        alt_text=_text(result.evidence.figure.alt_text),
        numbers="".join(f"<tr><td>{_text(name)}<td>{number}" for name, number in result.numbers.items()),
        findings="".join(f"<li>{_text(finding)}" for finding in result.evidence.findings),
        command=f"<code>kerasfound lab {result.name.replace('_', '-')}</code>",
        seconds=result.seconds,
        backend=result.backend,
    )


def _text(value: object) -> str:
    return html.escape(str(value))
