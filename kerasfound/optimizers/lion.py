"""Lion: steps by the sign of a running mean of the gradient."""

import keras
from keras import ops

from .base import Optimizer


@keras.saving.register_keras_serializable(package="kerasfound")
class Lion(Optimizer):
    r"""The sign of a running mean of the gradient: every weight moves by the same amount.

    With gradient $g_t$, weight $w_t$, $\alpha$ = `learning_rate`, $\beta_1$ = `beta_1`, $\beta_2$ = `beta_2`:

    $$c_t = \beta_1 m_{t-1} + (1 - \beta_1)\, g_t$$
    $$w_t = w_{t-1} - \alpha\, \mathrm{sign}(c_t)$$
    $$m_t = \beta_2 m_{t-1} + (1 - \beta_2)\, g_t$$

    A search over programs discovered the formula. Lion keeps one number for each weight, Adam keeps two.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.001`.
        beta_1: weight of the running mean in the step, in (0, 1]. Defaults to `0.9`.
        beta_2: decay of the running mean, in [0, 1]. Defaults to `0.99`.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `weight_decay`, `use_ema`, ...).

    Raises:
        ValueError: if `beta_1` is outside (0, 1] or `beta_2` outside [0, 1].

    Example:
        >>> w = keras.Variable([1.0, 1.0])
        >>> lion = Lion(learning_rate=0.1)
        >>> lion.apply([ops.convert_to_tensor([250.0, -0.001])], [w])  # both weights move by 0.1
        >>> [round(float(x), 4) for x in w.value]
        [0.9, 1.1]

    In practice: use a `learning_rate` 3 to 10 times smaller than for `AdamW`, and a `weight_decay` larger by the same
    factor. The steps do not shrink with the gradient, so use a schedule that ends near zero. Small batches work badly:
    their signs are mostly noise.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023.
    """

    torch_kernel = "lion"

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99, **kwargs):
        if not isinstance(beta_1, int | float) or not 0 < beta_1 <= 1:
            raise ValueError(f"`beta_1` must be a number in (0, 1], got {beta_1!r}.")
        if not isinstance(beta_2, int | float) or not 0 <= beta_2 <= 1:
            raise ValueError(f"`beta_2` must be a number in [0, 1], got {beta_2!r}.")
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.mean = self.add_optimizer_variables(variables, "mean")

    def update_step(self, gradient, variable, learning_rate):
        alpha, beta_1, beta_2 = ops.cast(learning_rate, variable.dtype), self.beta_1, self.beta_2
        # on TensorFlow the gradient of an embedding is a list of rows with repetitions: `reshape` adds them up
        g = ops.reshape(ops.cast(gradient, variable.dtype), variable.shape)
        m = self.mean[self._get_variable_index(variable)]

        self.assign_sub(variable, alpha * ops.sign(beta_1 * m + (1 - beta_1) * g))
        self.assign(m, beta_2 * m + (1 - beta_2) * g)

    def get_config(self):
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2}
