"""The filters that the first convolution has learned, drawn for the report."""

from collections.abc import Iterator

import keras
import numpy as np
from matplotlib.figure import Figure

from .report import Section

MOST = 64
"""Largest number of filters in the figure."""
COLUMNS = 16


def first_convolution(model: keras.Model) -> keras.layers.Layer | None:
    """The first layer, also inside nested models, with a kernel over two dimensions."""
    return next((layer for layer in _leaves(model) if any(len(w.shape) == 4 for w in layer.weights)), None)


def _leaves(model: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        else:
            yield layer


def filters_sections(model: keras.Model) -> list[Section]:
    """A section with the filters of the first convolution, if the model has one that reads gray or color images."""
    layer = first_convolution(model)
    if layer is None:
        return []
    kernel = np.asarray(keras.ops.convert_to_numpy(next(w for w in layer.weights if len(w.shape) == 4)))
    height, width, channels, count = kernel.shape
    if channels not in (1, 3) or height * width == 1:
        return []
    text = (
        f"The {count} filters of the first convolution ({layer.name}), {height} x {width} pixels. White weights add to "
        "a filter's output where the image is bright, black ones subtract; gray is 0."
    )
    shown = f" The first {MOST} are shown." if count > MOST else ""
    return [Section("filters", "Learned filters", text + shown, draw(kernel), alt=in_words(kernel, layer.name))]


def draw(kernel: np.ndarray) -> Figure:
    """A filter in each cell, `(height, width, channels, filters)`; gray, or in color for three channels."""
    count = min(kernel.shape[-1], MOST)
    columns = min(count, COLUMNS)
    lines = -(-count // columns)
    figure = Figure(figsize=(0.62 * columns + 0.2, 0.72 * lines + 0.2), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for number, axes in zip(range(count), grid, strict=False):
        weights = kernel[..., number]
        limit = float(np.abs(weights).max()) or 1.0
        shades = 0.5 + 0.5 * weights / limit
        axes.imshow(shades[..., 0] if shades.shape[-1] == 1 else shades, cmap="gray", vmin=0, vmax=1)
        axes.set_title(str(number), fontsize=7, pad=2)
    return figure


def in_words(kernel: np.ndarray, name: str) -> str:
    """What the filters look like: how many compare two sides, which detects edges."""
    flat = kernel.reshape(-1, kernel.shape[-1])
    edges = int((np.abs(flat.sum(0)) < 0.5 * np.abs(flat).sum(0)).sum())
    return (
        f"{kernel.shape[-1]} filters of {name} as gray squares. In {edges} of them positive and negative weights "
        "nearly cancel: they respond to differences between pixels, not to brightness."
    )
