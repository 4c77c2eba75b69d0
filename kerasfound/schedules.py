"""Schedules: the learning rate as a function of the step."""

import math
import numbers

import keras
from keras import ops

__all__ = ["CosineDecay", "ExponentialDecay", "LinearDecay", "OneCycle", "PiecewiseConstantDecay", "StepDecay"]


def _check(above=None, at_least=-math.inf, at_most=math.inf, **arguments):
    low = at_least if above is None else math.nextafter(above, math.inf)
    for name, value in arguments.items():
        if not isinstance(value, numbers.Real) or not low <= value <= at_most:
            limits = f"above {above}" if above is not None else f"at least {at_least}"
            limits += "" if at_most == math.inf else f" and at most {at_most}"
            raise ValueError(f"`{name}` must be a number {limits}, got {value!r}.")


def _real(step):
    return ops.cast(step, "float32")


def _halfway_cosine(progress):
    """Half a cosine wave: it falls from 1 to 0, flat at both ends, while `progress` goes from 0 to 1."""
    return (1 + ops.cos(math.pi * progress)) / 2


@keras.saving.register_keras_serializable(package="kerasfound")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    r"""Multiply the learning rate by a factor after every `decay_steps` steps.

    With step $t$, $\alpha_0$ = `initial_learning_rate`, $n$ = `decay_steps`, $\gamma$ = `decay_rate`:

    $$\alpha_t = \alpha_0\, \gamma^{\lfloor t / n \rfloor}$$

    This is `ExponentialDecay` with `staircase=True`. For stairs of unequal length use `PiecewiseConstantDecay`.

    Range: $(0, \alpha_0]$ for $\gamma \le 1$.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the length of one stair, in optimizer steps.
        decay_rate: the factor from one stair to the next. Defaults to `0.1`.
        name: name of the schedule. Defaults to `"StepDecay"`.

    Raises:
        ValueError: if an argument is not a number, or not above 0.

    Example:
        >>> schedule = StepDecay(0.1, decay_steps=30, decay_rate=0.5)
        >>> [round(float(schedule(t)), 4) for t in (0, 29, 30, 60)]
        [0.1, 0.1, 0.05, 0.025]

    In practice: a factor of 0.1 after each third of the training was long usual for image classifiers. The loss drops
    visibly at each stair; a stair that comes too early wastes the rest of the training.

    Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016.
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate=0.1, name="StepDecay"):
        _check(above=0, initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, decay_rate=decay_rate)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.name = name

    def __call__(self, step):
        return self.initial_learning_rate * ops.power(self.decay_rate, ops.floor(_real(step) / self.decay_steps))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class PiecewiseConstantDecay(keras.optimizers.schedules.LearningRateSchedule):
    r"""A constant learning rate for each interval of steps.

    With step $t$, $b$ = `boundaries`, $v$ = `values`:

    $$\alpha_t = v_k, \quad k = \#\{j : t > b_j\}$$

    so that $v_0$ holds up to and including step $b_0$.

    Range: the numbers in `values`.

    Args:
        boundaries: the last step of each interval except the last interval, increasing.
        values: the rates, one more than `boundaries`.
        name: name of the schedule. Defaults to `"PiecewiseConstant"`.

    Raises:
        ValueError: if `boundaries` do not increase, or `values` does not have one element more.

    Example:
        >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> [round(float(schedule(t)), 4) for t in (0, 100, 101, 500)]
        [0.1, 0.1, 0.01, 0.001]

    In practice: for a schedule copied from a paper. Boundaries are optimizer steps, not epochs.

    Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016.
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        for argument, value in (("boundaries", boundaries), ("values", values)):
            if not isinstance(value, (list, tuple)):
                raise ValueError(f"`{argument}` must be a list of numbers, got {value!r}.")
            for number in value:
                _check(at_least=0, **{argument: number})
        if len(values) != len(boundaries) + 1:
            raise ValueError(f"`values` must have one element more than `boundaries`, got {values} and {boundaries}.")
        if list(boundaries) != sorted(set(boundaries)):
            raise ValueError(f"`boundaries` must increase, got {boundaries}.")
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step):
        t = _real(step)
        rate = ops.convert_to_tensor(self.values[0], dtype="float32")
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = ops.where(t > boundary, value, rate)
        return rate

    def get_config(self):
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


@keras.saving.register_keras_serializable(package="kerasfound")
class ExponentialDecay(keras.optimizers.schedules.LearningRateSchedule):
    r"""Multiply the learning rate by the same factor in every step.

    With step $t$, $\alpha_0$ = `initial_learning_rate`, $n$ = `decay_steps`, $\gamma$ = `decay_rate`:

    $$\alpha_t = \alpha_0\, \gamma^{t / n}$$

    With `staircase=True` the exponent is rounded down, and the rate falls once every $n$ steps.

    Derivative: $\mathrm{d}\alpha_t / \mathrm{d}t = \alpha_t \ln\gamma / n$: a straight line on a logarithmic scale.

    Range: $(0, \alpha_0]$ for $\gamma \le 1$.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the number of steps that multiply the rate by `decay_rate`.
        decay_rate: the factor over `decay_steps` steps.
        staircase: fall in stairs instead of smoothly. Defaults to `False`.
        name: name of the schedule. Defaults to `"ExponentialDecay"`.

    Raises:
        ValueError: if an argument is not a number, or not above 0.

    Example:
        >>> schedule = ExponentialDecay(0.1, decay_steps=100, decay_rate=0.25)
        >>> [round(float(schedule(t)), 4) for t in (0, 50, 100)]
        [0.1, 0.05, 0.025]

    In practice: it never reaches 0, and most of the fall is early; for a known number of steps `CosineDecay` usually
    reaches a lower loss.

    Source: Robbins and Monro, "A Stochastic Approximation Method", 1951, which shows why the rate has to fall.
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        _check(above=0, initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, decay_rate=decay_rate)
        if not isinstance(staircase, bool):
            raise ValueError(f"`staircase` must be True or False, got {staircase!r}.")
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step):
        exponent = _real(step) / self.decay_steps
        if self.staircase:
            exponent = ops.floor(exponent)
        return self.initial_learning_rate * ops.power(self.decay_rate, exponent)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class CosineDecay(keras.optimizers.schedules.LearningRateSchedule):
    r"""Decay along half a cosine wave (slow, fast, slow), after an optional warm-up.

    With step $t$, $\alpha_0$ = `initial_learning_rate`, $n$ = `decay_steps`, $a$ = `alpha`, and with a warm-up
    $w$ = `warmup_steps` and peak $p$ = `warmup_target` (without one, $w = 0$ and $p = \alpha_0$):

    $$\alpha_t = \alpha_0 + (p - \alpha_0)\, t / w \quad \text{for } t < w$$
    $$\alpha_t = p \left(a + (1 - a)\, \tfrac12 (1 + \cos(\pi\, (t - w) / n))\right) \quad \text{for } t \ge w$$

    up to $t = w + n$, and $a p$ from then on.

    Range: $[a p, p]$ after the warm-up.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: number of steps of the decay, after the warm-up.
        alpha: the final rate as a fraction of the peak, in [0, 1]. Defaults to `0.0`.
        name: name of the schedule. Defaults to `"CosineDecay"`.
        warmup_target: the peak; `None` for no warm-up. Defaults to `None`.
        warmup_steps: number of steps of the warm-up. Defaults to `0`.

    Raises:
        ValueError: if an argument is not a number or out of its range.

    Example:
        >>> schedule = CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)
        >>> [round(float(schedule(t)), 4) for t in (0, 5, 10, 60, 110)]
        [0.0, 0.05, 0.1, 0.05, 0.0]

    In practice: the usual choice for transformers. Their first steps with Adam are unstable: warm up over some hundred
    steps. The number of steps must be known in advance; with `alpha=0` steps after the end change nothing.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017; warm-up: Goyal et al.,
    "Accurate, Large Minibatch SGD", 2017.
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
        _check(at_least=0, initial_learning_rate=initial_learning_rate, warmup_steps=warmup_steps)
        _check(above=0, decay_steps=decay_steps)
        _check(at_least=0, at_most=1, alpha=alpha)
        if warmup_target is not None:
            _check(at_least=0, warmup_target=warmup_target)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        t = _real(step)
        start, peak, w = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if peak is None:
            peak, w = start, 0
        progress = ops.clip((t - w) / self.decay_steps, 0, 1)
        falling = peak * (self.alpha + (1 - self.alpha) * _halfway_cosine(progress))
        return ops.where(t < w, start + (peak - start) * t / max(w, 1), falling)

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
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    r"""One cycle: rise to a peak that is too large for a constant rate, then fall to almost zero.

    With step $t$, $p$ = `peak`, $T$ = `total_steps`, $w$ = `warmup_fraction` $\cdot\, T$,
    $s = p$ / `start_divisor` and $e = p$ / `end_divisor`:

    $$\alpha_t = s + (p - s)\, t / w \quad \text{for } t < w$$
    $$\alpha_t = e + (p - e)\, \tfrac12 (1 + \cos(\pi\, (t - w) / (T - w))) \quad \text{for } w \le t \le T$$

    and $e$ from then on. With `anneal="linear"` the second part is a straight line: $e + (p - e)\, (T - t) / (T - w)$.

    The large rates keep the weights out of narrow valleys; the small rates at the end let them converge in a wide one.

    Range: $[e, p]$.

    Args:
        peak: the largest rate.
        total_steps: all optimizer steps of the training: epochs times batches.
        warmup_fraction: the share of steps in which the rate rises, in [0, 1]. Defaults to `0.3`.
        start_divisor: the peak divided by the first rate. Defaults to `25.0`.
        end_divisor: the peak divided by the last rate. Defaults to `1e4`.
        anneal: the shape of the fall, `"cosine"` or `"linear"`. Defaults to `"cosine"`.
        name: name of the schedule. Defaults to `"OneCycle"`.

    Raises:
        ValueError: if an argument is not a number, out of its range, or `anneal` is unknown.

    Example:
        >>> schedule = OneCycle(0.1, total_steps=100)
        >>> [round(float(schedule(t)), 4) for t in (0, 15, 30, 65, 100)]
        [0.004, 0.052, 0.1, 0.05, 0.0]

    In practice: a good first choice for a training of known length, often twice as fast as a constant rate.
    Set `peak` to three to ten times the best constant rate; if the loss goes up in the first third, halve it.

    Source: Smith, "A disciplined approach to neural network hyper-parameters: Part 1", 2018.
    """

    def __init__(
        self,
        peak,
        total_steps,
        warmup_fraction=0.3,
        start_divisor=25.0,
        end_divisor=1e4,
        anneal="cosine",
        name="OneCycle",
    ):
        _check(above=0, peak=peak, total_steps=total_steps)
        _check(at_least=0, at_most=1, warmup_fraction=warmup_fraction)
        _check(at_least=1, start_divisor=start_divisor, end_divisor=end_divisor)
        if anneal not in ("cosine", "linear"):
            raise ValueError(f'`anneal` must be "cosine" or "linear", got {anneal!r}.')
        self.peak = peak
        self.total_steps = total_steps
        self.warmup_fraction = warmup_fraction
        self.start_divisor = start_divisor
        self.end_divisor = end_divisor
        self.anneal = anneal
        self.name = name

    def __call__(self, step):
        t = _real(step)
        p, s, e = self.peak, self.peak / self.start_divisor, self.peak / self.end_divisor
        w = self.warmup_fraction * self.total_steps
        progress = ops.clip((t - w) / max(self.total_steps - w, 1), 0, 1)
        shape = _halfway_cosine(progress) if self.anneal == "cosine" else 1 - progress
        return ops.where(t < w, s + (p - s) * t / max(w, 1), e + (p - e) * shape)

    def get_config(self):
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_fraction": self.warmup_fraction,
            "start_divisor": self.start_divisor,
            "end_divisor": self.end_divisor,
            "anneal": self.anneal,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    r"""Decay on a straight line from the initial learning rate to zero.

    With step $t$, $\alpha_0$ = `initial_learning_rate`, $T$ = `total_steps`:

    $$\alpha_t = \alpha_0 \max(0,\, 1 - t / T)$$

    Derivative: $-\alpha_0 / T$ up to step $T$, then 0.

    Range: $[0, \alpha_0]$.

    Args:
        initial_learning_rate: the rate at step 0.
        total_steps: the step at which it is 0.
        name: name of the schedule. Defaults to `"LinearDecay"`.

    Raises:
        ValueError: if an argument is not a number, or not above 0.

    Example:
        >>> schedule = LinearDecay(0.1, total_steps=100)
        >>> [round(float(schedule(t)), 4) for t in (0, 25, 100, 200)]
        [0.1, 0.075, 0.0, 0.0]

    In practice: hard to beat for a known number of steps, with the initial rate as the only number to tune. It is
    important that the rate reaches zero: the last small steps average the noise out.

    Source: Defazio et al., "Optimal Linear Decay Learning Rate Schedules and Further Refinements", 2023.
    """

    def __init__(self, initial_learning_rate, total_steps, name="LinearDecay"):
        _check(above=0, initial_learning_rate=initial_learning_rate, total_steps=total_steps)
        self.initial_learning_rate = initial_learning_rate
        self.total_steps = total_steps
        self.name = name

    def __call__(self, step):
        return self.initial_learning_rate * ops.maximum(0.0, 1 - _real(step) / self.total_steps)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "total_steps": self.total_steps,
            "name": self.name,
        }
