"""Grad-CAM: which places of a layer's feature maps speak for a class."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasfound.errors import UserError

from .explained_output import BATCH, ExplainedOutput, Scale
from .tapped_layers import Tap, find_layer, last_feature_maps, views_of


def grad_cam(
    model: keras.Model,
    x: Any,
    target: Any = None,
    layer: str | None = None,
    upsample: bool = True,
    scale: Scale = "auto",
) -> np.ndarray:
    r"""A coarse map of the places that speak for a class.

    With the feature maps $A^k$ of a layer, of height $u$ and width $v$, and the explained output $F$:

    $$\alpha_k = \frac{1}{uv} \sum_{i,j} \frac{\partial F}{\partial A^k_{ij}}, \qquad
      L_{ij} = \max\Big(0, \sum_k \alpha_k A^k_{ij}\Big)$$

    The gradient is taken by a tensor of zeros that is added to the layer's output. This works where no second model
    can be cut out: Sequential, functional, nested and subclassed models.

    Shapes: `x` `(rows, height, width, channels)`; $L$ `(rows, height, width)`, or `(rows, u, v)` without `upsample`.

    Args:
        model: a Keras model with one input and outputs `(rows, classes)`.
        x: the images to explain.
        target: a class for all rows or for each row. Defaults to the predicted class.
        layer: the name of a layer with feature maps, at any depth. Defaults to the last one.
        upsample: whether to stretch the map to the size of the image, bilinearly. Defaults to `True`.
        scale: of the output: `"auto"`, `"log_odds"` or `"output"`.

    Raises:
        UserError: if the model has no convolution, there is no such layer, or its output are no feature maps.

    Example:
        >>> model = keras.Sequential([
        ...     keras.Input((4, 4, 1)),
        ...     keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones", name="maps"),
        ...     keras.layers.GlobalAveragePooling2D(),
        ...     keras.layers.Dense(1, kernel_initializer="ones"),
        ... ])
        >>> image = np.zeros((1, 4, 4, 1), "float32")
        >>> image[0, 1, 2] = 32.0
        >>> round(float(grad_cam(model, image)[0, 1, 2]), 4)  # 32 at one place, and the mean divides by 16
        2.0

    In practice: on 8 x 8 digits it does not beat an edge detector in any of 3 seeds (insertion 0.47 against 0.60,
    benchmarks/RESULTS.md): a map has the resolution of its layer, and 4 x 4 places say little. The mean of the gradient
    fits layers before global average pooling; before a flattening it loses the places' own weights.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
    """
    explained = ExplainedOutput(model, x, target, scale)
    images = explained.x
    if images.ndim != 4:
        raise UserError(f"Grad-CAM is for images (rows, height, width, channels), got an input of {images.shape}.")
    tap = Tap(find_layer(model, layer) if layer else last_feature_maps(model, images[:1]))
    parts = [
        _maps(tap, explained, images[start : start + BATCH], explained.target[start : start + BATCH])
        for start in range(0, len(images), BATCH)
    ]
    maps = np.concatenate(parts)
    return resized(maps, images.shape[1:3]) if upsample else maps


def _maps(tap: Tap, explained: ExplainedOutput, images: np.ndarray, target: np.ndarray) -> np.ndarray:
    outputs, first = tap.read(explained.model, images), tap.read(explained.model, images[:1])
    if any(output.ndim != 4 for output in outputs):
        raise UserError(
            f"`layer` {tap.layer.name!r}: its output has the shape {outputs[0].shape}; Grad-CAM needs feature maps "
            "(rows, height, width, channels)."
        )
    zeros = [np.zeros(output.shape, "float32") for output in outputs]
    gradients = tap.gradients(explained, images, target, zeros)
    maps = []
    for A, gradient, first_row in zip(outputs, gradients, first, strict=True):
        alpha = gradient.mean(axis=(1, 2), keepdims=True)
        L = np.maximum(0, (alpha * A).sum(-1))
        # several views of an image, such as shifted copies, have a map each; so has each call of a shared layer
        maps.append(L[views_of(A, first_row, len(images))].mean(1))
    return np.mean(maps, axis=0)


def resized(maps: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Maps `(rows, u, v)` stretched to `(rows, *size)`, bilinearly."""
    tensor = ops.image.resize(ops.convert_to_tensor(maps[..., None].astype("float32")), size, interpolation="bilinear")
    return np.asarray(ops.convert_to_numpy(tensor))[..., 0]
