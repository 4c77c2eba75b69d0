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


def _check(at_least=-math.inf, **arguments):
    for name, value in arguments.items():
        if not isinstance(value, numbers.Real) or not value >= at_least:
            limit = "" if at_least == -math.inf else f" of at least {at_least}"
            raise ValueError(f"`{name}` must be a number{limit}, got {value!r}.")


def _check_axis(x, axis):
    axes = () if axis is None else axis if isinstance(axis, tuple) else (axis,)
    rank = len(x.shape)
    if not all(isinstance(a, numbers.Integral) and -rank <= a < rank for a in axes):
        raise ValueError(f"`axis` must be one or more of the {rank} axes of `x`, or None for all, got {axis!r}.")


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
        ValueError: if `x` does not hold real numbers or another argument is not a number of at least 0.

    Example:
        >>> [float(y) for y in relu([-2.0, 0.0, 3.0])]
        [0.0, 0.0, 3.0]

    In practice: the default choice in hidden layers: cheap, and it does not saturate above 0. A unit whose input is
    negative for every example gets no gradient and never comes back ("dead"): lower the learning rate or use
    `leaky_relu` or `gelu`. Start its layers with `HeNormal`.

    Source: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
    """
    _check(at_least=0, negative_slope=negative_slope, threshold=threshold)
    if negative_slope == 0 and threshold == 0:
        y = ops.relu(x)  # max(x, 0) as one operation, which a convolution before it takes along
    else:
        # 0 * (x - threshold) would be NaN at minus infinity
        y = ops.where(x <= threshold, negative_slope * (x - threshold) if negative_slope else 0.0, x)
    if max_value is None:
        return y
    _check(at_least=0, max_value=max_value)
    return ops.where(y >= max_value, ops.cast(max_value, y.dtype), y)


def _softmax_derivative(x, axis=-1):
    p = softmax(x, axis=axis)
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
        axis: the axis, or a tuple of axes, that sums to 1; `None` for all. Defaults to `-1`.

    Raises:
        ValueError: if `x` does not hold real numbers or has no such axis.

    Example:
        >>> [round(float(p), 4) for p in softmax([1.0, 2.0, 3.0])]
        [0.09, 0.2447, 0.6652]

    In practice: for the last layer of a classifier with classes that exclude each other; where several may hold at
    once use `sigmoid`. Never take the logarithm of its result: use `log_softmax`, or a loss with `from_logits=True`.

    Source: Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.
    """
    _check_axis(x, axis)
    if isinstance(axis, tuple):  # Keras would reshape to sizes that a graph need not know
        return ops.exp(x - ops.logsumexp(x, axis=axis, keepdims=True))
    # Keras's operation: one kernel, one node in ONNX, and it tells Keras's losses the logits on TensorFlow
    return ops.softmax(x, axis=axis)


@activation(derivative=lambda x, axis=-1: 1 - softmax(x, axis=axis), range=(-math.inf, 0.0))
def log_softmax(x, axis=-1):
    r"""The logarithm of softmax, exact also where the probability itself rounds to 0.

    $$y_i = x_i - \log \sum_j e^{x_j}$$

    Derivative: $\partial y_i / \partial x_j = \delta_{ij} - p_j$ with $p$ = `softmax(x)`;
        `log_softmax.derivative` is the diagonal of this Jacobian, $1 - p_i$.

    Range: $(-\infty, 0]$.

    Args:
        x: a tensor of scores (logits).
        axis: the axis, or a tuple of axes, over which $e^y$ sums to 1; `None` for all. Defaults to `-1`.

    Raises:
        ValueError: if `x` does not hold real numbers or has no such axis.

    Example:
        >>> [round(float(y), 4) for y in log_softmax([0.0, 200.0])]  # softmax would say 0, its logarithm -inf
        [-200.0, 0.0]

    In practice: what cross-entropy is made of. For the model's answer, take its exponential or use `softmax`.

    Source: Goodfellow, Bengio and Courville, "Deep Learning", section 6.2.2.3, 2016.
    """
    _check_axis(x, axis)
    if isinstance(axis, tuple):  # Keras would reshape to sizes that a graph need not know
        return x - ops.logsumexp(x, axis=axis, keepdims=True)
    # one operation that subtracts the largest first; by hand it costs a third more
    return ops.log_softmax(x, axis=axis)


@activation(derivative=lambda x: ops.sigmoid(x) * ops.sigmoid(-x), range=(0.0, 1.0))
def sigmoid(x):
    r"""Turn a score into the probability of yes.

    $$y = \sigma(x) = \frac{1}{1 + e^{-x}}$$

    Derivative: $\sigma(x)\,(1 - \sigma(x)) = \sigma(x)\, \sigma(-x)$, at most $1/4$, at $x = 0$.

    Range: $[0, 1]$, the ends only by rounding.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [round(float(y), 4) for y in sigmoid([-1000.0, 0.0, 2.0])]
        [0.0, 0.5, 0.8808]

    In practice: for gates and for yes-or-no outputs, several of which may hold at once. In deep hidden layers its
    slope, at most 1/4 and 0 far out, multiplies away: the gradient vanishes.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986.
    """
    # the formula's slope is 0 / inf at x = -100; Keras's operation also tells its losses the logits on TensorFlow
    return ops.sigmoid(x)


@activation(derivative=lambda x: 1 - ops.square(ops.tanh(x)), range=(-1.0, 1.0))
def tanh(x):
    r"""The sigmoid stretched to -1 ... 1, so that zero stays zero.

    $$y = \tanh x = \frac{e^x - e^{-x}}{e^x + e^{-x}} = 2 \sigma(2x) - 1$$

    Derivative: $1 - \tanh^2 x$, at most $1$, at $x = 0$.

    Range: $[-1, 1]$, the ends only by rounding.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [round(float(y), 4) for y in tanh([-1000.0, 0.0, 0.5])]
        [-1.0, 0.0, 0.4621]

    In practice: the state of recurrent networks, which has to stay bounded; it saturates as the sigmoid does.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998.
    """
    return ops.tanh(x)


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

    In practice: for the last layer of a regression, and for logits. Between two layers it makes them one.

    Source: Widrow and Hoff, "Adaptive Switching Circuits", 1960.
    """
    return x


@activation(derivative=lambda x: _keep_nan(x, ops.zeros_like(x)), range=(0.0, 1.0), kinks=(0.0,))
def step(x):
    r"""Fire or do not: the first neuron's activation.

    $$y = \begin{cases} 1 & x \ge 0 \\ 0 & x < 0 \end{cases}$$

    Derivative: $0$ wherever there is one, so gradient descent learns nothing through it.

    Range: $\{0, 1\}$.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [float(y) for y in step([-0.1, 0.0, 7.0])]
        [0.0, 1.0, 1.0]

    In practice: for the perceptron, which has a rule of its own; for a gradient use `sigmoid`, its soft form.

    Source: McCulloch and Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943.
    """
    return _keep_nan(x, ops.cast(x >= 0, x.dtype))


@activation(derivative=lambda x: _keep_nan(x, ops.zeros_like(x)), range=(-1.0, 1.0), kinks=(0.0,))
def sign(x):
    r"""Which side of zero: the answer of a classifier whose classes are called -1 and 1.

    $$y = \begin{cases} 1 & x > 0 \\ 0 & x = 0 \\ -1 & x < 0 \end{cases}$$

    Derivative: $0$ wherever there is one, so gradient descent learns nothing through it.

    Range: $\{-1, 0, 1\}$.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [float(y) for y in sign([-0.1, 0.0, 7.0])]
        [-1.0, 0.0, 1.0]

    In practice: to read off a decision; where a gradient is needed, `tanh` is its soft form.

    Source: Rosenblatt, "The Perceptron: A Probabilistic Model for Information Storage and Organization", 1958.
    """
    return _keep_nan(x, ops.sign(x))


def _leaky_relu_derivative(x, negative_slope=0.2):
    return _keep_nan(x, ops.cast(ops.where(x > 0, 1.0, negative_slope), x.dtype))


@activation(derivative=_leaky_relu_derivative, range=(-math.inf, math.inf), kinks=(0.0,))
def leaky_relu(x, negative_slope=0.2):
    r"""ReLU that lets a little through below zero, so that no unit dies.

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
    _check(at_least=0, negative_slope=negative_slope)
    return ops.where(x > 0, x, negative_slope * x)


def _elu_derivative(x, alpha=1.0):
    return ops.where(x > 0, ops.ones_like(x), alpha * ops.exp(x))


@activation(derivative=_elu_derivative, range=(-1.0, math.inf))
def elu(x, alpha=1.0):
    r"""ReLU with a smooth floor: below zero it bends down to a constant.

    With $\alpha$ = `alpha`:

    $$y = \begin{cases} x & x > 0 \\ \alpha\,(e^x - 1) & x \le 0 \end{cases}$$

    Derivative: $1$ for $x > 0$, $\alpha e^x$ for $x < 0$; they meet at $0$ only for $\alpha = 1$.

    Range: $[-\alpha, \infty)$.

    Args:
        x: a tensor of any shape.
        alpha: minus the floor. Defaults to `1.0`.

    Raises:
        ValueError: if `x` does not hold real numbers or `alpha` is not a number.

    Example:
        >>> [round(float(y), 4) for y in elu([-1.0, 0.0, 3.0])]
        [-0.6321, 0.0, 3.0]

    In practice: its outputs average near zero, which helps networks without normalization; slower than ReLU.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by ELUs", 2016.
    """
    _check(alpha=alpha)
    not_positive = ops.where(x > 0, 0.0, x)  # e^x would overflow on the other side, and its slope 0 * inf be NaN
    return ops.where(x > 0, x, alpha * ops.expm1(not_positive))


def _gelu_bend(x):
    """The inside of the tanh form; beyond 10 tanh is 1 and x^3 would overflow, in half precision at 41."""
    x = ops.clip(x, -10.0, 10.0)
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)


def _gelu_derivative(x, approximate=False):
    if approximate:
        t = ops.tanh(_gelu_bend(x))
        bend_slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * ops.square(ops.clip(x, -10.0, 10.0)))
        return 0.5 * (1 + t) + 0.5 * x * (1 - ops.square(t)) * bend_slope
    density = ops.exp(-0.5 * ops.square(x)) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + ops.erf(x / math.sqrt(2))) + x * density


@activation(derivative=_gelu_derivative, range=(-0.16997120747990369, math.inf))
def gelu(x, approximate=False):
    r"""Weigh the input by the probability that a normal number is smaller: a smooth ReLU.

    With the normal distribution function $\Phi$ and its density $\varphi$:

    $$y = x\, \Phi(x) = \tfrac12\, x\, (1 + \mathrm{erf}(x / \sqrt 2))$$

    and with `approximate=True`, within 5e-4 of it:

    $$y = \tfrac12\, x\, (1 + \tanh(\sqrt{2 / \pi}\, (x + 0.044715\, x^3)))$$

    Derivative: $\Phi(x) + x\, \varphi(x)$.

    Range: $[-0.16997, \infty)$, lowest at $x = -0.75$.

    Args:
        x: a tensor of any shape.
        approximate: use the tanh form. Defaults to `False`.

    Raises:
        ValueError: if `x` does not hold real numbers or `approximate` is not True or False.

    Example:
        >>> [round(float(y), 4) for y in gelu([-1.0, 0.0, 3.0])], round(float(gelu(-1.0, approximate=True)), 4)
        ([-0.1587, 0.0, 2.996], -0.1588)

    In practice: the activation of most transformers. BERT and GPT-2 were trained with the tanh form: load their
    weights with the form they were trained with.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.
    """
    if not isinstance(approximate, bool):
        raise ValueError(f"`approximate` must be True or False, got {approximate!r}.")
    if approximate:
        return 0.5 * x * (1 + ops.tanh(_gelu_bend(x)))
    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


def _swish_derivative(x, beta=1.0):
    return ops.sigmoid(beta * x) * (1 + beta * x * ops.sigmoid(-beta * x))


@activation(derivative=_swish_derivative, range=(-0.27846454276107374, math.inf))
def silu(x):
    r"""The input, gated by its own sigmoid: a smooth ReLU that dips below zero.

    $$y = x\, \sigma(x)$$

    Derivative: $\sigma(x)\, (1 + x\, \sigma(-x))$.

    Range: $[-0.27846, \infty)$, lowest at $x = -1.278$.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [round(float(y), 4) for y in silu([-1.0, 0.0, 3.0])]
        [-0.2689, 0.0, 2.8577]

    In practice: in EfficientNet and, as a gate, in today's language models. Keras calls it `swish` too; here `swish`
    is the form with a slope of its own.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation", 2018.
    """
    return x * ops.sigmoid(x)


@activation(derivative=_swish_derivative, range=(-0.27846454276107374, math.inf))
def swish(x, beta=1.0):
    r"""SiLU with a slope: between half the input and ReLU.

    With $\beta$ = `beta`:

    $$y = x\, \sigma(\beta x)$$

    At $\beta = 0$ this is $x / 2$, at $1$ it is `silu`, towards $\infty$ it becomes `relu`.

    Derivative: $\sigma(\beta x)\, (1 + \beta x\, \sigma(-\beta x))$; and
        $\partial y / \partial \beta = x^2\, \sigma(\beta x)\, \sigma(-\beta x)$.

    Range: $[-0.27846 / \beta, \infty)$ for $\beta > 0$.

    Args:
        x: a tensor of any shape.
        beta: how sharp the gate is, a number or a tensor. Defaults to `1.0`.

    Raises:
        ValueError: if `x` does not hold real numbers or `beta` is neither a number nor a tensor.

    Example:
        >>> [round(float(swish(-1.0, beta)), 4) for beta in (0.0, 1.0, 10.0)]
        [-0.5, -0.2689, -0.0]

    In practice: the layer `Swish` learns `beta`, which seldom earns its keep over `silu`.

    Source: Ramachandran, Zoph and Le, "Searching for Activation Functions", 2017.
    """
    if not hasattr(beta, "dtype"):
        _check(beta=beta)
    return x * ops.sigmoid(beta * x)


@activation(derivative=lambda x: ops.sigmoid(x), range=(0.0, math.inf))
def softplus(x):
    r"""A smooth ReLU that is positive everywhere.

    $$y = \log(1 + e^x) = \max(x, 0) + \log(1 + e^{-|x|})$$

    Derivative: $\sigma(x)$.

    Range: $[0, \infty)$, the end only by rounding.

    Args:
        x: a tensor of any shape.

    Raises:
        ValueError: if `x` does not hold real numbers.

    Example:
        >>> [round(float(y), 4) for y in softplus([-1000.0, 0.0, 1000.0])]
        [0.0, 0.6931, 1000.0]

    In practice: for outputs that must be positive, such as a variance. Minus the logarithm of a sigmoid is
    `softplus(-x)`, which is how cross-entropy is computed from logits.

    Source: Dugas, Bengio, Bélisle, Nadeau and Garcia, "Incorporating Second-Order Functional Knowledge", 2001.
    """
    return ops.softplus(x)  # the second form, in one operation: e^x would overflow


@activation(derivative=lambda x: 2 * ops.relu(x), range=(0.0, math.inf))
def squared_relu(x):
    r"""ReLU, squared: no kink at zero, and steeper for the strong.

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

    In practice: found by search for the feed-forward blocks of language models. It grows fast: normalize before it,
    and in float16 keep inputs below 256.

    Source: So et al., "Primer: Searching for Efficient Transformers for Language Modeling", 2021.
    """
    return ops.square(ops.relu(x))
