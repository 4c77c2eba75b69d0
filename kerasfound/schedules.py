"""How large a step is, by the number of steps taken: learning rate schedules."""

import math

import keras
from keras import ops

Schedule = keras.optimizers.schedules.LearningRateSchedule


def _above_zero(**arguments):
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"`{name}` must be above 0, got {value}.")


@keras.saving.register_keras_serializable(package="kerasfound")
class PiecewiseConstantDecay(Schedule):
    r"""Steps: one learning rate up to each boundary, another after it.

    With `boundaries` $b_1 < b_2 < \dots$ and `values` $v_0, v_1, \dots$, one more than boundaries, at step $t$:

    $$\alpha_t = v_i \quad \text{for} \quad b_i < t \le b_{i+1}$$

    Args:
        boundaries: numbers of steps, ascending.
        values: learning rates, one more than there are boundaries.
        name: of the schedule. Defaults to `"PiecewiseConstant"`.

    Raises:
        ValueError: if there is not one value more than boundaries, or the boundaries do not ascend.

    Example:
        >>> rate = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> [round(float(rate(t)), 4) for t in (0, 100, 101, 300)]
        [0.1, 0.1, 0.01, 0.001]

    In practice: drop to a tenth when the validation loss stops falling. Needs the boundaries to be known beforehand.

    Source: Bottou, "Stochastic gradient descent tricks", 2012.
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        if len(values) != len(boundaries) + 1:
            raise ValueError(f"`values` must be one more than `boundaries`, got {len(values)} and {len(boundaries)}.")
        if list(boundaries) != sorted(set(boundaries)):
            raise ValueError(f"`boundaries` must ascend, got {boundaries}.")
        super().__init__()
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step):
        t = ops.cast(step, "float32")
        alpha = ops.convert_to_tensor(self.values[0], dtype="float32")
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            alpha = ops.where(t > boundary, value, alpha)
        return alpha

    def get_config(self):
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


@keras.saving.register_keras_serializable(package="kerasfound")
class ExponentialDecay(Schedule):
    r"""Multiply by the same factor again and again.

    With $\alpha_0$ = `initial_learning_rate`, $r$ = `decay_rate` and $T$ = `decay_steps`, at step $t$:

    $$\alpha_t = \alpha_0\, r^{t / T}$$

    With `staircase`, $t / T$ is rounded down.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: after how many steps the factor is applied once, above 0.
        decay_rate: the factor.
        staircase: whether to hold the rate between multiples of `decay_steps`. Defaults to `False`.
        name: of the schedule. Defaults to `"ExponentialDecay"`.

    Raises:
        ValueError: if `decay_steps` is not above 0.

    Example:
        >>> rate = ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
        >>> [round(float(rate(t)), 4) for t in (0, 100, 200)]
        [0.1, 0.05, 0.025]

    In practice: where the end of training is not known beforehand. Too fast a decay stops before the minimum.

    Source: Bottou, "Stochastic gradient descent tricks", 2012.
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        _above_zero(decay_steps=decay_steps)
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step):
        periods = ops.cast(step, "float32") / self.decay_steps
        if self.staircase:
            periods = ops.floor(periods)
        return self.initial_learning_rate * ops.power(ops.cast(self.decay_rate, "float32"), periods)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class CosineDecay(Schedule):
    r"""Half a cosine from the peak down, after a linear warm-up if there is one.

    With $\alpha_0$ = `initial_learning_rate`, $\alpha_w$ = `warmup_target`, $W$ = `warmup_steps`,
    $T$ = `decay_steps` and $a$ = `alpha`, at step $t$:

    $$\alpha_t = \alpha_0 + (\alpha_w - \alpha_0)\, t / W \quad (t \le W)$$
    $$\alpha_t = \alpha_w \left(a + (1 - a)\, \tfrac12 \left(1 + \cos \frac{\pi (t - W)}{T}\right)\right) \quad (t > W)$$

    Without `warmup_target`, $W = 0$ and the peak is $\alpha_0$. After $W + T$ steps it stays at $a$ times the peak.

    Args:
        initial_learning_rate: where it starts.
        decay_steps: steps on the way down, above 0.
        alpha: the last rate, as a part of the peak. Defaults to `0.0`.
        name: of the schedule. Defaults to `"CosineDecay"`.
        warmup_target: the peak, or `None` for no warm-up. Defaults to `None`.
        warmup_steps: steps on the way up. Defaults to `0`.

    Raises:
        ValueError: if `decay_steps` is not above 0.

    Example:
        >>> rate = CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)
        >>> [round(float(rate(t)), 4) for t in (0, 5, 10, 60, 110)]
        [0.0, 0.05, 0.1, 0.05, 0.0]

    In practice: the default for transformers. Its end has to be known beforehand.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        alpha=0.0,
        name="CosineDecay",
        warmup_target=None,
        warmup_steps=0,
    ):
        _above_zero(decay_steps=decay_steps)
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        t = ops.cast(step, "float32")
        if self.warmup_target is None:
            return self.initial_learning_rate * self._down(t)
        W, rise = self.warmup_steps, self.warmup_target - self.initial_learning_rate
        up = self.initial_learning_rate + rise * t / max(W, 1)
        return ops.where(t < W, up, self.warmup_target * self._down(t - W))

    def _down(self, t):
        fraction = ops.clip(t / self.decay_steps, 0, 1)
        return self.alpha + (1 - self.alpha) * 0.5 * (1 + ops.cos(math.pi * fraction))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class OneCycle(Schedule):
    r"""Up to a peak that would not be stable for long, and down again further than it started.

    With $\alpha$ = `peak`, $T$ = `total_steps`, $w$ = `warmup` and $d$ = `divisor`, at the part $s = t / T$ of all steps:

    $$\alpha_t = \frac{\alpha}{d} + \left(\alpha - \frac{\alpha}{d}\right) \frac{s}{w} \quad (s \le w)$$
    $$\alpha_t = \frac{\alpha}{2} \left(1 + \cos \frac{\pi (s - w)}{1 - w}\right) \quad (s > w)$$

    Args:
        peak: the largest learning rate, above 0.
        total_steps: of the whole training, above 0.
        warmup: the part of the steps on the way up, in (0, 1). Defaults to `0.3`.
        divisor: the first rate is `peak / divisor`. Defaults to `25.0`.
        name: of the schedule. Defaults to `"OneCycle"`.

    Raises:
        ValueError: if `peak`, `total_steps` or `divisor` is not above 0, or `warmup` is outside (0, 1).

    Example:
        >>> rate = OneCycle(peak=0.1, total_steps=100)
        >>> [round(float(rate(t)), 4) for t in (0, 15, 30, 65, 100)]
        [0.004, 0.052, 0.1, 0.05, 0.0]

    In practice: for short trainings: the large steps in the middle find a flat region, the small ones at the end settle
    in it. Validation looks bad until the end; do not stop early.

    Source: Smith and Topin, "Super-convergence: very fast training of neural networks", 2018.
    """

    def __init__(self, peak, total_steps, warmup=0.3, divisor=25.0, name="OneCycle"):
        _above_zero(peak=peak, total_steps=total_steps, divisor=divisor)
        if not 0 < warmup < 1:
            raise ValueError(f"`warmup` must be in (0, 1), got {warmup}.")
        super().__init__()
        self.peak = peak
        self.total_steps = total_steps
        self.warmup = warmup
        self.divisor = divisor
        self.name = name

    def __call__(self, step):
        s, w = ops.cast(step, "float32") / self.total_steps, self.warmup
        start = self.peak / self.divisor
        up = start + (self.peak - start) * s / w
        down = self.peak * 0.5 * (1 + ops.cos(math.pi * (ops.minimum(s, 1) - w) / (1 - w)))
        return ops.where(s < w, up, down)

    def get_config(self):
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup": self.warmup,
            "divisor": self.divisor,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class LinearToZero(Schedule):
    r"""A straight line from the first rate to zero, after a linear warm-up if there is one.

    With $\alpha$ = `peak`, $T$ = `total_steps` and $W$ = `warmup_steps`, at step $t$:

    $$\alpha_t = \alpha \min\left(\frac{t + 1}{W + 1},\; \max\left(0, \frac{T - t}{T - W}\right)\right)$$

    Args:
        peak: the largest learning rate, above 0.
        total_steps: of the whole training, above 0.
        warmup_steps: steps on the way up, less than `total_steps`. Defaults to `0`.
        name: of the schedule. Defaults to `"LinearToZero"`.

    Raises:
        ValueError: if `peak` or `total_steps` is not above 0, or `warmup_steps` is not in [0, `total_steps`).

    Example:
        >>> rate = LinearToZero(0.1, total_steps=100)
        >>> [round(float(rate(t)), 4) for t in (0, 50, 100)]
        [0.1, 0.05, 0.0]

    In practice: for a training whose length is fixed beforehand, it does as well as a cosine or better.

    Source: Defazio, Cutkosky, Mehta and Mishchenko, "Optimal linear decay learning rate schedules", 2023.
    """

    def __init__(self, peak, total_steps, warmup_steps=0, name="LinearToZero"):
        _above_zero(peak=peak, total_steps=total_steps)
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(f"`warmup_steps` must be in [0, {total_steps}), got {warmup_steps}.")
        super().__init__()
        self.peak = peak
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.name = name

    def __call__(self, step):
        t, T, W = ops.cast(step, "float32"), self.total_steps, self.warmup_steps
        return self.peak * ops.minimum((t + 1) / (W + 1), ops.maximum(0.0, (T - t) / (T - W)))

    def get_config(self):
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "name": self.name,
        }
