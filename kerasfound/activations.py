"""Activations: the bend between two linear layers, without which they would be one.

Each is a function that carries its theory as data: `relu.derivative(x)`, `relu.range`, `relu.kinks`.
"""

import functools
import math
import numbers

import keras
from keras import ops


def activation(derivative, range, kinks=()):
    r"""Register a function for saving, let it read any real numbers, and let it carry its theory as data.

    Args:
        derivative: a function of the same arguments, $\partial y_i / \partial x_i$ for every element. For softmax
            and log-softmax, whose outputs depend on all inputs, this is the diagonal of the Jacobian.
        range: the infimum and the supremum of the values, for the default arguments.
        kinks: where the derivative jumps, for the default arguments. Defaults to `()`.
    """

    def carry(function):
        @functools.wraps(function)
        def on_tensor(x, *args, **kwargs):
            return function(_as_floats(x), *args, **kwargs)

        on_tensor.derivative = lambda x, *args, **kwargs: derivative(_as_floats(x), *args, **kwargs)
        on_tensor.range, on_tensor.kinks = range, kinks
        return keras.saving.register_keras_serializable(package="kerasfound")(on_tensor)

    return carry


def _as_floats(x):
    if not keras.utils.is_keras_tensor(x):
        try:
            x = ops.convert_to_tensor(x)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`x` must be a tensor of real numbers, got {x!r}.") from error
    dtype = keras.backend.standardize_dtype(x.dtype)
    if "int" in dtype:
        return ops.cast(x, keras.config.floatx())
    if "float" not in dtype:
        raise ValueError(f"`x` must be a tensor of real numbers, got dtype {dtype}.")
    return x


def _check(**arguments):
    for name, value in arguments.items():
        if not isinstance(value, numbers.Real):
            raise ValueError(f"`{name}` must be a number, got {value!r}.")


def _keep_nan(x, y):
    return ops.where(ops.isnan(x), x, y)


def _relu_derivative(x, negative_slope=0.0, max_value=None, threshold=0.0):
    top = math.inf if max_value is None else max_value
    slope = ops.where(x > threshold, ops.where(x < top, 1.0, 0.0), negative_slope)
    return _keep_nan(x, ops.cast(slope, x.dtype))


@activation(derivative=_relu_derivative, range=(0.0, math.inf), kinks=(0.0,))
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    r"""Pass what is positive, stop what is not.

    $$y = \max(x, 0)$$

    and, with $a$ = `negative_slope`, $m$ = `max_value`, $\theta$ = `threshold`:

    $$y = \begin{cases} \min(x, m) & x > \theta \\ a\,(x - \theta) & x \le \theta \end{cases}$$

    Derivative: $1$ for $x > 0$, $0$ for $x < 0$; at the kink $x = 0$ it is taken as $0$.

    Range: $[0, \infty)$.

    Args:
        x: a tensor of any shape.
        negative_slope: slope below `threshold`. Defaults to `0.0`.
        max_value: the largest value returned; `None` for no limit. Defaults to `None`.
        threshold: what is not above it counts as negative. Defaults to `0.0`.

    Raises:
        ValueError: if `x` does not hold real numbers or another argument is not a number.

    Example:
        >>> [float(y) for y in relu([-2.0, 0.0, 3.0])]
        [0.0, 0.0, 3.0]

    In practice: the default choice in hidden layers: cheap, and it does not saturate above 0. A unit whose input is
    negative for every example gets no gradient and never comes back ("dead"): lower the learning rate or use
    `leaky_relu` or `gelu`. Start its layers with `HeNormal`.

    Source: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
    """
    _check(negative_slope=negative_slope, threshold=threshold)
    if negative_slope == 0 and threshold == 0:
        y = ops.relu(x)  # max(x, 0) as one operation, which a convolution before it takes along
    else:
        # 0 * (x - threshold) would be NaN at minus infinity
        y = ops.where(x <= threshold, negative_slope * (x - threshold) if negative_slope else 0.0, x)
    if max_value is None:
        return y
    _check(max_value=max_value)
    return ops.where(y >= max_value, ops.cast(max_value, y.dtype), y)


def _softmax_derivative(x, axis=-1):
    p = ops.softmax(x, axis=axis)
    return p * (1 - p)


@activation(derivative=_softmax_derivative, range=(0.0, 1.0))
def softmax(x, axis=-1):
    r"""Turn scores into probabilities: positive, summing to 1, larger for the larger score.

    $$p_i = \frac{e^{x_i}}{\sum_j e^{x_j}}$$

    Adding a constant to every $x_i$ changes nothing, so the largest is subtracted first and $e^x$ cannot overflow.

    Derivative: $\partial p_i / \partial x_j = p_i (\delta_{ij} - p_j)$;
        `softmax.derivative` is the diagonal of this Jacobian, $p_i (1 - p_i)$.

    Range: $[0, 1]$, sums over `axis` are 1.

    Args:
        x: a tensor of scores (logits).
        axis: the axis, or a tuple of axes, that sums to 1. Defaults to `-1`.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [round(float(p), 4) for p in softmax([1.0, 2.0, 3.0])]
        [0.09, 0.2447, 0.6652]

    In practice: for the last layer of a classifier with classes that exclude each other; where several may hold at
    once use `sigmoid`. Never take the logarithm of its result: use `log_softmax`, or a loss with `from_logits=True`.

    Source: Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.
    """
    # Keras's operation: one kernel, one node in ONNX, and it tells Keras's losses the logits on TensorFlow
    return ops.softmax(x, axis=axis)
