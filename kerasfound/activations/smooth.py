"""Activations without a jump: softmax, the sigmoid and its relatives, and smooth forms of ReLU."""

import math

from keras import ops

from .definition import activation, check_axis, check_number


def _softmax_derivative(x, axis=-1):
    p = softmax(x, axis=axis)
    return p * (1 - p)


def _softmax_equation(x, axis=-1):
    exponentials = ops.exp(x - ops.max(x, axis=axis, keepdims=True))
    return exponentials / ops.sum(exponentials, axis=axis, keepdims=True)


@activation(derivative=_softmax_derivative, range=(0.0, 1.0), equation=_softmax_equation)
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
    check_axis(x, axis)
    if isinstance(axis, tuple):  # Keras would reshape, which needs sizes that a graph may not know
        return ops.exp(x - ops.logsumexp(x, axis=axis, keepdims=True))
    # Keras's operation: one kernel, one node in ONNX; on TensorFlow Keras's losses can read the logits from its result
    return ops.softmax(x, axis=axis)


def _log_softmax_equation(x, axis=-1):
    x = x - ops.max(x, axis=axis, keepdims=True)
    return x - ops.log(ops.sum(ops.exp(x), axis=axis, keepdims=True))


@activation(
    derivative=lambda x, axis=-1: 1 - softmax(x, axis=axis), range=(-math.inf, 0.0), equation=_log_softmax_equation
)
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
        >>> [round(float(y), 4) for y in log_softmax([0.0, 200.0])]  # softmax rounds to 0, its logarithm is -inf
        [-200.0, 0.0]

    In practice: cross-entropy is computed from it. For the model's output take its exponential, or use `softmax`.

    Source: Goodfellow, Bengio and Courville, "Deep Learning", section 6.2.2.3, 2016.
    """
    check_axis(x, axis)
    if isinstance(axis, tuple):  # Keras would reshape, which needs sizes that a graph may not know
        return x - ops.logsumexp(x, axis=axis, keepdims=True)
    # one operation, which subtracts the largest first; separate operations cost a third more
    return ops.log_softmax(x, axis=axis)


def _sigmoid_equation(x):
    return 1 / (1 + ops.exp(-x))


@activation(derivative=lambda x: ops.sigmoid(x) * ops.sigmoid(-x), range=(0.0, 1.0), equation=_sigmoid_equation)
def sigmoid(x):
    r"""Turn a score into the probability of the positive class.

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

    In practice: for gates and for binary outputs; several outputs may be positive at once. In deep hidden layers the
    gradient vanishes: each layer multiplies it by a slope of at most 1/4.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986.
    """
    # the formula's slope is 0 / inf at x = -100; on TensorFlow Keras's losses can read the logits from this result
    return ops.sigmoid(x)


def _tanh_equation(x):
    return (ops.exp(x) - ops.exp(-x)) / (ops.exp(x) + ops.exp(-x))


@activation(derivative=lambda x: 1 - ops.square(ops.tanh(x)), range=(-1.0, 1.0), equation=_tanh_equation)
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

    In practice: for the state of recurrent networks, which must stay bounded. It saturates like the sigmoid.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998.
    """
    return ops.tanh(x)


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
    check_number(alpha=alpha)
    not_positive = ops.where(x > 0, 0.0, x)  # for large x e^x would overflow, and the gradient 0 * inf would be NaN
    return ops.where(x > 0, x, alpha * ops.expm1(not_positive))


def _gelu_bend(x):
    """The argument of tanh. Beyond 10 tanh is 1, and x^3 would overflow (in half precision at 41)."""
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
    r"""The input times the probability that a standard normal number is smaller: a smooth ReLU.

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

    In practice: the activation of most transformers. BERT and GPT-2 were trained with the tanh form: use it with their
    weights.

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

    In practice: in EfficientNet and, as a gate, in current language models. Keras calls it `swish` too; here `swish`
    has the extra argument `beta`.

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

    In practice: the layer `Swish` learns `beta`; this is rarely better than `silu`.

    Source: Ramachandran, Zoph and Le, "Searching for Activation Functions", 2017.
    """
    if not hasattr(beta, "dtype"):
        check_number(beta=beta)
    return x * ops.sigmoid(beta * x)


def _softplus_equation(x):
    return ops.maximum(x, 0) + ops.log1p(ops.exp(-ops.abs(x)))


@activation(derivative=lambda x: ops.sigmoid(x), range=(0.0, math.inf), equation=_softplus_equation)
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
