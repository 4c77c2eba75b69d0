r"""Initializers: initial weights of a size that keeps a signal from vanishing and from exploding.

All but `Orthogonal` follow from one equation. With $y = \sum_{i=1}^{n} w_i x_i$, the weights of mean 0,
independent of each other and of the inputs:

$$\mathrm{Var}(y) = n\, \mathrm{Var}(w)\, \mathrm{E}(x^2)$$
"""

import math
import numbers

import keras
from keras import ops

__all__ = ["GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Orthogonal"]


class _Scaled(keras.initializers.VarianceScaling):
    """The base class: Keras's seeds and axes; each subclass defines its variance."""

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        super().__init__(seed=seed, input_axes=input_axes, output_axes=output_axes)

    def fans(self, shape):
        """Return the number of inputs of a unit and of units of an input; a convolution counts every tap."""
        if self.input_axes is not None and self.output_axes is not None:
            fan_in, fan_out = (math.prod(shape[a] for a in axes) for axes in (self.input_axes, self.output_axes))
        elif len(shape) < 2:
            fan_in = fan_out = math.prod(shape)
        else:
            *taps, inputs, outputs = shape
            fan_in, fan_out = math.prod(taps) * inputs, math.prod(taps) * outputs
        return max(1, fan_in), max(1, fan_out)

    def uniform(self, shape, variance, dtype):
        limit = math.sqrt(3 * variance)  # a uniform number between -a and a has variance a^2 / 3
        return keras.random.uniform(shape, -limit, limit, dtype=dtype, seed=self.seed)

    def normal(self, shape, variance, dtype):
        # truncation at two standard deviations leaves 0.8796 of one
        stddev = math.sqrt(variance) / 0.87962566103423978
        return keras.random.truncated_normal(shape, stddev=stddev, dtype=dtype, seed=self.seed)

    def get_config(self):
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


@keras.saving.register_keras_serializable(package="kerasfound")
class GlorotUniform(_Scaled):
    r"""Uniform weights whose variance is a compromise between the forward and the backward pass.

    With $n_{in}$ inputs to a unit and $n_{out}$ units for an input, a linear layer keeps the variance of a signal of
    mean 0, $\mathrm{E}(x^2) = \mathrm{Var}(x)$, if $n_{in} \mathrm{Var}(w) = 1$. The gradient goes through the same
    weights the other way, $\partial L / \partial x_i = \sum_j w_{ij}\, \partial L / \partial y_j$, and keeps its own if
    $n_{out} \mathrm{Var}(w) = 1$. Both hold only for a square layer; the mean of the two fans is a compromise:

    $$\mathrm{Var}(w) = \frac{2}{n_{in} + n_{out}}$$

    The numbers are uniform between $-a$ and $a$ with $a = \sqrt{6 / (n_{in} + n_{out})}$, which has this variance.

    Shapes: `(..., inputs, outputs)`; axes before the last two are taps of a convolution and count in both fans.

    Args:
        seed: an integer, a `keras.random.SeedGenerator`, or `None` for an integer that is drawn when the object is
            made. An integer gives the same numbers in each call, a generator gives new ones. Defaults to `None`.
        input_axes: the axes over which a unit sums, used with `output_axes`; `None` for all but the last. Defaults to
            `None`.
        output_axes: the axes of the units. Defaults to `None`.

    Raises:
        ValueError: if `seed` is none of these.

    Example:
        >>> w = GlorotUniform(seed=0)((300, 500))
        >>> round(float(ops.var(w)), 4)
        0.0025

    In practice: for `tanh`, `sigmoid` and linear layers; Keras's default. With ReLU the signal vanishes: use
    `HeNormal`.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """

    def __call__(self, shape, dtype=None):
        fan_in, fan_out = self.fans(shape)
        return self.uniform(shape, 2 / (fan_in + fan_out), dtype)


@keras.saving.register_keras_serializable(package="kerasfound")
class GlorotNormal(_Scaled):
    r"""Normal weights whose variance is a compromise between the forward and the backward pass.

    With $n_{in}$ inputs to a unit and $n_{out}$ units for an input, a linear layer keeps the variance of a signal of
    mean 0, $\mathrm{E}(x^2) = \mathrm{Var}(x)$, if $n_{in} \mathrm{Var}(w) = 1$. The gradient goes through the same
    weights the other way, $\partial L / \partial x_i = \sum_j w_{ij}\, \partial L / \partial y_j$, and keeps its own if
    $n_{out} \mathrm{Var}(w) = 1$. Both hold only for a square layer; the mean of the two fans is a compromise:

    $$\mathrm{Var}(w) = \frac{2}{n_{in} + n_{out}}$$

    The numbers are normal, truncated at two standard deviations, and scaled so that they have this variance.

    Shapes: `(..., inputs, outputs)`; axes before the last two are taps of a convolution and count in both fans.

    Args:
        seed: an integer, a `keras.random.SeedGenerator`, or `None` for an integer that is drawn when the object is
            made. An integer gives the same numbers in each call, a generator gives new ones. Defaults to `None`.
        input_axes: the axes over which a unit sums, used with `output_axes`; `None` for all but the last. Defaults to
            `None`.
        output_axes: the axes of the units. Defaults to `None`.

    Raises:
        ValueError: if `seed` is none of these.

    Example:
        >>> w = GlorotNormal(seed=0)((300, 500))
        >>> round(float(ops.var(w)), 4)
        0.0025

    In practice: for `tanh`, `sigmoid` and linear layers; Keras's default. With ReLU the signal vanishes: use
    `HeNormal`.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """

    def __call__(self, shape, dtype=None):
        fan_in, fan_out = self.fans(shape)
        return self.normal(shape, 2 / (fan_in + fan_out), dtype)


@keras.saving.register_keras_serializable(package="kerasfound")
class HeUniform(_Scaled):
    r"""Uniform weights with the variance that ReLU leaves unchanged.

    With $n_{in}$ inputs $x = \max(0, z)$ to a unit, where $z$ is as often negative as positive, ReLU removes half of
    the mean square: $\mathrm{E}(x^2) = \mathrm{Var}(z) / 2$. So
    $\mathrm{Var}(y) = n_{in} \mathrm{Var}(w)\, \mathrm{Var}(z) / 2$, which is $\mathrm{Var}(z)$ if

    $$\mathrm{Var}(w) = \frac{2}{n_{in}}$$

    The numbers are uniform between $-a$ and $a$ with $a = \sqrt{6 / n_{in}}$, which has this variance.

    Shapes: `(..., inputs, outputs)`; axes before the last two are taps of a convolution and count in both fans.

    Args:
        seed: an integer, a `keras.random.SeedGenerator`, or `None` for an integer that is drawn when the object is
            made. An integer gives the same numbers in each call, a generator gives new ones. Defaults to `None`.
        input_axes: the axes over which a unit sums, used with `output_axes`; `None` for all but the last. Defaults to
            `None`.
        output_axes: the axes of the units. Defaults to `None`.

    Raises:
        ValueError: if `seed` is none of these.

    Example:
        >>> w = HeUniform(seed=0)((500, 300))
        >>> round(float(ops.var(w)), 4)
        0.004

    In practice: for layers followed by ReLU and its relatives. Without ReLU the variance doubles in every layer.

    Source: He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015.
    """

    def __call__(self, shape, dtype=None):
        fan_in, _ = self.fans(shape)
        return self.uniform(shape, 2 / fan_in, dtype)


@keras.saving.register_keras_serializable(package="kerasfound")
class HeNormal(_Scaled):
    r"""Normal weights with the variance that ReLU leaves unchanged.

    With $n_{in}$ inputs $x = \max(0, z)$ to a unit, where $z$ is as often negative as positive, ReLU removes half of
    the mean square: $\mathrm{E}(x^2) = \mathrm{Var}(z) / 2$. So
    $\mathrm{Var}(y) = n_{in} \mathrm{Var}(w)\, \mathrm{Var}(z) / 2$, which is $\mathrm{Var}(z)$ if

    $$\mathrm{Var}(w) = \frac{2}{n_{in}}$$

    The numbers are normal, truncated at two standard deviations, and scaled so that they have this variance.

    Shapes: `(..., inputs, outputs)`; axes before the last two are taps of a convolution and count in both fans.

    Args:
        seed: an integer, a `keras.random.SeedGenerator`, or `None` for an integer that is drawn when the object is
            made. An integer gives the same numbers in each call, a generator gives new ones. Defaults to `None`.
        input_axes: the axes over which a unit sums, used with `output_axes`; `None` for all but the last. Defaults to
            `None`.
        output_axes: the axes of the units. Defaults to `None`.

    Raises:
        ValueError: if `seed` is none of these.

    Example:
        >>> w = HeNormal(seed=0)((500, 300))
        >>> round(float(ops.var(w)), 4)
        0.004

    In practice: for layers followed by ReLU and its relatives. Without ReLU the variance doubles in every layer.

    Source: He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015.
    """

    def __call__(self, shape, dtype=None):
        fan_in, _ = self.fans(shape)
        return self.normal(shape, 2 / fan_in, dtype)


@keras.saving.register_keras_serializable(package="kerasfound")
class LecunUniform(_Scaled):
    r"""Uniform weights with the variance that a linear unit leaves unchanged.

    With $n_{in}$ inputs of mean 0 to a unit, $\mathrm{E}(x^2) = \mathrm{Var}(x)$ and
    $\mathrm{Var}(y) = n_{in} \mathrm{Var}(w)\, \mathrm{Var}(x)$, which is $\mathrm{Var}(x)$ if

    $$\mathrm{Var}(w) = \frac{1}{n_{in}}$$

    The numbers are uniform between $-a$ and $a$ with $a = \sqrt{3 / n_{in}}$, which has this variance.

    Shapes: `(..., inputs, outputs)`; axes before the last two are taps of a convolution and count in both fans.

    Args:
        seed: an integer, a `keras.random.SeedGenerator`, or `None` for an integer that is drawn when the object is
            made. An integer gives the same numbers in each call, a generator gives new ones. Defaults to `None`.
        input_axes: the axes over which a unit sums, used with `output_axes`; `None` for all but the last. Defaults to
            `None`.
        output_axes: the axes of the units. Defaults to `None`.

    Raises:
        ValueError: if `seed` is none of these.

    Example:
        >>> w = LecunUniform(seed=0)((500, 300))
        >>> round(float(ops.var(w)), 4)
        0.002

    In practice: for linear layers, and for SELU, whose fixed point assumes it. It considers the forward pass only.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998.
    """

    def __call__(self, shape, dtype=None):
        fan_in, _ = self.fans(shape)
        return self.uniform(shape, 1 / fan_in, dtype)


@keras.saving.register_keras_serializable(package="kerasfound")
class LecunNormal(_Scaled):
    r"""Normal weights with the variance that a linear unit leaves unchanged.

    With $n_{in}$ inputs of mean 0 to a unit, $\mathrm{E}(x^2) = \mathrm{Var}(x)$ and
    $\mathrm{Var}(y) = n_{in} \mathrm{Var}(w)\, \mathrm{Var}(x)$, which is $\mathrm{Var}(x)$ if

    $$\mathrm{Var}(w) = \frac{1}{n_{in}}$$

    The numbers are normal, truncated at two standard deviations, and scaled so that they have this variance.

    Shapes: `(..., inputs, outputs)`; axes before the last two are taps of a convolution and count in both fans.

    Args:
        seed: an integer, a `keras.random.SeedGenerator`, or `None` for an integer that is drawn when the object is
            made. An integer gives the same numbers in each call, a generator gives new ones. Defaults to `None`.
        input_axes: the axes over which a unit sums, used with `output_axes`; `None` for all but the last. Defaults to
            `None`.
        output_axes: the axes of the units. Defaults to `None`.

    Raises:
        ValueError: if `seed` is none of these.

    Example:
        >>> w = LecunNormal(seed=0)((500, 300))
        >>> round(float(ops.var(w)), 4)
        0.002

    In practice: for linear layers, and for SELU, whose fixed point assumes it. It considers the forward pass only.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998.
    """

    def __call__(self, shape, dtype=None):
        fan_in, _ = self.fans(shape)
        return self.normal(shape, 1 / fan_in, dtype)


@keras.saving.register_keras_serializable(package="kerasfound")
class Orthogonal(keras.initializers.Orthogonal):
    r"""Weights that rotate a signal and keep its length exactly, not only on average.

    A random normal matrix $A = Q R$, with $Q^T Q = I$ and $R$ upper triangular; with $g$ = `gain`:

    $$W = g\, Q\, \mathrm{diag}(\mathrm{sign}(R_{ii}))$$

    Then $\lVert W^T x \rVert = g \lVert x \rVert$ for a square $W$, also through many layers: all singular values are
    $g$. The signs make every rotation equally likely; the QR algorithm alone would prefer some.

    Shapes: `(..., inputs, outputs)`, taken as a matrix of `outputs` columns; orthonormal columns, or rows where there
        are fewer.

    Args:
        gain: $g$, a number. Defaults to `1.0`.
        seed: an integer, a `keras.random.SeedGenerator`, or `None` for an integer that is drawn when the object is
            made. Defaults to `None`.

    Raises:
        ValueError: if `gain` is not a number or `seed` none of these; when called, if `shape` has fewer than two axes.

    Example:
        >>> w = Orthogonal(seed=0)((3, 3))
        >>> [[abs(round(float(x), 4)) for x in row] for row in ops.transpose(w) @ w]
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

    In practice: for recurrent weights, which multiply the state once for every time step; $g = \sqrt 2$ before ReLU.

    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", 2014.
    """

    def __init__(self, gain=1.0, seed=None):
        if not isinstance(gain, numbers.Real):
            raise ValueError(f"`gain` must be a number, got {gain!r}.")
        super().__init__(gain=gain, seed=seed)

    def __call__(self, shape, dtype=None):
        if len(shape) < 2:
            raise ValueError(f"`shape` must have at least two axes, got {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        dtype = keras.backend.standardize_dtype(dtype)
        exact = "float64" if dtype == "float64" else "float32"  # no backend has a QR decomposition in half precision
        q, r = ops.qr(keras.random.normal(tall, dtype=exact, seed=self.seed))
        q = q * ops.sign(ops.diag(r))
        return ops.cast(self.gain * ops.reshape(q if rows >= columns else ops.transpose(q), shape), dtype)
