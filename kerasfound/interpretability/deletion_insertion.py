"""Judge a ranking of pixels: how fast the output falls without the first ones, and rises with them alone."""

from typing import Any, Literal, NamedTuple

import keras
import numpy as np

from kerasfound.errors import UserError

from .explained_output import ExplainedOutput


class PixelCurve(NamedTuple):
    """The output of the class after each step."""

    share: np.ndarray
    """Of the pixels that are changed, from 0 to 1."""
    outputs: np.ndarray
    """`(rows, points)`."""

    @property
    def area(self) -> float:
        """The mean output along the curve, over all rows."""
        return float(np.trapezoid(self.outputs.mean(axis=0), self.share))


def pixel_curve(
    model: keras.Model,
    x: Any,
    importance: np.ndarray,
    kind: Literal["deletion", "insertion"],
    target: Any = None,
    steps: int = 32,
    baseline: float = 0.0,
) -> PixelCurve:
    r"""The output while the most important pixels are removed, or put into an empty image.

    With the pixels $\pi_1, \pi_2, \dots$ in falling order of importance, the output $p_c$ and the baseline $x'$, the
    curve of deletion at the share $t$ of $n$ pixels is $p_c$ of $x$ with the pixels $\pi_1 \dots \pi_{tn}$ set to $x'$;
    that of insertion is $p_c$ of $x'$ with these pixels of $x$. The area is

    $$A = \int_0^1 p_c(t)\, dt$$

    A good ranking has a small area of deletion and a large one of insertion.

    Shapes: `x` `(rows, height, width, channels)`, `importance` `(rows, height, width)`.

    Args:
        model: a Keras model with images as input and outputs `(rows, classes)`.
        x: the images.
        importance: of each pixel; larger is more important.
        kind: `"deletion"` or `"insertion"`.
        target: a class for all rows or for each row. Defaults to the predicted class.
        steps: number of equal parts of the pixels. Defaults to `32`.
        baseline: $x'$. Defaults to `0.0`.

    Raises:
        UserError: if the importance does not fit the images.

    Example:
        >>> model = keras.Sequential([keras.Input((1, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
        >>> model.set_weights([np.array([[1.0], [3.0]]), np.zeros(1)])
        >>> image, importance = np.ones((1, 1, 2, 1)), np.array([[[1.0, 3.0]]])
        >>> pixel_curve(model, image, importance, "deletion", steps=2).outputs.tolist()
        [[4.0, 1.0, 0.0]]

    In practice: compare with an edge detector and with a random ranking on the same model; many methods do not beat the
    first. The images in between are unlike any training image, so a curve also measures how the model takes that.

    Source: Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", 2018.
    """
    explained = ExplainedOutput(model, x, target, scale="output")
    images = explained.x
    if images.ndim != 4 or importance.shape != images.shape[:3]:
        raise UserError(f"`importance` must have the shape of the images, {images.shape[:3]}, got {importance.shape}.")
    rows, pixels = len(images), images.shape[1] * images.shape[2]
    order = np.argsort(-importance.reshape(rows, pixels), axis=1, kind="stable")
    rank = np.argsort(order, axis=1).reshape(importance.shape)
    counts = np.unique(np.linspace(0, pixels, steps + 1).round().astype(int))
    curve = []
    for count in counts:
        first = (rank < count)[..., None]
        kept = first if kind == "insertion" else ~first
        curve.append(explained.values(np.where(kept, images, baseline)))
    return PixelCurve(counts / pixels, np.stack(curve, axis=1))


def edge_detector(x: np.ndarray) -> np.ndarray:
    r"""The strength of edges, which needs no model: the control of every map.

    With the Sobel kernels $S_h$ and $S_v$ and the mean over channels $\bar x$:

    $$e = \sqrt{(S_h * \bar x)^2 + (S_v * \bar x)^2}$$

    Shapes: `x` `(rows, height, width, channels)`; $e$ `(rows, height, width)`.

    Args:
        x: images.

    Example:
        >>> image = np.array([[0.0, 0.0, 1.0, 1.0]] * 4)[None, ..., None]
        >>> edge_detector(image)[0, 1].tolist()
        [0.0, 4.0, 4.0, 0.0]

    In practice: a map that ranks pixels no better than this shows the image, not the model.

    Source: Sobel and Feldman, 1968; as a control: Adebayo et al., "Sanity Checks for Saliency Maps", 2018.
    """
    a = np.pad(np.asarray(x, "float64").mean(-1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth_v = a[:, :-2] + 2 * a[:, 1:-1] + a[:, 2:]
    smooth_h = a[:, :, :-2] + 2 * a[:, :, 1:-1] + a[:, :, 2:]
    return np.hypot(smooth_v[:, :, 2:] - smooth_v[:, :, :-2], smooth_h[:, 2:] - smooth_h[:, :-2])
