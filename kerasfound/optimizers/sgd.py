"""Downhill along the gradient, with or without momentum."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class SGD(keras.optimizers.Optimizer):
    r"""One step against the gradient of a mini-batch, with momentum on request.

    With gradient $g_t$, weight $w_t$, velocity $v_t$ (zero at first), $\alpha$ = `learning_rate`, $\mu$ = `momentum`:

    $$v_t = \mu v_{t-1} - \alpha g_t$$
    $$w_t = w_{t-1} + v_t$$

    and with `nesterov=True` the weight goes where the velocity is about to carry it:

    $$w_t = w_{t-1} + \mu v_t - \alpha g_t$$

    The gradient of a random mini-batch is the gradient of the whole data plus noise of mean zero,
    so on average each step goes downhill, at a fraction of the price.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.01`.
        momentum: share of the velocity kept from step to step, in [0, 1]. Defaults to `0.0`: no velocity.
        nesterov: look ahead along the velocity. Defaults to `False`.
        **kwargs: what every Keras optimizer takes (`clipnorm`, `weight_decay`, `use_ema`, ...).

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
    lasting step is $\alpha / (1 - \mu)$ times the gradient: 0.9 wants a `learning_rate` ten times smaller.

    Source: Robbins and Monro, "A Stochastic Approximation Method", 1951; with momentum: Sutskever et al.,
    "On the importance of initialization and momentum in deep learning", 2013.
    """

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
