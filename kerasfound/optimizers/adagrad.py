"""Adagrad: weights with large past gradients take smaller steps."""

import keras
from keras import ops

from .base import Optimizer


@keras.saving.register_keras_serializable(package="kerasfound")
class Adagrad(Optimizer):
    r"""Each gradient, divided by the root of the sum of all squared gradients of the weight so far.

    With gradient $g_t$, weight $w_t$, $\alpha$ = `learning_rate`, $\epsilon$ = `epsilon`
    and $s_0$ = `initial_accumulator_value`:

    $$s_t = s_{t-1} + g_t^2$$
    $$w_t = w_{t-1} - \alpha\, g_t / \sqrt{s_t + \epsilon}$$

    A rare feature keeps a small $s$ and takes large steps when it appears; the steps of a frequent feature shrink.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.001`.
        initial_accumulator_value: initial value of the sum, at least 0. Defaults to `0.1`.
        epsilon: added to the sum, above 0. Defaults to `1e-7`.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `weight_decay`, `use_ema`, ...).

    Raises:
        ValueError: if `initial_accumulator_value` is negative or `epsilon` is not above 0.

    Example:
        >>> w = keras.Variable(1.0)
        >>> adagrad = Adagrad(learning_rate=0.1, initial_accumulator_value=0.0)
        >>> for _ in range(2):
        ...     adagrad.apply([ops.convert_to_tensor(3.0)], [w])  # 0.1, then 0.1 / sqrt(2)
        >>> round(float(w.value), 4)
        0.8293

    In practice: $s$ only grows, so the steps shrink like $1 / \sqrt{t}$ and long trainings stall: use `RMSprop` or
    `Adam` for them. The default `learning_rate` is small; the experiments of the paper use values near `0.1` or `1.0`.

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    2011.
    """

    torch_kernel = "adagrad"

    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, **kwargs):
        if not isinstance(initial_accumulator_value, int | float) or not initial_accumulator_value >= 0:
            raise ValueError(
                f"`initial_accumulator_value` must be a number, at least 0, got {initial_accumulator_value!r}."
            )
        if not isinstance(epsilon, int | float) or not epsilon > 0:
            raise ValueError(f"`epsilon` must be a number above 0, got {epsilon!r}.")
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        start = keras.initializers.Constant(self.initial_accumulator_value)
        self.square_sum = self.add_optimizer_variables(variables, "square_sum", initializer=start)

    def update_step(self, gradient, variable, learning_rate):
        alpha = ops.cast(learning_rate, variable.dtype)
        # on TensorFlow the gradient of an embedding is a list of rows with repetitions: `reshape` adds them up
        g = ops.reshape(ops.cast(gradient, variable.dtype), variable.shape)
        s = self.square_sum[self._get_variable_index(variable)]

        self.assign_add(s, ops.square(g))
        self.assign_sub(variable, alpha * g / ops.sqrt(s + self.epsilon))

    def get_config(self):
        return super().get_config() | {
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
