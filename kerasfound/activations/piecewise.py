"""Piecewise activations: a line or a parabola on each side of zero, or a jump."""

import math

from keras import ops

from .definition import activation, check_number


def _keep_nan(x, y):
    return ops.where(ops.isnan(x), x, y)


def _relu_derivative(x, negative_slope=0.0, max_value=None, threshold=0.0):
    top = math.inf if max_value is None else max_value
    slope = ops.where(x > threshold, ops.where(x < top, 1.0, 0.0), negative_slope)
    return _keep_nan(x, ops.cast(slope, x.dtype))


def _relu_equation(x):
    return ops.maximum(x, 0)


@activation(derivative=_relu_derivative, range=(0.0, math.inf), kinks=(0.0,), equation=_relu_equation)
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    r"""Keep positive inputs, set the others to zero.

    $$y = \max(x, 0)$$

    and, with $a$ = `negative_slope`, $m$ = `max_value`, $\theta$ = `threshold`:

    $$y = \begin{cases} \min(x, m) & x > \theta \\ a\,(x - \theta) & x \le \theta \end{cases}$$

    Derivative: $1$ for $x > 0$, $0$ for $x < 0$; at the kink $x = 0$ it is taken as $0$.

    Range: $[0, \infty)$.

    Args:
        x: a tensor of any shape.
        negative_slope: slope below `threshold`. Defaults to `0.0`.
        max_value: the largest value returned; `None` for no limit. Defaults to `None`.
        threshold: inputs at or below it count as negative. Defaults to `0.0`.

    Raises:
        ValueError: if `x` does not hold real numbers or another argument is not a number of at least 0.

    Example:
        >>> [float(y) for y in relu([-2.0, 0.0, 3.0])]
        [0.0, 0.0, 3.0]

    In practice: the default choice in hidden layers: cheap, and it does not saturate above 0. A unit whose input is
    negative for every example gets no gradient and never comes back ("dead"): lower the learning rate or use
    `leaky_relu` or `gelu`. Start its layers with `HeNormal`.

    Source: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
    """
    check_number(at_least=0, negative_slope=negative_slope, threshold=threshold)
    if negative_slope == 0 and threshold == 0:
        y = ops.relu(x)  # max(x, 0) as one operation, which runtimes fuse with a convolution before it
    else:
        # 0 * (x - threshold) would be NaN at minus infinity
        y = ops.where(x <= threshold, negative_slope * (x - threshold) if negative_slope else 0.0, x)
    if max_value is None:
        return y
    check_number(at_least=0, max_value=max_value)
    return ops.where(y >= max_value, ops.cast(max_value, y.dtype), y)


def _leaky_relu_derivative(x, negative_slope=0.2):
    return _keep_nan(x, ops.cast(ops.where(x > 0, 1.0, negative_slope), x.dtype))


@activation(derivative=_leaky_relu_derivative, range=(-math.inf, math.inf), kinks=(0.0,))
def leaky_relu(x, negative_slope=0.2):
    r"""ReLU with a small slope below zero, so that no unit dies.

    With $a$ = `negative_slope`:

    $$y = \begin{cases} x & x > 0 \\ a x & x \le 0 \end{cases}$$

    Derivative: $1$ for $x > 0$, $a$ for $x < 0$; at the kink $x = 0$ it is taken as $a$.

    Range: $(-\infty, \infty)$.

    Args:
        x: a tensor of any shape.
        negative_slope: slope below zero. Defaults to `0.2`.

    Raises:
        ValueError: if `x` does not hold real numbers or `negative_slope` is not a number of at least 0.

    Example:
        >>> [round(float(y), 4) for y in leaky_relu([-2.0, 0.0, 3.0])]
        [-0.4, 0.0, 3.0]

    In practice: when many ReLU units have died, and in discriminators of GANs. The layer's default is 0.3, as in Keras.

    Source: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.
    """
    check_number(at_least=0, negative_slope=negative_slope)
    return ops.where(x > 0, x, negative_slope * x)


@activation(derivative=lambda x: 2 * ops.relu(x), range=(0.0, math.inf))
def squared_relu(x):
    r"""ReLU, squared: no kink at zero, and a slope that grows with the input.

    $$y = \max(x, 0)^2$$

    Derivative: $2 \max(x, 0)$, continuous.

    Range: $[0, \infty)$.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [float(y) for y in squared_relu([-2.0, 0.5, 3.0])]
        [0.0, 0.25, 9.0]

    In practice: for the feed-forward blocks of language models, where a search discovered it. It grows fast: normalize
    before it, and in float16 keep inputs below 256.

    Source: So et al., "Primer: Searching for Efficient Transformers for Language Modeling", 2021.
    """
    return ops.square(ops.relu(x))


@activation(derivative=lambda x: ops.ones_like(x), range=(-math.inf, math.inf))
def linear(x):
    r"""No activation at all.

    $$y = x$$

    Derivative: $1$.

    Range: $(-\infty, \infty)$.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> float(linear(-2.5))
        -2.5

    In practice: for the last layer of a regression, and for logits. Two layers with it between them are one linear map.

    Source: Widrow and Hoff, "Adaptive Switching Circuits", 1960.
    """
    return x


@activation(derivative=lambda x: _keep_nan(x, ops.zeros_like(x)), range=(0.0, 1.0), kinks=(0.0,))
def step(x):
    r"""One or zero: the activation of the first artificial neuron.

    $$y = \begin{cases} 1 & x \ge 0 \\ 0 & x < 0 \end{cases}$$

    Derivative: $0$ except at the jump, so gradient descent learns nothing through it.

    Range: $\{0, 1\}$.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [float(y) for y in step([-0.1, 0.0, 7.0])]
        [0.0, 1.0, 1.0]

    In practice: for the perceptron, which has its own learning rule. Where a gradient is needed, use `sigmoid`, its
    smooth form.

    Source: McCulloch and Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943.
    """
    return _keep_nan(x, ops.cast(x >= 0, x.dtype))


@activation(derivative=lambda x: _keep_nan(x, ops.zeros_like(x)), range=(-1.0, 1.0), kinks=(0.0,))
def sign(x):
    r"""The side of zero: the prediction of a classifier with the classes -1 and 1.

    $$y = \begin{cases} 1 & x > 0 \\ 0 & x = 0 \\ -1 & x < 0 \end{cases}$$

    Derivative: $0$ except at the jump, so gradient descent learns nothing through it.

    Range: $\{-1, 0, 1\}$.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [float(y) for y in sign([-0.1, 0.0, 7.0])]
        [-1.0, 0.0, 1.0]

    In practice: to turn a score into a decision. Where a gradient is needed, use `tanh`, its smooth form.

    Source: Rosenblatt, "The Perceptron: A Probabilistic Model for Information Storage and Organization", 1958.
    """
    return _keep_nan(x, ops.sign(x))
