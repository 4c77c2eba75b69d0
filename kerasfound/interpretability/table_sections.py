"""A table model's explanation as sections of a page: each row's division among columns, and what each column does."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from kerasfound.bundle import Schema
from kerasfound.bundle.schema import Column, ColumnKind
from kerasfound.preprocessing import decode_row
from kerasfound.training.report import Section

from .column_dependence import PartialDependence, partial_dependence
from .column_permutation import Importance, permutation_importance
from .explained_output import ExplainedOutput, predicted
from .shapley import MOST_COLUMNS, shapley_values

BACKGROUND = 30
"""Training rows that say what is usual."""
MEASURED = 300
"""Test rows of permutation importance and partial dependence."""
DRAWN = 6
"""Columns with a curve of partial dependence."""


def column_places(schema: Schema) -> dict[str, list[int]]:
    """The places of each column of a table in an encoded row.

    Example:
        >>> from kerasfound.bundle import Task
        >>> columns = Column("day", ColumnKind.DATE), Column("id", ColumnKind.IGNORED), Column("age", ColumnKind.NUMBER)
        >>> column_places(Schema(Task.TABULAR_REGRESSION, "row", (5,), (), columns))
        {'day': [0, 1, 2, 3], 'age': [4]}
    """
    places, start = {}, 0
    for column in schema.columns:
        if column.width:
            places[column.name] = list(range(start, start + column.width))
            start += column.width
    return places


def grouped(places: dict[str, list[int]], importances: Sequence[Importance]) -> dict[str, list[int]]:
    """At most ten groups of places: the most important columns, and the others as one."""
    if len(places) <= MOST_COLUMNS:
        return places
    first = [one.column for one in importances[: MOST_COLUMNS - 1]]
    others = [place for name, group in places.items() if name not in first for place in group]
    return {name: places[name] for name in first} | {f"the other {len(places) - len(first)} columns": others}


def importance_section(importances: Sequence[Importance], rows: int, is_class: bool) -> Section:
    """How much worse the model gets when a column is shuffled."""
    loss = "cross-entropy" if is_class else "mean squared error"
    shown = importances[:20]
    figure = Figure(figsize=(7, 0.32 * len(shown) + 1), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))[::-1]
    means = np.array([one.mean for one in shown])
    errors = np.array([[one.mean - one.low for one in shown], [one.high - one.mean for one in shown]]).clip(min=0)
    axes.barh(places, means, xerr=errors, color="0.55", capsize=3)
    axes.set_yticks(places, [one.column.replace("$", r"\$") for one in shown])
    axes.set(xlabel=f"increase of the {loss}")
    text = (
        f"The {loss} of {rows} test rows rises by this much when the column is shuffled; the mean and the range of 5 "
        "permutations. Of two columns that say the same, each looks unimportant."
    )
    alt = "Bars: " + ", ".join(f"{one.column} {one.mean:.3g}" for one in shown[:8]) + "."
    return Section("permutation_importance", "Columns that the model needs", text, figure, alt=alt)


def dependence_section(model: keras.Model, x: np.ndarray, schema: Schema, names: Sequence[str], target: int) -> Section:
    """The mean output by the value of the most important columns."""
    places, columns = column_places(schema), {column.name: column for column in schema.columns}
    drawn = [name for name in names if len(places[name]) == 1][:DRAWN]
    lines, across = -(-len(drawn) // 3), min(3, len(drawn))
    figure = Figure(figsize=(3.6 * across, 2.9 * lines), layout="constrained")
    grid = figure.subplots(lines, across, squeeze=False).ravel()
    output = f"probability of {schema.labels[target]}" if schema.labels else schema.target
    words = []
    for axes in grid[len(drawn) :]:
        axes.set_axis_off()
    for axes, name in zip(grid, drawn, strict=False):
        found = partial_dependence(model, x, places[name][0], target)
        _draw_dependence(axes, found, columns[name])
        axes.set_ylabel(output.replace("$", r"\$") if axes in grid[::across] else "", fontsize=8)
        words.append(f"{name}: from {found.mean.min():.3g} to {found.mean.max():.3g}")
    text = (
        f"The mean {output} when all of {len(x)} test rows have this value; the band holds 80% of the rows. A band "
        "that is not parallel to the line shows that the column acts together with others."
    )
    alt = "Curves of the mean output. " + "; ".join(words) + "."
    return Section("partial_dependence", "What the values of a column do", text, figure, alt=alt)


def _draw_dependence(axes: Any, found: PartialDependence, column: Column) -> None:
    if column.kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
        names = ("(unknown)", *column.categories) if column.kind == ColumnKind.CATEGORY else ("no", "yes")
        labels = [names[int(v)][:12] if 0 <= int(v) < len(names) else str(v) for v in found.values]
        at = np.arange(len(labels))
        bars = np.array([found.mean - found.low, found.high - found.mean]).clip(min=0)
        axes.errorbar(at, found.mean, yerr=bars, fmt="o", color="black", capsize=3)
        axes.set_xticks(at, [label.replace("$", r"\$") for label in labels], rotation=45, ha="right", fontsize=7)
    else:
        axes.fill_between(found.values, found.low, found.high, color="0.85")
        axes.plot(found.values, found.mean, color="black", marker="o", markersize=3)
    axes.set_xlabel(column.name.replace("$", r"\$"))


def shapley_section(
    model: keras.Model,
    row: np.ndarray,
    name: str,
    background: np.ndarray,
    schema: Schema,
    places: dict[str, list[int]],
    target: int | None,
) -> Section:
    """How the prediction for one row divides among the columns."""
    found = shapley_values(model, row[None], background, places, target)
    cells = dict(zip(column_places(schema), decode_row(schema.columns, row), strict=True))
    label = ""
    if schema.labels:
        explained = ExplainedOutput(model, row[None], target)
        chosen = int(explained.target[0])
        label = f"{schema.labels[chosen]!r} has the probability {explained.outputs[0, chosen]:.1%}. "
    unit = "log-odds of the class" if schema.labels else schema.target
    order = np.argsort(-np.abs(found.values[0]))
    values = found.values[0][order]
    names = [_named(found.columns[i], cells) for i in order]
    text = (
        f"{label}The {unit} is {found.output[0]:.4g}. Without knowing the row it is {found.base[0]:.4g}, the mean over "
        f"{len(background)} training rows; the columns add the difference. These are exact Shapley values."
    )
    alt = "Bars: " + ", ".join(f"{n} {v:+.3g}" for n, v in zip(names, values, strict=True)) + "."
    return Section(f"shapley {name}", name, text, _shapley_figure(names, values, unit), alt=alt)


def _named(column: str, cells: dict[str, str]) -> str:
    return f"{column} = {cells[column][:24] or '(missing)'}" if column in cells else column


def _shapley_figure(names: list[str], values: np.ndarray, unit: str) -> Figure:
    figure = Figure(figsize=(7, 0.34 * len(names) + 1), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(names))[::-1]
    # dark adds and hatched subtracts, so that print shows the sign too
    axes.barh(at, values, color=["0.35" if v > 0 else "0.9" for v in values], edgecolor="black", linewidth=0.6,
              hatch=["" if v > 0 else "///" for v in values])  # fmt: skip
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(at, [n.replace("$", r"\$") for n in names])
    axes.set_xlabel(f"adds to the {unit}".replace("$", r"\$"))
    return figure


def table_sections(
    model: keras.Model,
    rows: Sequence[tuple[str, np.ndarray]],
    schema: Schema,
    train: np.ndarray,
    test: tuple[np.ndarray, np.ndarray],
    target: int | None,
    methods: Sequence[str],
) -> list[Section]:
    """The sections of a table model.

    Args:
        model: of encoded rows.
        rows: names and encoded rows to explain.
        schema: of the table.
        train: encoded training rows.
        test: encoded test rows and their targets.
        target: the class to explain. Defaults to the predicted class of each row.
        methods: names of `METHODS`; all by default.
    """
    places, chosen = column_places(schema), set(methods or METHODS)
    x, y = test[0][:MEASURED], test[1][:MEASURED]
    sections, importances = [], []
    if chosen & {"permutation_importance", "partial_dependence"} or len(places) > MOST_COLUMNS:
        importances = permutation_importance(model, x, y, places)
    if "shapley_values" in chosen:
        groups = grouped(places, importances)
        sections += [
            shapley_section(model, row, name, train[:BACKGROUND], schema, groups, target) for name, row in rows
        ]
    if "permutation_importance" in chosen:
        sections.append(importance_section(importances, len(x), bool(schema.labels)))
    if "partial_dependence" in chosen:
        names = [one.column for one in importances]
        output = _curve_output(model, rows[0][1], schema, target)
        sections.append(dependence_section(model, x[:100], schema, names, output))
    return sections


def _curve_output(model: keras.Model, row: np.ndarray, schema: Schema, target: int | None) -> int:
    """The output of the curves: the chosen class, the last of two classes, or the predicted class of the first row."""
    if not schema.labels or target is not None:
        return target or 0
    return 1 if len(schema.labels) == 2 else int(predicted(model, row[None])[0].argmax())


METHODS = ("shapley_values", "permutation_importance", "partial_dependence")
"""The methods for tables."""
