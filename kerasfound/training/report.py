"""`report.html`: one self-contained page that shows a run, and the pictures on it under `plots/`."""

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
from sklearn.calibration import calibration_curve
from sklearn.metrics import ConfusionMatrixDisplay

from kerasfound.bundle import Schema
from kerasfound.data import Split
from kerasfound.preprocessing import decode_row

from . import evaluation
from .run import Run

WORST = 24
"""How many of the costliest mistakes are shown."""
END = 80
"""Words of a text that was answered wrong."""
LINES = 12
"""How many windows of a text are shown."""

STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "svg.hashsalt": "kerasfound",
}


class Section(NamedTuple):
    """A part of the page: a picture with what it shows, also kept as `plots/<name>.svg`, or a table with its head."""

    name: str
    title: str
    text: str
    figure: Figure | None = None
    table: list[tuple[Any, ...]] | None = None


def write(run: Run, test: Split, answers: np.ndarray) -> None:
    """Draw the plots and write the page.

    Args:
        run: with its history, results, environment and schema already written.
        test: the rows that were measured.
        answers: what the model answered to them.
    """
    with matplotlib.rc_context(STYLE):
        sections = [
            Section("curves", "Learning curves", "Training and validation rows, by epoch.", curves(run.history)),
            *SECTIONS[run.schema.task](test, answers, run),
        ]
        drawn = {section.name: svg(section.figure) for section in sections if section.figure}
    for name, picture in drawn.items():
        (run.plots / f"{name}.svg").write_bytes(picture)
    page = template("report.html").render(
        run=run,
        sections=sections,
        pictures={name: address(picture) for name, picture in drawn.items()},
        rows=run.environment["data"]["rows"]["test"],
        environment=json.dumps(run.environment, indent=2),
    )
    run.report_file.write_text(page, encoding="utf-8")


def curves(history: list[dict[str, float]]) -> Figure:
    """Every number that was logged for training and validation rows, by epoch."""
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


def of_images(test: Split, probabilities: np.ndarray, run: Run) -> list[Section]:
    """A classifier's confusion matrix, and the images that it got most wrong."""
    schema = run.schema
    wrong = worst_first(test.y, probabilities)
    return [
        confused(test.y, probabilities, schema.labels),
        Section(
            "mistakes",
            "The worst mistakes",
            f"{len(wrong):,} of {len(test.y):,} test images were answered wrong; these are those whose true class got "
            "the least probability: true → answered (how sure the model was).",
            mistakes(test, probabilities, wrong[:WORST], schema.labels),
        ),
    ]


def of_texts(test: Split, logits: np.ndarray, run: Run) -> list[Section]:
    """What a longer context is worth, and a piece of the text as the model saw it coming."""
    nats = evaluation.surprise(logits, test.y)
    return [
        Section(
            "context",
            "What the context is worth",
            "Cross-entropy of a character by its position in the window: the further in, the more text is known.",
            by_position(nats),
        ),
        Section(
            "surprise",
            "The text as the model saw it coming",
            "The first windows of the test split; the darker a character, the less it was expected.",
            surprises(test, nats, run.schema.labels),
        ),
    ]


def by_position(nats: np.ndarray) -> Figure:
    """Mean cross-entropy of each position over all windows, `(windows, time)`."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.arange(1, nats.shape[1] + 1), nats.mean(axis=0))
    axes.set(xlabel="characters known", ylabel="nats a character")
    return figure


def surprises(test: Split, nats: np.ndarray, labels: tuple[str, ...]) -> Figure:
    """The targets of the first windows, each on a ground as dark as its surprise."""
    rows = min(LINES, len(nats))
    figure = Figure(figsize=(9, 0.28 * rows), layout="constrained")
    axes = figure.subplots()
    axes.imshow(nats[:rows], cmap="Oranges", vmin=0, vmax=8, aspect="auto")
    for (row, column), target in np.ndenumerate(test.y[:rows]):
        shown = labels[target].replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}").replace("$", r"\$")
        axes.text(column, row, shown, ha="center", va="center", fontsize=6, family="monospace")
    axes.axis("off")
    return figure


def confused(truth: np.ndarray, probabilities: np.ndarray, labels: tuple[str, ...]) -> Section:
    """How often each class was taken for each other one."""
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axes = figure.subplots()
    classes = np.arange(len(labels))
    ConfusionMatrixDisplay.from_predictions(
        truth, probabilities.argmax(-1), labels=classes, display_labels=labels, cmap="Blues", colorbar=False, ax=axes
    )
    axes.spines[:].set_visible(True)
    text = "Rows are the true classes, columns what the model answered, on the test split."
    return Section("confusion", "Confusion matrix", text, figure)


def worst_first(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The rows that were answered wrong, first the one whose true class got the least probability."""
    wrong = np.flatnonzero(probabilities.argmax(-1) != truth)
    return wrong[np.argsort(probabilities[wrong, truth[wrong]])]


def mistakes(test: Split, probabilities: np.ndarray, worst: np.ndarray, labels: tuple[str, ...]) -> Figure:
    """Images that were answered wrong, as `true -> answered (how sure)`."""
    answered = probabilities.argmax(-1)
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


def of_documents(test: Split, probabilities: np.ndarray, run: Run) -> list[Section]:
    """A classifier of texts: confusion, calibration, what length does, and the ends of the texts it got most wrong."""
    tokenizer = run.tokenizer
    words = (test.x > 0).sum(axis=1)
    right = probabilities.argmax(-1) == test.y

    def end(i: int) -> tuple[str, ...]:
        shown = tokenizer.decode(test.x[i, max(0, words[i] - END) : words[i]].tolist(), skip_special_tokens=False)
        return (f"… {shown}" if words[i] > END else shown,)

    return [
        confused(test.y, probabilities, run.schema.labels),
        calibrated(test.y, probabilities),
        Section(
            "length",
            "Short and long texts",
            "Share of right answers in ten groups of as many test texts, by their words (at most those that are kept).",
            by_length(words, right),
        ),
        mistaken(test.y, probabilities, run.schema.labels, ("its end, as the model read it",), end),
    ]


def of_classes(test: Split, probabilities: np.ndarray, run: Run) -> list[Section]:
    """A table's classifier: confusion, calibration, the rows that it got most wrong, and the columns."""
    schema = run.schema

    def cells(i: int) -> tuple[str, ...]:
        return tuple(decode_row(schema.columns, test.x[i]))

    return [
        confused(test.y, probabilities, schema.labels),
        calibrated(test.y, probabilities),
        mistaken(test.y, probabilities, schema.labels, names(schema), cells),
        columns(schema),
    ]


def of_numbers(test: Split, answers: np.ndarray, run: Run) -> list[Section]:
    """A table's regression: answers beside the truth, the rows that were missed most, and the columns."""
    schema = run.schema
    worst = np.argsort(-np.abs(answers[:, 0] - test.y))[:WORST]
    cells = [(f"{test.y[i]:g}", f"{answers[i, 0]:g}", *decode_row(schema.columns, test.x[i])) for i in worst]
    return [
        Section(
            "scatter",
            "Predicted against true",
            f"{schema.target} of the test rows; on the diagonal the answer is right.",
            scatter(test.y, answers[:, 0]),
        ),
        Section(
            "mistakes",
            "The worst mistakes",
            "The test rows with the largest differences.",
            table=[("true", "answered", *names(schema)), *cells],
        ),
        columns(schema),
    ]


def mistaken(
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: tuple[str, ...],
    head: tuple[str, ...],
    shown: Callable[[int], tuple[str, ...]],
) -> Section:
    """The rows whose true class got the least probability, as a table; `shown` gives the cells under `head`."""
    wrong = worst_first(truth, probabilities)
    answered = probabilities.argmax(-1)
    text = (
        f"{len(wrong):,} of {len(truth):,} test rows were answered wrong; these are those whose true class got "
        "the least probability."
    )
    cells = [
        (labels[truth[i]], f"{labels[answered[i]]} ({probabilities[i, answered[i]]:.0%})", *shown(i))
        for i in wrong[:WORST]
    ]
    return Section("mistakes", "The worst mistakes", text, table=[("true", "answered", *head), *cells])


def calibrated(truth: np.ndarray, probabilities: np.ndarray) -> Section:
    text = "How often the answer was right, by how sure the model was: on the diagonal it can be trusted."
    return Section("calibration", "Calibration", text, calibration(truth, probabilities))


def by_length(words: np.ndarray, right: np.ndarray) -> Figure:
    """Share of right answers by the mean length of each group."""
    groups = [group for group in np.array_split(np.argsort(words, kind="stable"), 10) if len(group)]
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([words[g].mean() for g in groups], [right[g].mean() for g in groups], marker="o", markersize=4)
    axes.set(xlabel="words", ylabel="share of right answers")
    return figure


def calibration(truth: np.ndarray, probabilities: np.ndarray) -> Figure:
    """Share of right answers in groups of as many rows, by the mean probability of the answered class."""
    right = probabilities.argmax(-1) == truth
    share, sure = calibration_curve(right, probabilities.max(-1).clip(0, 1), n_bins=10, strategy="quantile")
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(sure, share, marker="o", markersize=4)
    low = min(sure.min(), share.min())
    axes.set(xlabel="probability of the answer", ylabel="share of right answers", xlim=(low, 1.01), ylim=(low, 1.01))
    return figure


def scatter(truth: np.ndarray, answers: np.ndarray) -> Figure:
    """A point for each of at most 5,000 rows."""
    some = np.random.default_rng(0).permutation(len(truth))[:5_000]
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    ends = [min(truth.min(), answers.min()), max(truth.max(), answers.max())]
    axes.plot(ends, ends, color="0.7", linewidth=1)
    axes.scatter(truth[some], answers[some], s=6, alpha=0.4, linewidths=0, rasterized=True)
    axes.set(xlabel="true", ylabel="predicted")
    return figure


def names(schema: Schema) -> tuple[str, ...]:
    """Of the columns that the model reads."""
    return tuple(column.name for column in schema.columns if column.width)


def columns(schema: Schema) -> Section:
    """What each column was taken for."""
    head = ("column", "type", "missing", "different")
    found = [(c.name, c.kind, f"{c.missing:,}", f"{c.distinct:,}") for c in schema.columns]
    return Section("columns", "The data", "The columns as they were understood, over all rows.", table=[head, *found])


def address(picture: bytes) -> str:
    """An SVG as a `data:` address, so that a page needs no other file."""
    return "data:image/svg+xml;base64," + base64.b64encode(picture).decode()


def svg(figure: Figure) -> bytes:
    """The figure as the text of an SVG file, the same for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def template(name: str) -> jinja2.Template:
    """A page of this folder."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=loader, autoescape=True).get_template(name)


SECTIONS = {
    "image_classification": of_images,
    "text_classification": of_documents,
    "text_generation": of_texts,
    "tabular_classification": of_classes,
    "tabular_regression": of_numbers,
}
