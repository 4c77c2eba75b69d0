"""The velocity of momentum as a memory of earlier gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")


@lab("Momentum is a memory of the earlier gradients", who="introductions")
def momentum_memory(*, momentum: Annotated[float, Between(0.1, 0.99)] = 0.9, seeds: Seeds = 10) -> Evidence:
    r"""The steps that the optimizer Momentum takes, compared with the weighted sum of all gradients so far.

    From $v_t = \mu v_{t-1} - \alpha g_t$ follows

    $$v_t = -\alpha \left( g_t + \mu g_{t-1} + \mu^2 g_{t-2} + \dots \right)$$

    Each gradient counts $\mu$ times as much as the next one. A gradient that stays the same adds up to
    $1 / (1 - \mu)$ times one step, a gradient that changes its sign with each step to $1 / (1 + \mu)$. The weight of a
    gradient of $5 / (1 - \mu)$ steps ago is about $e^{-5}$.

    Args:
        momentum: the share of the velocity that is kept, $\mu$.
        seeds: number of random sequences of gradients.

    Try: `--momentum 0.5`: the memory is 10 steps long, and a constant gradient is only doubled.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """
    memory = round(5 / (1 - momentum))
    steps = memory + 1
    random = np.random.default_rng(0).normal(size=(steps, seeds))
    weights = momentum ** np.arange(steps)
    sums = np.stack([weights[: t + 1][::-1] @ random[: t + 1] for t in range(steps)])
    taken = _steps(random, momentum)
    sign = np.where(np.arange(steps) % 2, -1.0, 1.0)
    size = np.abs(random[0])
    constant = _steps(np.ones((steps, 1)) * size, momentum)[-1] / size
    alternating = np.abs(_steps(sign[:, None] * size, momentum)[-1]) / size
    single = _steps((np.arange(steps) == 0)[:, None] * size, momentum) / size
    error = Measured.over(np.abs(taken - sums).max(0) / np.abs(sums).max(0))
    gain, reversal = Measured.over(constant), Measured.over(alternating)
    left = Measured.over(single[-1])
    return Evidence(
        numbers={
            "largest difference between the step and the weighted sum, in largest steps": error,
            f"step for a constant gradient of 1; 1 / (1 - momentum) = {1 / (1 - momentum):.3g}": gain,
            f"step for a gradient of 1 and -1 in turn; 1 / (1 + momentum) = {1 / (1 + momentum):.3g}": reversal,
            f"part of a gradient of {memory} steps ago that is left in the step": left,
        },
        findings=(
            predicts(
                "the step is the weighted sum of all gradients so far",
                error.below(1e-4),
                "the step is not the weighted sum of the gradients",
            ),
            predicts(
                "a constant gradient makes larger steps than a gradient that changes its sign",
                gain.above(reversal),
                "a constant gradient makes no larger steps than one that changes its sign",
            ),
            limit(
                f"less than 1% is left of a gradient of {memory} steps ago",
                left.below(0.01),
                f"the gradients are not older than about 5 / (1 - momentum) = {memory} steps",
            ),
        ),
        figure=_figure(momentum, single, weights, random, taken, sums),
    )


def _figure(
    momentum: float, single: np.ndarray, weights: np.ndarray, random: np.ndarray, taken: np.ndarray, sums: np.ndarray
) -> Figure:
    steps = len(weights)
    return Figure(
        (
            Panel(
                "What is left of one gradient",
                "steps since the gradient",
                "part in the step",
                {
                    "measured": Series(range(steps), single.mean(-1)),
                    f"{momentum} to the power of the steps": Series(range(steps), weights),
                },
            ),
            Panel(
                "Steps for random gradients",
                "step",
                "change of the weight / learning rate",
                {
                    "gradient": Series(range(steps), random[:, 0]),
                    "step of Momentum": Series(range(steps), taken[:, 0]),
                    "weighted sum": Series(range(steps), sums[:, 0]),
                },
            ),
        )
    )


def _steps(gradients: np.ndarray, momentum: float) -> np.ndarray:
    """The steps that Momentum takes for these gradients, `(steps, weights)`, without their minus sign."""
    weight = keras.Variable(np.zeros(gradients.shape[1], "float32"))
    optimizer = kf.optimizers.Momentum(1.0, momentum)
    positions = [ops.convert_to_numpy(weight)]
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient, "float32")], [weight])
        positions.append(np.array(ops.convert_to_numpy(weight)))
    return -np.diff(np.stack(positions), axis=0)
