"""What excites a filter: an image made for it, and the images of a data set that it responds to most."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kerasfound import autodiff
from kerasfound.errors import UserError

from .explained_output import BATCH, fitting, inputs_of
from .tapped_layers import Tap, find_layer, views_of


def exciting_images(
    model: keras.Model,
    layer: str,
    filters: Sequence[int],
    low: float = 0.0,
    high: float = 1.0,
    steps: int = 64,
    shape: tuple[int, ...] | None = None,
    seed: int = 0,
) -> np.ndarray:
    r"""An image for each filter that excites it most, by gradient ascent on the pixels.

    With the response $a_k$ of filter $k$ at the middle of its feature map and pixels in `low` to `high`:

    $$x_{t+1} = \mathrm{clip}\Big(x_t + \eta_t\, \frac{\nabla_x a_k(x_t)}{\max |\nabla_x a_k(x_t)|}\Big)$$
    $$\eta_t = \frac{\text{high} - \text{low}}{4} \Big(1 - \frac{t}{\text{steps}}\Big)$$

    It starts from gray with a little noise.

    Shapes: the images `(filters, height, width, channels)`.

    Args:
        model: a Keras model with images as input.
        layer: the name of a layer with feature maps, at any depth, best before its activation: a ReLU that is off has
            no gradient.
        filters: the numbers of the filters.
        low: the darkest pixel. Defaults to `0.0`.
        high: the brightest, 255 for models that scale their input themselves. Defaults to `1.0`.
        steps: of the ascent. Defaults to `64`.
        shape: of an image, where the model's input does not fix it.
        seed: of the noise. Defaults to `0`.

    Raises:
        UserError: if there is no such layer or filter, or the layer has no feature maps.

    Example:
        >>> convolution = keras.layers.Conv2D(1, 2, use_bias=False, name="filters")
        >>> model = keras.Sequential([keras.Input((2, 2, 1)), convolution])
        >>> convolution.set_weights([np.array([[1.0, -1.0], [-1.0, 1.0]]).reshape(2, 2, 1, 1)])
        >>> exciting_images(model, "filters", [0])[0, ..., 0].tolist()  # bright where its weight is above 0
        [[1.0, 0.0], [0.0, 1.0]]

    In practice: the images of deeper layers look like noise: no data set holds them. Believe them less than
    `exciting_examples`, which are real.

    Source: Erhan et al., "Visualizing Higher-Layer Features of a Deep Network", 2009.
    """
    shape = shape or (inputs_of(model)[0].shape[1:] if inputs_of(model) else None)
    if shape is None or None in shape:
        raise UserError("the model's input has no fixed size; give the `shape` of an image.")
    rng = np.random.default_rng(seed)
    middle, scale = (low + high) / 2, high - low
    x = (middle + 0.02 * scale * rng.standard_normal((len(filters), *shape))).astype("float32")
    tap = Tap(find_layer(model, layer))
    filter_of_map = _filter_of_each_map(tap, model, x, filters)

    def excitement(rows: Any) -> Any:
        tap.run(model, rows)
        maps = tap.outputs[-1]
        chosen = ops.one_hot(filter_of_map, maps.shape[-1], dtype=maps.dtype)
        return ops.sum(maps[:, maps.shape[1] // 2, maps.shape[2] // 2] * chosen)

    for step in range(steps):
        gradient = autodiff.gradients(excitement, [x])[0]
        largest = np.abs(gradient).max(axis=(1, 2, 3), keepdims=True)
        rate = scale / 4 * (1 - step / steps)
        x = np.clip(x + rate * gradient / np.maximum(largest, 1e-20), low, high).astype("float32")
    return x


def _filter_of_each_map(tap: Tap, model: keras.Model, x: np.ndarray, filters: Sequence[int]) -> np.ndarray:
    """The filter that each row of the layer is to excite; a model may make several views of each image."""
    maps, first = tap.read(model, x)[-1], tap.read(model, x[:1])[-1]
    if maps.ndim != 4:
        raise UserError(
            f"`layer` {tap.layer.name!r}: its output has the shape {maps.shape}, which are no feature maps."
        )
    wrong = [number for number in filters if not 0 <= number < maps.shape[-1]]
    if wrong:
        raise UserError(f"filter {wrong[0]}: layer {tap.layer.name!r} has {maps.shape[-1]}, numbered from 0.")
    found = np.zeros(len(maps), "int32")
    for row, places in enumerate(views_of(maps, first, len(x))):
        found[places] = filters[row]
    return found


class ExcitingExamples(NamedTuple):
    """The examples that a filter responds to most."""

    places: np.ndarray
    """`(filters, count)`, places in the examples, the strongest first."""
    responses: np.ndarray
    """`(filters, count)`, the largest value of the feature map."""


def exciting_examples(
    model: keras.Model, layer: str, filters: Sequence[int], examples: Any, count: int = 5
) -> ExcitingExamples:
    r"""The images of a data set to which each filter responds most.

    With the feature map $A^k(x)$ of filter $k$, the images with the largest $\max_{i,j} A^k_{ij}(x)$.

    Shapes: `examples` `(rows, height, width, channels)`.

    Args:
        model: a Keras model with images as input.
        layer: the name of a layer with feature maps, at any depth.
        filters: the numbers of the filters.
        examples: images, best ones that the model was not trained on.
        count: number of images for each filter. Defaults to `5`.

    Raises:
        UserError: if there is no such layer or filter, or `count` is out of range.

    Example:
        >>> convolution = keras.layers.Conv2D(1, 1, kernel_initializer="ones", name="filters")
        >>> model = keras.Sequential([keras.Input((2, 2, 1)), convolution])
        >>> exciting_examples(model, "filters", [0], [np.zeros((2, 2, 1)), np.ones((2, 2, 1))], count=1).places.tolist()
        [[1]]

    In practice: look at more than one image: a filter that responds to stripes also responds to a zebra.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
    """
    x, tap = fitting(model, examples), Tap(find_layer(model, layer))
    if not 1 <= count <= len(x):
        raise UserError(f"`count` must be in 1 to {len(x)}, the number of examples, got {count}.")
    _filter_of_each_map(tap, model, x[: len(filters)].repeat(len(filters), axis=0)[: len(filters)], filters)
    parts = []
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH]
        maps, first = tap.read(model, rows)[-1], tap.read(model, rows[:1])[-1]
        strongest = maps[..., list(filters)].max(axis=(1, 2))
        parts.append(strongest[views_of(maps, first, len(rows))].max(axis=1))
    responses = np.concatenate(parts).T
    places = np.argsort(-responses, axis=1, kind="stable")[:, :count]
    return ExcitingExamples(places, np.take_along_axis(responses, places, axis=1))
