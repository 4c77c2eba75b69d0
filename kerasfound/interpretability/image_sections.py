"""An image's explanation as a section of a page: the maps of all methods side by side, and what each one says."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from matplotlib.figure import Figure

from kerasfound.errors import UserError
from kerasfound.training.report import Section

from .class_activation_maps import grad_cam
from .explained_output import ExplainedOutput, infer
from .occlusion_maps import occlusion
from .path_gradients import integrated_gradients
from .saliency_maps import input_times_gradient, saliency, smooth_grad

COLUMNS = 4
"""Maps side by side."""
OUTLINED = 64
"""Largest side of an image whose outline is drawn over the maps."""


class ImageMap(NamedTuple):
    """A method's map of one image, `(height, width)`."""

    title: str
    values: np.ndarray
    signed: bool
    """Whether negative places speak against the class."""
    note: str


def image_maps(
    model: keras.Model, image: np.ndarray, target: int, methods: Sequence[str] = (), layer: str | None = None
) -> list[ImageMap]:
    """The maps of one image for a class.

    Args:
        model: a Keras model with images as input and outputs `(rows, classes)`.
        image: `(height, width, channels)`.
        target: the class.
        methods: names of `METHODS`. Defaults to all that fit the model.
        layer: of Grad-CAM. Defaults to the last layer with feature maps.

    Raises:
        UserError: if there is no such method, or a method that was named does not fit the model.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise UserError(f"`method` {unknown[0]}: no such method for images; choose {', '.join(METHODS)}.")
    maps, misfits = [], []
    for name in methods or METHODS:
        try:
            maps.append(METHODS[name](model, image[None], target, layer))
        except UserError as error:
            if methods or (name == "grad_cam" and layer):
                raise
            misfits.append(error)
    if not maps:
        raise misfits[0]
    return maps


def _saliency(model: keras.Model, x: np.ndarray, target: int, layer: str | None) -> ImageMap:
    values = np.abs(saliency(model, x, target)[0]).max(-1)
    return ImageMap("saliency", values, False, "Where a small change of a pixel changes the output most.")


def _smooth(model: keras.Model, x: np.ndarray, target: int, layer: str | None) -> ImageMap:
    values = np.abs(smooth_grad(model, x, target)[0]).max(-1)
    return ImageMap("SmoothGrad", values, False, "The saliency averaged over 32 noisy copies of the image.")


def _times_input(model: keras.Model, x: np.ndarray, target: int, layer: str | None) -> ImageMap:
    values = input_times_gradient(model, x, target)[0].sum(-1)
    return ImageMap(
        "input x gradient", values, True, "The first-order contribution of each pixel, compared with black."
    )


def _path(model: keras.Model, x: np.ndarray, target: int, layer: str | None) -> ImageMap:
    result = integrated_gradients(model, x, target)
    note = (
        f"Contributions that sum to the change of the output since a black image: {result.total[0]:.3f} of "
        f"{result.change[0]:.3f}, with {result.steps} steps"
        f"{'.' if result.error <= 0.01 else ', too few for this model: take the map as rough.'}"
    )
    return ImageMap("integrated gradients", result.attributions[0].sum(-1), True, note)


def _cam(model: keras.Model, x: np.ndarray, target: int, layer: str | None) -> ImageMap:
    where = f"layer {layer}" if layer else "the last feature maps"
    note = f"The places of {where} that speak for the class, stretched to the size of the image."
    return ImageMap("Grad-CAM", grad_cam(model, x, target, layer)[0], False, note)


def _occlusion(model: keras.Model, x: np.ndarray, target: int, layer: str | None) -> ImageMap:
    note = "How much the output falls when a patch around the pixel is black."
    return ImageMap("occlusion", occlusion(model, x, target)[0], True, note)


METHODS = {
    "saliency": _saliency,
    "smooth_grad": _smooth,
    "input_times_gradient": _times_input,
    "integrated_gradients": _path,
    "grad_cam": _cam,
    "occlusion": _occlusion,
}
"""The methods for images by name."""


def image_section(
    model: keras.Model,
    image: np.ndarray,
    name: str,
    labels: Sequence[str] = (),
    target: int | None = None,
    methods: Sequence[str] = (),
    layer: str | None = None,
) -> Section:
    """The section of one image: its maps in a figure, and a table of what they say.

    Args:
        model: a Keras model with images as input and outputs `(rows, classes)`.
        image: `(height, width, channels)`.
        name: of the image.
        labels: the names of the classes.
        target: the class to explain. Defaults to the predicted one.
        methods: names of `METHODS`. Defaults to all that fit the model.
        layer: of Grad-CAM.
    """
    explained = ExplainedOutput(model, image[None], target)
    target = int(explained.target[0])
    label = labels[target] if labels else f"output {target}"
    maps = image_maps(model, explained.x[0], target, methods, layer)
    output = float(keras.ops.convert_to_numpy(infer(model, explained.x))[0, target])
    value = f"{label!r} has the probability {output:.1%}" if explained.in_log_odds else f"{label!r} is {output:.4g}"
    unit = "log-odds of the class" if explained.in_log_odds else "output"
    table = [("map", "what it shows"), *((m.title, m.note) for m in maps)]
    text = f"{value[0].upper() + value[1:]}. The maps explain the {unit}."
    alt = f"{name} and its maps for {label}. " + " ".join(_in_words(m) for m in maps)
    return Section(f"image {name}", name, text, maps_figure(explained.x[0], maps, label), table, alt)


def maps_figure(image: np.ndarray, maps: Sequence[ImageMap], label: str) -> Figure:
    """The image and its maps. They are gray, so that print shows them: white speaks for the class, black against it."""
    columns = min(COLUMNS, 1 + len(maps))
    lines = -(-(1 + len(maps)) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.75 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    show_image(grid[0], image)
    grid[0].set_title("image", fontsize=10)
    for axes, one in zip(grid[1:], maps, strict=False):
        limit = float(np.abs(one.values).max()) or 1.0
        drawn = axes.imshow(one.values, cmap="gray", vmin=-limit if one.signed else 0.0, vmax=limit)
        _outline(axes, image)
        axes.set_title(one.title, fontsize=10)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.75, ticks=[-limit, 0, limit] if one.signed else [0, limit])
        bar.ax.set_yticklabels(["against", "0", "for"] if one.signed else ["0", "most"], fontsize=7)
    figure.suptitle(f"What speaks for {label}".replace("$", r"\$"), fontsize=11)
    return figure


def show_image(axes: Any, image: np.ndarray) -> None:
    """Draw pixels 0..1 or 0..255, gray or in color."""
    pixels = image / (255 if image.max() > 1 else 1)
    axes.imshow(pixels[..., 0] if pixels.shape[-1] != 3 else pixels.clip(0, 1), cmap="gray", vmin=0, vmax=1)


def _outline(axes: Any, image: np.ndarray) -> None:
    """The outline of a small gray image, for orientation."""
    brightness = image.mean(-1)
    if image.shape[-1] == 1 and max(brightness.shape) <= OUTLINED and brightness.min() < brightness.max():
        middle = (float(brightness.min()) + float(brightness.max())) / 2
        axes.contour(brightness, levels=[middle], colors="#E69F00", linewidths=1.2)


def _in_words(one: ImageMap) -> str:
    row, column = np.unravel_index(int(np.argmax(one.values)), one.values.shape)
    height, width = one.values.shape
    place = f"{('top', 'middle', 'bottom')[3 * row // height]} {('left', 'center', 'right')[3 * column // width]}"
    return f"{one.title}: strongest at the {place} (row {row + 1}, column {column + 1})."
