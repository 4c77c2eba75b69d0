"""`report.html`: one self-contained page that shows a run, and the pictures on it under `plots/`."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from kerasfound.data import Split
from kerasfound.training.run import Run

WORST = 24
"""How many of the costliest mistakes are shown."""

STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "svg.hashsalt": "kerasfound",
}


def write(run: Run, test: Split, probabilities: np.ndarray) -> None:
    """Draw the plots and write the page of a classifier of images.

    Args:
        run: with its history, results, environment and schema already written.
        test: the rows that were measured.
        probabilities: what the model answered to them, `(rows, classes)`.
    """
    with matplotlib.rc_context(STYLE):
        figures = {
            "curves": curves(run.history),
            "confusion": confusion(test.y, probabilities, run.schema.labels),
            "mistakes": mistakes(test, probabilities, run.schema.labels),
        }
        pictures = {name: _save(figure, run.plots / f"{name}.svg") for name, figure in figures.items()}
    page = _template().render(
        run=run,
        pictures=pictures,
        wrong=int((probabilities.argmax(-1) != test.y).sum()),
        rows=len(test.y),
        environment=json.dumps(run.environment, indent=2),
    )
    run.report_file.write_text(page, encoding="utf-8")


def curves(history: list[dict[str, float]]) -> Figure:
    """Loss and accuracy of the training and validation rows by epoch."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            axes.plot(epochs, [row[key] for row in history], marker="o", markersize=3, label=label)
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    return figure


def confusion(truth: np.ndarray, probabilities: np.ndarray, labels: tuple[str, ...]) -> Figure:
    """How often each class was taken for each other one."""
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axes = figure.subplots()
    classes = np.arange(len(labels))
    ConfusionMatrixDisplay.from_predictions(
        truth, probabilities.argmax(-1), labels=classes, display_labels=labels, cmap="Blues", colorbar=False, ax=axes
    )
    axes.spines[:].set_visible(True)
    return figure


def mistakes(test: Split, probabilities: np.ndarray, labels: tuple[str, ...]) -> Figure:
    """The images whose true class got the least probability, as `true -> answered (how sure)`."""
    answered = probabilities.argmax(-1)
    wrong = np.flatnonzero(answered != test.y)
    worst = wrong[np.argsort(probabilities[wrong, test.y[wrong]])][:WORST]
    columns = 8
    rows = max(1, -(-len(worst) // columns))
    figure = Figure(figsize=(columns * 1.15, rows * 1.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, i in zip(grid, worst, strict=False):
        axes.imshow(test.x[i].squeeze(), cmap="gray", vmin=0, vmax=255)
        sure = probabilities[i, answered[i]]
        axes.set_title(f"{labels[test.y[i]]} → {labels[answered[i]]} ({sure:.0%})", fontsize=8)
    return figure


def _save(figure: Figure, path: Path) -> str:
    """Write the figure and give it back as a `data:` address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    path.write_bytes(buffer.getvalue())
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=loader, autoescape=True).get_template("report.html")
