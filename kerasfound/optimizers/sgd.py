"""Gradient descent, with or without momentum."""

import keras
from keras import ops

from .base import Optimizer


@keras.saving.register_keras_serializable(package="kerasfound")
class SGD(Optimizer):
    r"""A step against the gradient of a mini-batch, with optional momentum.

    With gradient $g_t$, weight $w_t$, velocity $v_t$ (zero at first), $\alpha$ = `learning_rate`, $\mu$ = `momentum`:

    $$v_t = \mu v_{t-1} - \alpha g_t$$
    $$w_t = w_{t-1} + v_t$$

    and with `nesterov=True` the weight includes the next step of the velocity:

    $$w_t = w_{t-1} + \mu v_t - \alpha g_t$$

    The gradient of a random mini-batch is the gradient of the whole data plus noise of mean zero, so on average each
    step goes downhill, at a fraction of the cost.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.01`.
        momentum: share of the velocity kept from step to step, in [0, 1]. Defaults to `0.0`: no velocity.
        nesterov: whether to use Nesterov momentum. Defaults to `False`.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `weight_decay`, `use_ema`, ...).

    Raises:
        ValueError: if `momentum` is outside [0, 1].

    Example:
        >>> w = keras.Variable(1.0)
        >>> sgd = SGD(learning_rate=0.1, momentum=0.9)
        >>> for _ in range(2):
        ...     sgd.apply([ops.convert_to_tensor(1.0)], [w])  # steps of 0.1, then 0.9 * 0.1 + 0.1
        >>> round(float(w.value), 4)
        0.71

    In practice: the loss grows or turns NaN when `learning_rate` is too large: divide it by 10. With `momentum` the
    long-term step is $\alpha / (1 - \mu)$ times the gradient: for 0.9 use a `learning_rate` ten times smaller.

    Source: Robbins and Monro, "A Stochastic Approximation Method", 1951; with momentum: Sutskever et al.,
    "On the importance of initialization and momentum in deep learning", 2013.
    """

    torch_kernel = "sgd"

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, **kwargs):
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a number in [0, 1], got {momentum!r}.")
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum
        self.nesterov = nesterov

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self.velocity = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        alpha, g = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        # `ops.multiply` and `ops.add` also take an embedding's gradient on TensorFlow, which is a list of rows
        step = ops.multiply(-alpha, g)
        if self.momentum:
            v = self.velocity[self._get_variable_index(variable)]
            self.assign(v, ops.add(self.momentum * v, step))
            step = ops.add(self.momentum * v, step) if self.nesterov else v
        self.assign_add(variable, step)

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}


@keras.saving.register_keras_serializable(package="kerasfound")
class GradientDescent(Optimizer):
    r"""A step against the gradient of the whole data.

    With the loss $L$ over *all* $n$ examples, weight $w_t$ and $\alpha$ = `learning_rate`:

    $$g_t = \nabla L(w_{t-1}) = \frac{1}{n} \sum_{i=1}^{n} \nabla L_i(w_{t-1})$$
    $$w_t = w_{t-1} - \alpha g_t$$

    Where the loss curves by at most $\beta$, any $\alpha < 2 / \beta$ lowers it with every step. The optimizer only
    receives gradients: train with full batches, `model.fit(x, y, batch_size=len(x))`. With mini-batches the same
    equation is `SGD`.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.01`.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `weight_decay`, `use_ema`, ...).

    Raises:
        ValueError: if `learning_rate` is neither a float nor a schedule.

    Example:
        >>> w = keras.Variable(1.0)
        >>> descent = GradientDescent(learning_rate=0.25)
        >>> for _ in range(3):
        ...     descent.apply([2 * w], [w])  # the loss is w**2, so each step halves w
        >>> round(float(w.value), 4)
        0.125

    In practice: each step costs a pass over the data, and in a narrow valley the path zigzags. Use it as the baseline
    for other optimizers.

    Source: Cauchy, "Methode generale pour la resolution des systemes d'equations simultanees", 1847.
    """

    torch_kernel = "gradient_descent"

    def __init__(self, learning_rate=0.01, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        alpha, g = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        self.assign_sub(variable, ops.multiply(alpha, g))


@keras.saving.register_keras_serializable(package="kerasfound")
class Momentum(Optimizer):
    r"""Gradient descent with momentum: the gradient changes the velocity, the velocity changes the weight.

    With gradient $g_t$, weight $w_t$, velocity $v_t$ (zero at first), $\alpha$ = `learning_rate`, $\mu$ = `momentum`:

    $$v_t = \mu v_{t-1} - \alpha g_t$$
    $$w_t = w_{t-1} + v_t$$

    Written out, $v_t = -\alpha \sum_k \mu^k g_{t-k}$: components that all gradients share add up to $1 / (1 - \mu)$
    times one step, components that alternate cancel. The same numbers as `keras.optimizers.SGD(momentum=...)`.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.01`.
        momentum: share of the velocity kept from step to step, in [0, 1]. Defaults to `0.9`.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `weight_decay`, `use_ema`, ...).

    Raises:
        ValueError: if `momentum` is outside [0, 1].

    Example:
        >>> w = keras.Variable(1.0)
        >>> ball = Momentum(learning_rate=0.1)
        >>> for _ in range(2):
        ...     ball.apply([ops.convert_to_tensor(1.0)], [w])  # steps of 0.1, then 0.9 * 0.1 + 0.1
        >>> round(float(w.value), 4)
        0.71

    In practice: divide the `learning_rate` of plain SGD by about $1 / (1 - \mu)$. If the loss goes up and down over
    many steps, the momentum overshoots: lower `momentum`, or use `Nesterov`.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    torch_kernel = "momentum"

    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a number in [0, 1], got {momentum!r}.")
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocity = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        alpha, g = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        v = self.velocity[self._get_variable_index(variable)]
        self.assign(v, ops.subtract(self.momentum * v, ops.multiply(alpha, g)))
        self.assign_add(variable, v)

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum}


@keras.saving.register_keras_serializable(package="kerasfound")
class Nesterov(Momentum):
    r"""Momentum with the gradient at the point to which the velocity leads.

    Nesterov takes the gradient not at the weight $u_t$ but at the point to which the velocity leads,
    $w_t = u_t + \mu v_t$. The network stores this point as its weight, so with gradient $g_t$ at $w_{t-1}$, velocity
    $v_t$ (zero at first), $\alpha$ = `learning_rate`, $\mu$ = `momentum`:

    $$v_t = \mu v_{t-1} - \alpha g_t$$
    $$w_t = w_{t-1} + \mu v_t - \alpha g_t$$

    On a convex loss the error falls like $1 / t^2$ instead of gradient descent's $1 / t$.
    The same numbers as `keras.optimizers.SGD(momentum=..., nesterov=True)`.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.01`.
        momentum: share of the velocity kept from step to step, in [0, 1]. Defaults to `0.9`.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `weight_decay`, `use_ema`, ...).

    Raises:
        ValueError: if `momentum` is outside [0, 1].

    Example:
        >>> w = keras.Variable(1.0)
        >>> nesterov = Nesterov(learning_rate=0.1)
        >>> nesterov.apply([ops.convert_to_tensor(1.0)], [w])  # 0.9 * 0.1 ahead of plain momentum's 0.1
        >>> round(float(w.value), 4)
        0.81

    In practice: with the same settings it oscillates less than `Momentum` and tolerates a slightly larger
    `learning_rate`; with very noisy mini-batches the two hardly differ.

    Source: Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)", 1983;
    in this form: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """

    torch_kernel = "nesterov"

    def update_step(self, gradient, variable, learning_rate):
        alpha, g = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        v = self.velocity[self._get_variable_index(variable)]
        self.assign(v, ops.subtract(self.momentum * v, ops.multiply(alpha, g)))
        self.assign_add(variable, ops.subtract(self.momentum * v, ops.multiply(alpha, g)))
