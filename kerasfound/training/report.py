"""`report.html`: a self-contained page about a run. Its plots are also saved in `plots/`."""

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib
import msgspec
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasfound.data import Split
from kerasfound.rounding import format_number

from .advice import advise
from .decisions import Decisions
from .run import Run

STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "svg.hashsalt": "kerasfound",
}
"""Settings of Matplotlib for all plots."""


FOLDED_ROWS = 25
"""A table with more rows is folded."""
MARKED_EPOCHS = 60
"""Largest number of epochs with a mark for each of them in the curves."""


class Section(NamedTuple):
    """A section of the page: a plot, which is also saved as `plots/<name>.svg`, or a table whose first row is its head.

    `text` says what the plot or table shows, `alt` describes the plot to people who do not see it.
    """

    name: str
    title: str
    text: str
    figure: Figure | None = None
    table: list[tuple[Any, ...]] | None = None
    alt: str = ""


def write(
    run: Run,
    test: Split,
    outputs: np.ndarray,
    task_sections: Callable[[Split, np.ndarray, Run], list[Section]],
    model_sections: Sequence[Section] = (),
) -> None:
    """Draw the plots and write the page.

    Args:
        run: a run folder with its history, results, environment and schema.
        test: the test rows.
        outputs: the model's outputs for the test rows.
        task_sections: creates the sections that depend on the task.
        model_sections: show the model itself.
    """
    kept, baseline, rows = run.results["kept_epoch"], run.baseline, run.environment["data"]["rows"]
    with matplotlib.rc_context(STYLE):
        sections = [
            curves_section(run),
            *([thresholds_section(run.decisions)] if run.decisions else []),
            *task_sections(test, outputs, run),
            *model_sections,
        ]
        plots = {section.name: svg(section.figure) for section in sections if section.figure}
    for name, plot in plots.items():
        (run.plots / f"{name}.svg").write_bytes(plot)
    page = template("report.html").render(
        run=run,
        sections=sections,
        plots={name: data_url(plot) for name, plot in plots.items()},
        rows=rows["test"],
        kept=kept,
        advice=advise(
            run.history,
            kept,
            run.settings,
            rows,
            baseline.verdict if baseline else "",
            run.schema.task,
            run.results["test"],
        ),
        baseline=baseline,
        epochs=epochs_table(run.history),
        folded=FOLDED_ROWS,
        environment=json.dumps(run.environment, indent=2),
    )
    run.report_file.write_text(page, encoding="utf-8")


def curves_section(run: Run) -> Section:
    """The metrics of the training and validation rows, by epoch, and which epoch is kept."""
    kept = run.results["kept_epoch"]
    what = f"The weights of epoch {kept} are kept." if kept else "The moving average of the weights is kept."
    text = f"Training and validation metrics by epoch. {what}"
    return Section("curves", "Learning curves", text, curves(run.history, kept))


def curves(history: list[dict[str, float]], kept: int | None) -> Figure:
    """The metrics of the training and validation rows, by epoch, with a line at the kept epoch."""
    names = [name for name in history[0] if f"val_{name}" in history[0]]
    figure = Figure(figsize=(4.5 * len(names), 3.2), layout="constrained")
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) <= MARKED_EPOCHS else ""
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            axes.plot(epochs, [row[key] for row in history], marker=marker, markersize=3, label=label)
        if kept:
            axes.axvline(kept, color="0.5", linewidth=1, linestyle=":", label="kept epoch")
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(frameon=False)
    return figure


def epochs_table(history: list[dict[str, float]]) -> list[tuple[str, ...]]:
    """The metrics of each epoch; the first row is the head."""
    forms = {"epoch": "{:.0f}".format, "seconds": "{:.1f}".format}
    head = tuple(name.replace("val_", "validation ") for name in history[0])
    return [head, *(tuple(forms.get(name, format_number)(value) for name, value in row.items()) for row in history)]


def thresholds_section(decisions: Decisions) -> Section:
    """What the thresholds of two classes reach on the test rows."""
    costs = decisions.false_negative_cost is not None
    text = (
        f"A row counts as {decisions.positive!r}, the rarer class of the training rows, from this probability on. The "
        "thresholds are chosen on the validation rows and measured on the test rows. The model, its export and "
        "`kerasfound predict` answer with the more probable class, the first row. The last row needs no model."
    )
    if costs:
        text += f" A missed row costs {decisions.false_negative_cost:g}, a false alarm 1; the cost is a mean over rows."
    head = ("choice", "threshold", "accuracy", "precision", "recall", "F1", *(["cost"] if costs else []))
    rows = [
        (row.choice, *(format_number(value) for value in msgspec.structs.astuple(row)[1:] if value is not None))
        for row in [*decisions.thresholds, decisions.always_positive]
    ]
    return Section("thresholds", "Thresholds", text, table=[head, *rows])


def data_url(plot: bytes) -> str:
    """An SVG file as a `data:` URL, so that the page needs no other file."""
    return "data:image/svg+xml;base64," + base64.b64encode(plot).decode()


def svg(figure: Figure) -> bytes:
    """The figure as an SVG file. Equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def template(name: str, folder: Path = Path(__file__).parent) -> jinja2.Template:
    """A page template of a folder, which may include those of this package."""
    loader = jinja2.FileSystemLoader([folder, Path(__file__).parent])
    environment = jinja2.Environment(loader=loader, autoescape=True)
    environment.filters["number"] = format_number
    return environment.get_template(name)
