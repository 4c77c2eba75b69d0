"""Draw a lab's figure with matplotlib: colors that color-blind people tell apart, and dashes and markers for print."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from kerasfound.errors import UserError
from kerasfound.reference.plots import style

from .panels import Panel, Series

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, "Color Universal Design", 2008."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (2, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "x")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
PANEL_INCHES = (4.8, 3.8)


def draw(panels: tuple[Panel, ...], path: Path) -> Path:
    """Draw the panels side by side into `path`, a .png or .svg file."""
    if path.suffix not in (".png", ".svg"):
        raise UserError(f"{path}: a figure is a .png or a .svg file.")
    width, height = PANEL_INCHES
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(width * len(panels), height), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for panel, ax in zip(panels, axes, strict=True):
            _draw_panel(panel, ax)
        style.save(figure, path)
    return path


def _draw_panel(panel: Panel, ax: Any) -> None:
    if panel.image is not None:
        ax.imshow(
            np.asarray(panel.image), extent=panel.extent, origin="lower" if panel.extent else "upper",
            cmap="Greys", aspect="auto", alpha=0.4 if panel.series else 1.0,  # pale under curves and their legend
        )  # fmt: skip
        ax.grid(False)
    for i, (name, data) in enumerate(panel.series.items()):
        {"line": _draw_line, "points": _draw_points, "bars": _draw_bars}[panel.kind](ax, i, name, data, panel)
    for name, x in (panel.marks or {}).items():
        ax.axvline(x, color="black", linestyle=":", linewidth=1)
        ax.annotate(name, (x, 0.98), xycoords=("data", "axes fraction"), fontsize=8, rotation=90, ha="right", va="top")
    if "x" in panel.log:
        ax.set_xscale("log")
    if "y" in panel.log:
        ax.set_yscale("log")
    ax.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    if len(panel.series) > 1 and panel.kind == "bars":
        ax.margins(y=0.3)  # room for the legend above the bars
    if len(panel.series) > 1 or panel.kind == "line":
        ax.legend(fontsize=8) if panel.series else None


def _draw_line(ax: Any, i: int, name: str, data: Series, panel: Panel) -> None:
    few = len(data.x) <= 15
    color = COLORS[i % len(COLORS)]
    ax.plot(data.x, data.y, color=color, linestyle=DASHES[i % len(DASHES)], label=name,
            marker=MARKERS[i % len(MARKERS)] if few else None, markersize=4)  # fmt: skip
    if data.low is not None:
        ax.fill_between(data.x, data.low, data.high, color=color, alpha=0.15, linewidth=0)


def _draw_points(ax: Any, i: int, name: str, data: Series, panel: Panel) -> None:
    ax.scatter(data.x, data.y, s=12, color=COLORS[i % len(COLORS)], marker=MARKERS[i % len(MARKERS)], label=name)


def _draw_bars(ax: Any, i: int, name: str, data: Series, panel: Panel) -> None:
    groups = len(panel.series)
    places = np.arange(len(data.x)) + (i - (groups - 1) / 2) * 0.8 / groups
    errors = None
    if data.low is not None and data.high is not None:
        y = np.asarray(data.y)
        errors = np.stack([y - np.asarray(data.low), np.asarray(data.high) - y]).clip(min=0)
    ax.bar(places, data.y, 0.8 / groups, yerr=errors, capsize=3, color=COLORS[i % len(COLORS)], label=name,
           hatch=HATCHES[i % len(HATCHES)], edgecolor="white")  # fmt: skip
    ax.set_xticks(np.arange(len(data.x)), [str(x) for x in data.x], rotation=20 if len(data.x) > 4 else 0, fontsize=8)
