"""Integrated gradients: contributions that sum to the change of the output since a baseline."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasfound.errors import UserError

from .explained_output import ExplainedOutput, Scale, copies_in_calls

FIRST_STEPS = 8


@dataclass(frozen=True)
class IntegratedGradients:
    """Contributions of the numbers of each row, and how complete they are."""

    attributions: np.ndarray
    """Of the shape of the input."""
    steps: int
    """Points of the path at which the gradient was taken."""
    change: np.ndarray
    """For each row, the change of the output since the baseline: what the contributions should sum to."""
    error: float
    """The largest difference between a row's sum of contributions and its change, as a share of the change, which
    counts as at least 1."""

    @property
    def total(self) -> np.ndarray:
        """For each row, the sum of its contributions."""
        return self.attributions.reshape(len(self.attributions), -1).sum(-1, dtype="float64")


def integrated_gradients(
    model: keras.Model,
    x: Any,
    target: Any = None,
    baseline: Any = 0.0,
    tolerance: float = 0.01,
    max_steps: int = 512,
    scale: Scale = "auto",
) -> IntegratedGradients:
    r"""Contributions along the straight path from a baseline to the input.

    With the explained output $F$ and the baseline $x'$:

    $$a_i = (x_i - x'_i) \int_0^1 \frac{\partial F}{\partial x_i}(x' + \alpha (x - x'))\, d\alpha, \qquad
      \sum_i a_i = F(x) - F(x')$$

    The second equation, completeness, follows from the chain rule; it holds for no smaller part of the path. The
    integral is a mean over $m$ midpoints $\alpha_k = (k - \frac{1}{2}) / m$. $m$ starts at 8 and doubles until
    $|\sum_i a_i - (F(x) - F(x'))|$ is at most `tolerance` times the change (which counts as at least 1) in every row.

    Shapes: `x` and $a$ `(rows, ...)`, the same; `baseline` broadcasts to it.

    Args:
        model: a Keras model with one input and outputs `(rows, classes)`.
        x: the rows to explain.
        target: a class for all rows or for each row. Defaults to the predicted class.
        baseline: $x'$, the input without the thing. Defaults to `0.0`, black.
        tolerance: the largest relative error of the sum. Defaults to `0.01`.
        max_steps: the largest $m$. Defaults to `512`.
        scale: of the output: `"auto"`, `"log_odds"` or `"output"`.

    Returns:
        An `IntegratedGradients` with `attributions`, `steps`, `change` and `error`. The error is above the tolerance
        if `max_steps` were not enough.

    Raises:
        UserError: as for `saliency`, or if `tolerance` or `max_steps` is out of range.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[2.0], [-3.0]])])
        >>> result = integrated_gradients(model, [[5.0, 7.0]])
        >>> result.attributions.tolist(), result.change.tolist(), result.steps
        ([[10.0, -21.0]], [-11.0], 8)

    In practice: the baseline decides what is explained, and a pixel equal to it gets 0: on photographs compare black,
    white and a blurred copy. A model that jumps (hard thresholds, trees) breaks completeness: look at `error`.

    Source: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017.
    """
    if tolerance <= 0:
        raise UserError(f"`tolerance` must be above 0, got {tolerance}.")
    if max_steps < FIRST_STEPS:
        raise UserError(f"`max_steps` must be at least {FIRST_STEPS}, got {max_steps}.")
    explained = ExplainedOutput(model, x, target, scale)
    start = np.broadcast_to(np.asarray(baseline, explained.x.dtype), explained.x.shape)
    change = explained.values() - explained.values(start)

    def mean_gradient(steps: int) -> np.ndarray:
        alphas, total = ((np.arange(steps) + 0.5) / steps).astype("float32"), np.zeros(explained.x.shape)
        for part in copies_in_calls(explained.x, steps):
            alpha = alphas[part].reshape(-1, *[1] * explained.x.ndim)
            total += explained.sum_of_gradients(start + alpha * (explained.x - start))
        return total / steps

    return along_path(mean_gradient, explained.x - start, change, tolerance, max_steps)


def along_path(
    mean_gradient: Callable[[int], np.ndarray],
    difference: np.ndarray,
    change: np.ndarray,
    tolerance: float,
    max_steps: int,
) -> IntegratedGradients:
    """Contributions with enough steps: double them until every row's contributions sum to its change.

    Args:
        mean_gradient: the mean gradient over the given number of points of the path, `(rows, ...)`.
        difference: the way from the baseline to the input, of the same shape.
        change: of the output, `(rows,)`.
        tolerance: the largest relative error.
        max_steps: the largest number of points.
    """
    steps = FIRST_STEPS
    while True:
        attributions = difference * mean_gradient(steps)
        errors = np.abs(attributions.reshape(len(attributions), -1).sum(-1) - change)
        error = float((errors / np.maximum(np.abs(change), 1.0)).max())
        if error <= tolerance or 2 * steps > max_steps:
            return IntegratedGradients(attributions.astype("float32"), steps, change, error)
        steps *= 2
