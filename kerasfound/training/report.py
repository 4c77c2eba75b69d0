"""`report.html`: a self-contained page about a run. Its plots are also saved in `plots/`."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasfound.data import Split
from kerasfound.rounding import format_number

from .run import Run

STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "svg.hashsalt": "kerasfound",
}
"""Settings of Matplotlib for all plots."""


class Section(NamedTuple):
    """A section of the page: a plot, which is also saved as `plots/<name>.svg`, or a table whose first row is its head.

    `text` says what the plot or table shows.
    """

    name: str
    title: str
    text: str
    figure: Figure | None = None
    table: list[tuple[Any, ...]] | None = None


def write(
    run: Run, test: Split, outputs: np.ndarray, task_sections: Callable[[Split, np.ndarray, Run], list[Section]]
) -> None:
    """Draw the plots and write the page.

    Args:
        run: a run folder with its history, results, environment and schema.
        test: the test rows.
        outputs: the model's outputs for the test rows.
        task_sections: creates the sections that depend on the task.
    """
    with matplotlib.rc_context(STYLE):
        sections = [
            Section("curves", "Learning curves", "Training and validation metrics by epoch.", curves(run.history)),
            *task_sections(test, outputs, run),
        ]
        plots = {section.name: svg(section.figure) for section in sections if section.figure}
    for name, plot in plots.items():
        (run.plots / f"{name}.svg").write_bytes(plot)
    page = template("report.html").render(
        run=run,
        sections=sections,
        plots={name: data_url(plot) for name, plot in plots.items()},
        rows=run.environment["data"]["rows"]["test"],
        environment=json.dumps(run.environment, indent=2),
    )
    run.report_file.write_text(page, encoding="utf-8")


def curves(history: list[dict[str, float]]) -> Figure:
    """The metrics of the training and validation rows, by epoch."""
    names = [name for name in history[0] if f"val_{name}" in history[0]]
    figure = Figure(figsize=(4.5 * len(names), 3.2), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            axes.plot(epochs, [row[key] for row in history], marker="o", markersize=3, label=label)
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(frameon=False)
    return figure


def data_url(plot: bytes) -> str:
    """An SVG file as a `data:` URL, so that the page needs no other file."""
    return "data:image/svg+xml;base64," + base64.b64encode(plot).decode()


def svg(figure: Figure) -> bytes:
    """The figure as an SVG file. Equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def template(name: str) -> jinja2.Template:
    """A page template of this package."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True)
    environment.filters["number"] = format_number
    return environment.get_template(name)
