"""Adam and AdamW: every weight has its own step size."""

import keras
from keras import ops

from .base import Optimizer


@keras.saving.register_keras_serializable(package="kerasfound")
class Adam(Optimizer):
    r"""A running mean of the gradient, divided by its running root mean square.

    With gradient $g_t$, weight $w_t$, step $t$ and the arguments
    $\alpha$ = `learning_rate`, $\beta_1$ = `beta_1`, $\beta_2$ = `beta_2`, $\hat\epsilon$ = `epsilon`:

    $$m_t = \beta_1 m_{t-1} + (1 - \beta_1)\, g_t$$
    $$v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2$$
    $$\alpha_t = \alpha \sqrt{1 - \beta_2^t} \,/\, (1 - \beta_1^t)$$
    $$w_t = w_{t-1} - \alpha_t\, m_t / (\sqrt{v_t} + \hat\epsilon)$$

    $m$ and $v$ start at zero, so at first both are too small; $\alpha_t$ corrects this. The first step is therefore
    about `learning_rate` in size, whatever the gradient's scale.

    This is the efficient form at the end of section 2 of the paper; Keras computes it too. The paper's Algorithm 1
    corrects both means first, $\hat m_t = m_t / (1 - \beta_1^t)$ and $\hat v_t = v_t / (1 - \beta_2^t)$, and steps by
    $\alpha\, \hat m_t / (\sqrt{\hat v_t} + \epsilon)$. The two are the same where
    $\hat\epsilon = \epsilon \sqrt{1 - \beta_2^t}$: with `algorithm_1=True` `epsilon` is the paper's $\epsilon$. They
    differ only while $t$ is small and the gradient is not large compared with `epsilon`.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.001`.
        beta_1: decay of the mean, in [0, 1). Defaults to `0.9`.
        beta_2: decay of the mean square, in [0, 1). Defaults to `0.999`.
        epsilon: added to the root, above 0. Defaults to `1e-7`.
        amsgrad: divide by the largest $v$ so far, so that step sizes never grow. Defaults to `False`.
        algorithm_1: read `epsilon` as the paper's Algorithm 1 does. Defaults to `False`, as in Keras.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `weight_decay`, `use_ema`, ...).

    Raises:
        ValueError: if a beta is outside [0, 1) or `epsilon` is not above 0.

    Example:
        >>> w = keras.Variable(1.0)
        >>> adam = Adam(learning_rate=0.1)
        >>> adam.apply([ops.convert_to_tensor(250.0)], [w])  # a huge gradient, a step of 0.1
        >>> round(float(w.value), 4)
        0.9

    In practice: Adam divides the gradient of a weight penalty in the loss by $\sqrt{v_t}$ too: use `AdamW` instead. A
    loss that jumps late in training often means that $v_t$ has forgotten a rare large gradient: raise `beta_2` or
    `epsilon`, or try `amsgrad`. Two intended differences from `keras.optimizers.Adam`: if a word occurs twice in a
    batch, Keras on TensorFlow squares the two parts of its embedding gradient before it adds them; this class adds
    first, like the formula and like Keras on JAX. And weights in bfloat16 do change.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015;
    `amsgrad`: Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond", 2018.
    """

    torch_kernel = "adam"

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        algorithm_1=False,
        **kwargs,
    ):
        for argument, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise ValueError(f"`{argument}` must be a number in [0, 1), got {value!r}.")
        if not isinstance(epsilon, int | float) or not epsilon > 0:
            raise ValueError(f"`epsilon` must be a number above 0, got {epsilon!r}.")
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.algorithm_1 = algorithm_1

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.mean, self.mean_square = self.add_optimizer_variables(variables, ["mean", "mean_square"])
        if self.amsgrad:
            self.largest = self.add_optimizer_variables(variables, "largest_mean_square")

    def update_step(self, gradient, variable, learning_rate):
        i = self._get_variable_index(variable)
        m, v, beta_1, beta_2, epsilon = self.mean[i], self.mean_square[i], self.beta_1, self.beta_2, self.epsilon
        # on TensorFlow the gradient of an embedding is a list of rows with repetitions: `reshape` adds them up
        g = ops.reshape(ops.cast(gradient, variable.dtype), variable.shape)
        # in bfloat16 0.999 rounds to 1, and no weight would change
        t = ops.cast(self.iterations + 1, keras.backend.result_type(variable.dtype, "float32"))

        # m = beta_1 * m + (1 - beta_1) * g, written as an addition to m: one pass less over the weights
        self.assign_add(m, (1 - beta_1) * (g - m))
        self.assign_add(v, (1 - beta_2) * (ops.square(g) - v))
        if self.amsgrad:
            self.assign(self.largest[i], ops.maximum(self.largest[i], v))
            v = self.largest[i]
        if self.algorithm_1:
            epsilon = ops.cast(epsilon * ops.sqrt(1 - beta_2**t), variable.dtype)
        alpha_t = ops.cast(learning_rate, t.dtype) * ops.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        self.assign_sub(variable, ops.cast(alpha_t, variable.dtype) * m / (ops.sqrt(v) + epsilon))

    def get_config(self):
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
            "algorithm_1": self.algorithm_1,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class AdamW(Adam):
    r"""Adam with decoupled weight decay: weights shrink independently of the gradient.

    With Adam's step $s_t$ (see `Adam`), weight $w_t$, $\alpha$ = `learning_rate`, $\lambda$ = `weight_decay`:

    $$w_t = w_{t-1} - \alpha \lambda\, w_{t-1} - s_t$$

    A penalty $\frac{\lambda}{2} \lVert w \rVert^2$ in the loss would put $\lambda w$ into the gradient, where Adam
    divides it by $\sqrt{v}$: the penalty would be weakest for the weights with the largest gradients. Here every weight
    decays at the same rate. Every Keras optimizer with `weight_decay` applies the decay before `update_step`; `AdamW`
    is `Adam` with `weight_decay` required.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.001`.
        weight_decay: times the learning rate, the share that a weight loses in each step; at least 0. Defaults to
            `0.004`.
        beta_1: decay of the mean, in [0, 1). Defaults to `0.9`.
        beta_2: decay of the mean square, in [0, 1). Defaults to `0.999`.
        epsilon: added to the root, above 0. Defaults to `1e-7`.
        amsgrad: divide by the largest $v$ so far. Defaults to `False`.
        algorithm_1: read `epsilon` as the paper's Algorithm 1 does. Defaults to `False`, as in Keras.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `use_ema`, ...).

    Raises:
        ValueError: if `weight_decay` is negative or None, a beta outside [0, 1), or `epsilon` is not above 0.

    Example:
        >>> w = keras.Variable(1.0)
        >>> adamw = AdamW(learning_rate=0.1, weight_decay=0.5)
        >>> adamw.apply([ops.convert_to_tensor(0.0)], [w])  # no gradient: the weight loses the share 0.1 * 0.5
        >>> round(float(w.value), 4)
        0.95

    In practice: biases and the scales of normalization layers should not decay:
    `optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])` before training.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        algorithm_1=False,
        **kwargs,
    ):
        if not isinstance(weight_decay, int | float) or not weight_decay >= 0:
            raise ValueError(f"`weight_decay` must be a number, at least 0, got {weight_decay!r}.")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, algorithm_1, weight_decay=weight_decay, **kwargs
        )
