"""The gradient of the output by the input: alone, times the input, and averaged over noisy copies."""

from typing import Any

import keras
import numpy as np

from kerasfound.errors import UserError

from .explained_output import ExplainedOutput, Scale, copies_in_calls


def saliency(model: keras.Model, x: Any, target: Any = None, scale: Scale = "auto") -> np.ndarray:
    r"""How much the output changes with each number of the input.

    With the explained output $F$ (`ExplainedOutput`):

    $$s_i = \frac{\partial F(x)}{\partial x_i}$$

    Shapes: `x` and $s$ `(rows, ...)`, the same.

    Args:
        model: a Keras model with one input and outputs `(rows, classes)`.
        x: the rows to explain.
        target: a class for all rows or for each row. Defaults to the predicted class.
        scale: of the output: `"auto"`, `"log_odds"` or `"output"`.

    Raises:
        UserError: if the model or the input does not fit, or the input are whole numbers.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[2.0], [-3.0]])])
        >>> saliency(model, [[5.0, 7.0]]).tolist()
        [[2.0, -3.0]]

    In practice: it answers "what would change the output", not "what made it": a dark pixel has a gradient too. On
    digits it ranks pixels better than an edge detector (deletion 0.28 against 0.47), but not better than their plain
    brightness (0.19), which needs no model (benchmarks/RESULTS.md).

    Source: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks", 2014.
    """
    return ExplainedOutput(model, x, target, scale).gradients()


def input_times_gradient(
    model: keras.Model, x: Any, target: Any = None, baseline: Any = 0.0, scale: Scale = "auto"
) -> np.ndarray:
    r"""The first-order estimate of what each number of the input contributes.

    With the explained output $F$ and the baseline $x'$:

    $$a_i = (x_i - x'_i)\, \frac{\partial F(x)}{\partial x_i}$$

    Shapes: `x` and $a$ `(rows, ...)`, the same; `baseline` broadcasts to it.

    Args:
        model: a Keras model with one input and outputs `(rows, classes)`.
        x: the rows to explain.
        target: a class for all rows or for each row. Defaults to the predicted class.
        baseline: $x'$, the input without the thing. Defaults to `0.0`, black.
        scale: of the output: `"auto"`, `"log_odds"` or `"output"`.

    Raises:
        UserError: as for `saliency`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[2.0], [-3.0]])])
        >>> input_times_gradient(model, [[5.0, 7.0]]).tolist()
        [[10.0, -21.0]]

    In practice: exact for linear models only. A pixel equal to the baseline always gets 0, whatever it says: the map
    looks like the image, also for a model with random weights. Judge the gradient part alone (`randomization_check`).

    Source: Shrikumar, Greenside and Kundaje, "Learning Important Features Through Propagating Activation Differences",
    2017.
    """
    explained = ExplainedOutput(model, x, target, scale)
    return explained.gradients() * (explained.x - np.asarray(baseline, explained.x.dtype))


def smooth_grad(
    model: keras.Model,
    x: Any,
    target: Any = None,
    samples: int = 32,
    noise: float = 0.15,
    seed: int = 0,
    scale: Scale = "auto",
) -> np.ndarray:
    r"""The mean gradient over noisy copies of the input.

    With $n$ = `samples`, $\sigma$ = `noise` times the range of the row, and $\epsilon_j$ normally distributed:

    $$s_i = \frac{1}{n} \sum_{j=1}^{n} \frac{\partial F}{\partial x_i}(x + \sigma \epsilon_j)$$

    Shapes: `x` and $s$ `(rows, ...)`, the same.

    Args:
        model: a Keras model with one input and outputs `(rows, classes)`.
        x: the rows to explain.
        target: a class for all rows or for each row. Defaults to the predicted class.
        samples: $n$, at least 1. Defaults to `32`.
        noise: share of the row's range, at least 0. Defaults to `0.15`.
        seed: of the noise. Defaults to `0`.
        scale: of the output: `"auto"`, `"log_odds"` or `"output"`.

    Raises:
        UserError: as for `saliency`, or if `samples` or `noise` is out of range.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[2.0], [-3.0]])])
        >>> smooth_grad(model, [[5.0, 7.0]], samples=4).tolist()  # a linear model has the same gradient everywhere
        [[2.0, -3.0]]

    In practice: it is the gradient of the model averaged over the noise, so it no longer explains the model alone.
    10% to 20% noise is usual; more of it hides fine structure. On digits it ranks pixels a little better than the plain
    gradient, and like it not better than their brightness (benchmarks/RESULTS.md).

    Source: Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.
    """
    if samples < 1:
        raise UserError(f"`samples` must be at least 1, got {samples}.")
    if noise < 0:
        raise UserError(f"`noise` must be at least 0, got {noise}.")
    explained = ExplainedOutput(model, x, target, scale)
    x, rng = explained.x, np.random.default_rng(seed)
    axes = tuple(range(1, x.ndim))
    sigma = noise * (x.max(axis=axes, keepdims=True) - x.min(axis=axes, keepdims=True))
    total = np.zeros(x.shape)
    for part in copies_in_calls(x, samples):
        epsilon = rng.standard_normal((part.stop - part.start, *x.shape)).astype(x.dtype)
        total += explained.sum_of_gradients(x + sigma * epsilon)
    return (total / samples).astype(x.dtype)
