"""Occlusion: how much the output falls when a patch of the image is covered."""

import itertools
from typing import Any

import keras
import numpy as np

from kerasfound.errors import UserError

from .explained_output import ExplainedOutput, Scale, copies_in_calls


def occlusion(
    model: keras.Model,
    x: Any,
    target: Any = None,
    patch: int | None = None,
    stride: int | None = None,
    baseline: Any = 0.0,
    scale: Scale = "auto",
) -> np.ndarray:
    r"""How much the output falls when each place is covered.

    With the explained output $F$ and $x^{(P)}$, the image with the pixels of the patch $P$ set to the baseline, a
    place gets the mean over the patches that cover it:

    $$o_{ij} = \frac{1}{|\{P \ni (i, j)\}|} \sum_{P \ni (i, j)} \big(F(x) - F(x^{(P)})\big)$$

    Shapes: `x` `(rows, height, width, channels)`; $o$ `(rows, height, width)`.

    Args:
        model: a Keras model with one input and outputs `(rows, classes)`; it needs no gradient.
        x: the images to explain.
        target: a class for all rows or for each row. Defaults to the predicted class.
        patch: side of the square patches, in pixels. Defaults to a seventh of the image, at least 1.
        stride: pixels from one patch to the next. Defaults to half a patch, at least 1.
        baseline: the value that covers a patch. Defaults to `0.0`, black.
        scale: of the output: `"auto"`, `"log_odds"` or `"output"`.

    Raises:
        UserError: if the model or the input does not fit, or `patch` or `stride` is out of range.

    Example:
        >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
        >>> model.set_weights([np.array([[1.0], [2.0], [3.0], [4.0]]), np.zeros(1)])
        >>> occlusion(model, np.ones((1, 2, 2, 1)), patch=1).tolist()  # exact for a linear model
        [[[1.0, 2.0], [3.0, 4.0]]]

    In practice: it costs one prediction for each patch, and any model fits, also one without gradients. A covered
    image is unlike the training images: a part of what it shows is the surprise of the model. Where two places say the
    same, covering one of them changes little.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
    """
    explained = ExplainedOutput(model, x, target, scale)
    images = explained.x
    if images.ndim != 4:
        raise UserError(f"occlusion is for images (rows, height, width, channels), got an input of {images.shape}.")
    rows, height, width = images.shape[:3]
    side = min(height, width)
    patch = max(1, side // 7) if patch is None else patch
    stride = max(1, patch // 2) if stride is None else stride
    if not 1 <= patch <= side:
        raise UserError(f"`patch` must be in 1 to {side}, the side of the image, got {patch}.")
    if not 1 <= stride <= patch:
        raise UserError(f"`stride` must be in 1 to {patch}, the side of a patch, got {stride}; larger ones leave gaps.")
    uncovered = explained.values()
    total, count = np.zeros((rows, height, width)), np.zeros((height, width))
    corners = list(itertools.product(_starts(height, patch, stride), _starts(width, patch, stride)))
    patches = [(slice(top, top + patch), slice(left, left + patch)) for top, left in corners]
    for part in copies_in_calls(images, len(patches)):
        covered = np.repeat(images[None], part.stop - part.start, axis=0)
        for copy, place in zip(covered, patches[part], strict=True):
            copy[:, *place] = baseline
        values = explained.values(covered.reshape(-1, *images.shape[1:]), np.tile(explained.target, len(covered)))
        for place, after in zip(patches[part], values.reshape(-1, rows), strict=True):
            total[:, *place] += (uncovered - after)[:, None, None]
            count[place] += 1
    return (total / count).astype("float32")


def _starts(size: int, patch: int, stride: int) -> list[int]:
    """Where patches start; the last one ends at the border."""
    return sorted({*range(0, size - patch, stride), size - patch})
