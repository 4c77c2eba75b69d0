"""A comparison of runs: the settings that differ, the test metrics, and the validation curves in one plot."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasfound.errors import UserError

from . import report
from .run import Run

IGNORED_SETTINGS = {"out"}
"""Settings that differ between all runs and do not influence the results."""


def compare(runs: list[Run]) -> dict[str, list[Any]]:
    """Return the rows of a table with a column for each run.

    Args:
        runs: two or more opened run folders.

    Returns:
        For each row, its name and the values of all runs (None if a run has no value): the recipe, every setting that
        differs, the test metrics, the seconds of training, the number of parameters.

    Raises:
        UserError: if there are fewer than two runs.
    """
    if len(runs) < 2:
        raise UserError(f"compare needs two or more run folders, got {len(runs)}.")
    settings, results = [run.settings for run in runs], [run.results for run in runs]
    rows: dict[str, list[Any]] = {"recipe": [run.recipe for run in runs]}
    for name in _all_names(settings):
        values = [setting.get(name) for setting in settings]
        if name not in IGNORED_SETTINGS and any(value != values[0] for value in values):
            rows[name] = values
    for name in _all_names([result["test"] for result in results]):
        rows[f"test {name}"] = [result["test"].get(name) for result in results]
    baselines = [(result.get("baseline") or {}).get("metrics", {}) for result in results]
    for name in _all_names(baselines):
        rows[f"without a model, {name}"] = [metrics.get(name) for metrics in baselines]
    for name in ("fit_seconds", "parameters"):
        rows[name] = [result[name] for result in results]
    return rows


def write(runs: list[Run], path: Path) -> None:
    """Write the table and the curves as one self-contained page.

    Raises:
        UserError: if the file cannot be written.
    """
    with matplotlib.rc_context(report.STYLE):
        plot = report.data_url(report.svg(curves(runs)))
    page = report.template("compare.html").render(runs=[run.folder for run in runs], rows=compare(runs), plot=plot)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"`out` {path}: cannot be written ({error.strerror}); name another file.") from error


def curves(runs: list[Run]) -> Figure:
    """The validation metrics that all runs share, by epoch, a line for each run."""
    histories = [run.history for run in runs]
    names = [name for name in histories[0][0] if name.startswith("val_") and all(name in h[0] for h in histories)]
    if not names:
        raise UserError("these runs have no validation metric in common; compare runs of the same kind of task.")
    figure = Figure(figsize=(4.5 * len(names), 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for run, history in zip(runs, histories, strict=True):
            epochs = [row["epoch"] for row in history]
            axes.plot(epochs, [row[name] for row in history], marker="o", markersize=3, label=run.folder.name)
        axes.set(xlabel="epoch", title=name.replace("val_", "validation "))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(frameon=False)
    return figure


def _all_names(rows: list[dict[str, Any]]) -> list[str]:
    """All names, each once, in the order of first occurrence."""
    return list(dict.fromkeys(name for row in rows for name in row))
