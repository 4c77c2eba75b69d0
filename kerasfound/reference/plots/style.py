"""What all plots share: the style, new figures, heat maps, and saving."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from keras import ops
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasfound.errors import UserError

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path`; the suffix chooses the file format."""
    try:
        with matplotlib.rc_context(STYLE):
            figure.savefig(path, dpi=150)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}).") from error


def new_figure(title: str, size: tuple[float, float] = (6.4, 4.0), columns: int = 1) -> tuple[Figure, Any]:
    """Return a figure and its axes: one, or one for each column."""
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title)
    return figure, figure.subplots(1, columns)


def to_numpy(tensor: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def heat_map(figure: Figure, axes: Any, values: np.ndarray, **labels: Any) -> None:
    """Draw `values`; with negative values the colors are centered at 0."""
    limit = np.abs(values).max()
    signed = values.min() < 0
    image = axes.imshow(
        values, aspect="auto", cmap="RdBu_r" if signed else "Blues", vmin=-limit if signed else 0, vmax=limit
    )
    figure.colorbar(image, ax=axes, shrink=0.85)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set(**labels)
    axes.grid(False)
