"""What all pictures share: their style, their axes, and how they are saved."""

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
    """Write `figure` as the kind of file that the suffix names."""
    try:
        with matplotlib.rc_context(STYLE):
            figure.savefig(path, dpi=150)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}).") from error


def empty(title: str, size: tuple[float, float] = (6.4, 4.0), columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title)
    return figure, figure.subplots(1, columns)


def numpy(tensor: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def heat_map(figure: Figure, axes: Any, values: np.ndarray, **labels: Any) -> None:
    most = np.abs(values).max()
    signed = values.min() < 0
    image = axes.imshow(
        values, aspect="auto", cmap="RdBu_r" if signed else "Blues", vmin=-most if signed else 0, vmax=most
    )
    figure.colorbar(image, ax=axes, shrink=0.85)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set(**labels)
    axes.grid(False)
