"""RMSprop: Adagrad with a running mean instead of a sum."""

import keras
from keras import ops

from .base import Optimizer


@keras.saving.register_keras_serializable(package="kerasfound")
class RMSprop(Optimizer):
    r"""Each gradient, divided by the root of a running mean of its square.

    With gradient $g_t$, weight $w_t$, $\alpha$ = `learning_rate`, $\rho$ = `rho`, $\epsilon$ = `epsilon`:

    $$v_t = \rho v_{t-1} + (1 - \rho)\, g_t^2$$
    $$s_t = \alpha\, g_t / \sqrt{v_t + \epsilon}$$
    $$w_t = w_{t-1} - s_t$$

    With `centered=True` the variance $v_t - m_t^2$ replaces $v_t$ under the root, where
    $m_t = \rho m_{t-1} + (1 - \rho)\, g_t$. With $\mu$ = `momentum` the step is $b_t = \mu b_{t-1} + s_t$ instead of
    $s_t$.

    Only the ratio of the gradient to its recent size counts: scaling the loss by 1000 does not change the steps.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.001`.
        rho: decay of the running means, in [0, 1). Defaults to `0.9`.
        momentum: share of the last step that is kept, in [0, 1]. Defaults to `0.0`.
        epsilon: added under the root, above 0. Defaults to `1e-7`.
        centered: divide by the standard deviation instead of the root mean square. Defaults to `False`.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `weight_decay`, `use_ema`, ...).

    Raises:
        ValueError: if `rho` is outside [0, 1), `momentum` outside [0, 1], or `epsilon` is not above 0.

    Example:
        >>> w = keras.Variable(10.0)
        >>> rmsprop = RMSprop(learning_rate=0.1)
        >>> rmsprop.apply([ops.convert_to_tensor(10.0)], [w])  # 0.1 * 10 / sqrt(0.1 * 10**2)
        >>> round(float(w.value), 4)
        9.6838

    In practice: $v$ starts at zero and is not corrected, so the first steps are up to $1 / \sqrt{1 - \rho}$ times too
    long: warm the learning rate up, or use `Adam`. With `centered=True` and a constant gradient the variance is nearly
    0, and rounding may make it negative: raise `epsilon`.

    Source: Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012; centered: Graves,
    "Generating Sequences With Recurrent Neural Networks", 2013.
    """

    torch_kernel = "rmsprop"

    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, **kwargs):
        if not isinstance(rho, int | float) or not 0 <= rho < 1:
            raise ValueError(f"`rho` must be a number in [0, 1), got {rho!r}.")
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a number in [0, 1], got {momentum!r}.")
        if not isinstance(epsilon, int | float) or not epsilon > 0:
            raise ValueError(f"`epsilon` must be a number above 0, got {epsilon!r}.")
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.mean_square = self.add_optimizer_variables(variables, "mean_square")
        if self.momentum:
            self.last_step = self.add_optimizer_variables(variables, "last_step")
        if self.centered:
            self.mean = self.add_optimizer_variables(variables, "mean")

    def update_step(self, gradient, variable, learning_rate):
        i, alpha, rho = self._get_variable_index(variable), ops.cast(learning_rate, variable.dtype), self.rho
        # on TensorFlow the gradient of an embedding is a list of rows with repetitions: `reshape` adds them up
        g = ops.reshape(ops.cast(gradient, variable.dtype), variable.shape)
        v = self.mean_square[i]

        self.assign(v, rho * v + (1 - rho) * ops.square(g))
        if self.centered:
            m = self.mean[i]
            self.assign(m, rho * m + (1 - rho) * g)
            v = v - ops.square(m)
        step = alpha * g / ops.sqrt(v + self.epsilon)
        if self.momentum:
            b = self.last_step[i]
            self.assign(b, self.momentum * b + step)
            step = b
        self.assign_sub(variable, step)

    def get_config(self):
        return super().get_config() | {
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
