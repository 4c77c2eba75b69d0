"""Activations as layers; each calls the function of the same name in `kerasfound.activations`."""

import keras
from keras import ops  # noqa: F401  the examples use it

from kerasfound import activations


class ActivationLayer(keras.layers.Layer):
    """The base class: the output has the shape of the input, and a mask passes through."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="kerasfound")
class ReLU(keras.layers.ReLU):
    r"""Keep positive inputs, set the others to zero: `kerasfound.activations.relu` as a layer.

    $$y = \max(x, 0)$$

    and, with $a$ = `negative_slope`, $m$ = `max_value`, $\theta$ = `threshold`:

    $$y = \begin{cases} \min(x, m) & x > \theta \\ a\,(x - \theta) & x \le \theta \end{cases}$$

    Derivative: $1$ for $x > 0$, $0$ for $x < 0$.

    Shapes: any; kept.

    Args:
        max_value: the largest value returned, at least 0; `None` for no limit. Defaults to `None`.
        negative_slope: slope below `threshold`, at least 0. Defaults to `0.0`.
        threshold: inputs at or below it count as negative, at least 0. Defaults to `0.0`.
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: if an argument is not a number of at least 0.

    Example:
        >>> [float(y) for y in ReLU(max_value=6.0)(ops.array([-2.0, 3.0, 9.0]))]
        [0.0, 3.0, 6.0]

    In practice: `Dense(8, activation=relu)` is shorter; a separate layer can stand after a normalization.

    Source: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
    """

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        activations.relu(0.0, negative_slope, max_value, threshold)  # checks the arguments now, not at the first call
        super().__init__(max_value, negative_slope, threshold, **kwargs)

    def call(self, inputs):
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


@keras.saving.register_keras_serializable(package="kerasfound")
class LeakyReLU(keras.layers.LeakyReLU):
    r"""ReLU with a small slope below zero: `kerasfound.activations.leaky_relu` as a layer.

    With $a$ = `negative_slope`:

    $$y = \begin{cases} x & x > 0 \\ a x & x \le 0 \end{cases}$$

    Derivative: $1$ for $x > 0$, $a$ for $x < 0$.

    Shapes: any; kept.

    Args:
        negative_slope: slope below zero, at least 0. Defaults to `0.3`; the function's default is 0.2, as in Keras.
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: if `negative_slope` is not a number of at least 0.

    Example:
        >>> [round(float(y), 4) for y in LeakyReLU(negative_slope=0.1)(ops.array([-2.0, 3.0]))]
        [-0.2, 3.0]

    In practice: when many ReLU units have died, and in discriminators of GANs.

    Source: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.
    """

    def __init__(self, negative_slope=0.3, **kwargs):
        activations.leaky_relu(0.0, negative_slope)  # checks the argument now, not at the first call
        super().__init__(negative_slope, **kwargs)

    def call(self, inputs):
        return activations.leaky_relu(inputs, self.negative_slope)


@keras.saving.register_keras_serializable(package="kerasfound")
class ELU(keras.layers.ELU):
    r"""ReLU with a smooth floor: `kerasfound.activations.elu` as a layer.

    With $\alpha$ = `alpha`:

    $$y = \begin{cases} x & x > 0 \\ \alpha\,(e^x - 1) & x \le 0 \end{cases}$$

    Derivative: $1$ for $x > 0$, $\alpha e^x$ for $x < 0$.

    Shapes: any; kept.

    Args:
        alpha: minus the floor. Defaults to `1.0`.
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: if `alpha` is not a number.

    Example:
        >>> [round(float(y), 4) for y in ELU()(ops.array([-1.0, 3.0]))]
        [-0.6321, 3.0]

    In practice: its outputs average near zero, which helps networks without normalization. Keras's own layer loses
    `alpha` when it is saved; this one keeps it.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by ELUs", 2016.
    """

    def __init__(self, alpha=1.0, **kwargs):
        activations.elu(0.0, alpha)  # checks the argument now, not at the first call
        super().__init__(alpha, **kwargs)

    def call(self, inputs):
        return activations.elu(inputs, self.alpha)

    def get_config(self):
        return super().get_config() | {"alpha": self.alpha}


@keras.saving.register_keras_serializable(package="kerasfound")
class GELU(ActivationLayer):
    r"""The input times the probability of a smaller normal number: `kerasfound.activations.gelu` as a layer.

    With the normal distribution function $\Phi$:

    $$y = x\, \Phi(x)$$

    Derivative: $\Phi(x) + x\, \varphi(x)$ with the normal density $\varphi$.

    Shapes: any; kept.

    Args:
        approximate: use the tanh form. Defaults to `False`.
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: if `approximate` is not True or False.

    Example:
        >>> [round(float(y), 4) for y in GELU()(ops.array([-1.0, 0.0, 3.0]))]
        [-0.1587, 0.0, 2.996]

    In practice: the activation of most transformers. Use the form that the weights were trained with.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.
    """

    def __init__(self, approximate=False, **kwargs):
        activations.gelu(0.0, approximate)  # checks the argument now, not at the first call
        super().__init__(**kwargs)
        self.approximate = approximate

    def call(self, inputs):
        return activations.gelu(inputs, self.approximate)

    def get_config(self):
        return super().get_config() | {"approximate": self.approximate}


@keras.saving.register_keras_serializable(package="kerasfound")
class Swish(ActivationLayer):
    r"""SiLU with a learned slope: `kerasfound.activations.swish` as a layer.

    With the weight $\beta$, which starts at `beta`:

    $$y = x\, \sigma(\beta x)$$

    Derivative: $\sigma(\beta x)\, (1 + \beta x\, \sigma(-\beta x))$; and
        $\partial y / \partial \beta = x^2\, \sigma(\beta x)\, \sigma(-\beta x)$.

    Shapes: any; kept. $\beta$ is one number for the whole layer.

    Args:
        beta: the initial $\beta$. Defaults to `1.0`.
        **kwargs: what every Keras layer takes; with `trainable=False`, $\beta$ stays constant.

    Raises:
        ValueError: if `beta` is not a number.

    Example:
        >>> [round(float(y), 4) for y in Swish(beta=2.0)(ops.array([-1.0, 0.0, 3.0]))]
        [-0.1192, 0.0, 2.9926]

    In practice: $\beta$ mostly ends near 1, where this is `SiLU`.

    Source: Ramachandran, Zoph and Le, "Searching for Activation Functions", 2017.
    """

    def __init__(self, beta=1.0, **kwargs):
        activations.swish(0.0, beta)  # checks the argument now, not at the first call
        super().__init__(**kwargs)
        self.initial_beta = beta

    def build(self, input_shape):
        self.beta = self.add_weight(name="beta", shape=(), initializer=keras.initializers.Constant(self.initial_beta))

    def call(self, inputs):
        return activations.swish(inputs, self.beta)

    def get_config(self):
        return super().get_config() | {"beta": self.initial_beta}


@keras.saving.register_keras_serializable(package="kerasfound")
class SiLU(ActivationLayer):
    r"""The input, gated by its own sigmoid: `kerasfound.activations.silu` as a layer.

    $$y = x\, \sigma(x)$$

    Derivative: $\sigma(x)\, (1 + x\, \sigma(-x))$.

    Shapes: any; kept.

    Args:
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: when called with anything but real numbers.

    Example:
        >>> [round(float(y), 4) for y in SiLU()(ops.array([-1.0, 0.0, 3.0]))]
        [-0.2689, 0.0, 2.8577]

    In practice: in EfficientNet and in current language models.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation", 2018.
    """

    def call(self, inputs):
        return activations.silu(inputs)


@keras.saving.register_keras_serializable(package="kerasfound")
class Sigmoid(ActivationLayer):
    r"""Turn a score into the probability of the positive class: `kerasfound.activations.sigmoid` as a layer.

    $$y = \sigma(x) = \frac{1}{1 + e^{-x}}$$

    Derivative: $\sigma(x)\, \sigma(-x)$.

    Shapes: any; kept.

    Args:
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: when called with anything but real numbers.

    Example:
        >>> [round(float(y), 4) for y in Sigmoid()(ops.array([-1000.0, 0.0, 2.0]))]
        [0.0, 0.5, 0.8808]

    In practice: for binary outputs; in deep hidden layers the gradient vanishes.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986.
    """

    def call(self, inputs):
        return activations.sigmoid(inputs)


@keras.saving.register_keras_serializable(package="kerasfound")
class Tanh(ActivationLayer):
    r"""The sigmoid stretched to -1 ... 1: `kerasfound.activations.tanh` as a layer.

    $$y = \tanh x$$

    Derivative: $1 - \tanh^2 x$.

    Shapes: any; kept.

    Args:
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: when called with anything but real numbers.

    Example:
        >>> [round(float(y), 4) for y in Tanh()(ops.array([-1000.0, 0.0, 0.5]))]
        [-1.0, 0.0, 0.4621]

    In practice: where the output must be bounded; it saturates like the sigmoid.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998.
    """

    def call(self, inputs):
        return activations.tanh(inputs)


@keras.saving.register_keras_serializable(package="kerasfound")
class Softplus(ActivationLayer):
    r"""A smooth ReLU that is positive everywhere: `kerasfound.activations.softplus` as a layer.

    $$y = \log(1 + e^x)$$

    Derivative: $\sigma(x)$.

    Shapes: any; kept.

    Args:
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: when called with anything but real numbers.

    Example:
        >>> [round(float(y), 4) for y in Softplus()(ops.array([-1000.0, 0.0, 1000.0]))]
        [0.0, 0.6931, 1000.0]

    In practice: for outputs that must be positive, such as a variance.

    Source: Dugas, Bengio, Bélisle, Nadeau and Garcia, "Incorporating Second-Order Functional Knowledge", 2001.
    """

    def call(self, inputs):
        return activations.softplus(inputs)


@keras.saving.register_keras_serializable(package="kerasfound")
class SquaredReLU(ActivationLayer):
    r"""ReLU, squared: `kerasfound.activations.squared_relu` as a layer.

    $$y = \max(x, 0)^2$$

    Derivative: $2 \max(x, 0)$.

    Shapes: any; kept.

    Args:
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: when called with anything but real numbers.

    Example:
        >>> [round(float(y), 4) for y in SquaredReLU()(ops.array([-2.0, 0.5, 3.0]))]
        [0.0, 0.25, 9.0]

    In practice: in the feed-forward blocks of language models; it grows fast, so normalize before it.

    Source: So et al., "Primer: Searching for Efficient Transformers for Language Modeling", 2021.
    """

    def call(self, inputs):
        return activations.squared_relu(inputs)


@keras.saving.register_keras_serializable(package="kerasfound")
class Step(ActivationLayer):
    r"""One or zero: `kerasfound.activations.step` as a layer.

    $$y = \begin{cases} 1 & x \ge 0 \\ 0 & x < 0 \end{cases}$$

    Derivative: $0$ except at the jump.

    Shapes: any; kept.

    Args:
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: when called with anything but real numbers.

    Example:
        >>> [round(float(y), 4) for y in Step()(ops.array([-0.1, 0.0, 7.0]))]
        [0.0, 1.0, 1.0]

    In practice: to turn a score into a decision: layers before it cannot learn by gradient descent.

    Source: McCulloch and Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943.
    """

    def call(self, inputs):
        return activations.step(inputs)


@keras.saving.register_keras_serializable(package="kerasfound")
class Sign(ActivationLayer):
    r"""The side of zero: `kerasfound.activations.sign` as a layer.

    $$y = \begin{cases} 1 & x > 0 \\ 0 & x = 0 \\ -1 & x < 0 \end{cases}$$

    Derivative: $0$ except at the jump.

    Shapes: any; kept.

    Args:
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: when called with anything but real numbers.

    Example:
        >>> [round(float(y), 4) for y in Sign()(ops.array([-0.1, 0.0, 7.0]))]
        [-1.0, 0.0, 1.0]

    In practice: to turn a score into a decision: layers before it cannot learn by gradient descent.

    Source: Rosenblatt, "The Perceptron: A Probabilistic Model for Information Storage and Organization", 1958.
    """

    def call(self, inputs):
        return activations.sign(inputs)


@keras.saving.register_keras_serializable(package="kerasfound")
class Linear(ActivationLayer):
    r"""No activation at all: `kerasfound.activations.linear` as a layer.

    $$y = x$$

    Derivative: $1$.

    Shapes: any; kept.

    Args:
        **kwargs: what every Keras layer takes.

    Raises:
        ValueError: when called with anything but real numbers.

    Example:
        >>> [round(float(y), 4) for y in Linear()(ops.array([-2.5, 3.0]))]
        [-2.5, 3.0]

    In practice: to state that there is no activation, and as a baseline for comparisons.

    Source: Widrow and Hoff, "Adaptive Switching Circuits", 1960.
    """

    def call(self, inputs):
        return activations.linear(inputs)
