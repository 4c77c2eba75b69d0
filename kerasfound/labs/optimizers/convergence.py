"""Long training with mini-batches: the floor of the loss at a constant learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

ROWS, INPUTS, BATCH = 5000, 10, 4
RATE = 0.02
CHUNKS = 20


@lab("Long training brings the loss to its minimum", who='introductions ("train until convergence")')
def convergence(*, steps: Annotated[int, Between(400, 20000)] = 4000, seeds: Seeds = 8) -> Evidence:
    r"""Linear regression with mini-batches: at two constant learning rates, and at a rate that falls to zero.

    The gradient of a mini-batch is the true gradient plus noise, also at the minimum. A constant rate $\eta$ adds the
    noise $\eta \epsilon$ in each step, while descent takes away the share $\eta \lambda$ of the distance. In balance

    $$E[L] - L_{\min} \approx \frac{\eta}{4} \operatorname{tr} \operatorname{Cov}(\epsilon)$$

    which does not depend on the number of steps, and is proportional to $\eta$. Only a rate that falls lowers it. The
    minimum is known exactly here: it is the solution of least squares.

    Args:
        steps: number of steps.
        seeds: number of data sets and orders of the rows.

    Try: `--steps 16000`: the loss at the constant rates stays where it is, at the falling rate it is lower still.

    Source: Robbins and Monro, "A Stochastic Approximation Method", 1951.
    """
    rates = {
        f"constant rate {RATE}": RATE,
        f"constant rate {RATE / 4}": RATE / 4,
        f"rate from {RATE} to 0": kf.schedules.LinearDecay(RATE, steps),
    }
    excess = {name: _excess(rate, steps, seeds) for name, rate in rates.items()}  # each (seeds, CHUNKS)
    large, small, falling = excess.values()
    quarter = CHUNKS // 4
    second, last = (
        Measured.over(np.log(part.mean(1))) for part in (large[:, quarter : 2 * quarter], large[:, -quarter:])
    )
    floors = [Measured.over(part[:, CHUNKS // 2 :].mean(1)) for part in (large, small)]
    change = last - second
    end = Measured.over(falling[:, -1])
    ratio = floors[0] / floors[1]
    return Evidence(
        numbers={
            f"loss above the minimum, second half, rate {RATE}": floors[0],
            f"loss above the minimum, second half, rate {RATE / 4}": floors[1],
            "ratio of these two; the rates have the ratio 4": ratio,
            f"change of ln(loss above the minimum) from the second quarter to the last, rate {RATE}": change,
            "loss above the minimum at the end, rate that falls to 0": end,
        },
        findings=(
            predicts(
                "with a rate that falls to 0 the loss ends below a fifth of the floor of the constant rate",
                (end / floors[0]).below(0.2),
                "even with a rate that falls to 0 the loss stays near the floor of the constant rate",
            ),
            limit(
                "at a constant rate the loss stays at a floor from the second quarter on, proportional to the rate",
                all_of(change.above(-0.5), ratio.within(2.5, 6.0)),
                "the learning rate falls to zero (at a constant rate the noise of the mini-batches keeps "
                "the loss above the minimum, in proportion to the rate)",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Linear regression with mini-batches of 4",
                    "step",
                    "loss above the minimum (mean squared error)",
                    {
                        name: Series([steps // CHUNKS * (i + 1) for i in range(CHUNKS)], values.mean(0))
                        for name, values in excess.items()
                    },
                    log="y",
                ),
            )
        ),
    )


def _excess(rate: Any, steps: int, seeds: int) -> np.ndarray:
    """The loss above the minimum after each chunk of steps, `(seeds, CHUNKS)`."""

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((INPUTS,)), kf.layers.Dense(1, use_bias=False)])

    learner = Learner(build, kf.losses.MeanSquaredError(), kf.optimizers.SGD(rate))
    excess = np.zeros((seeds, CHUNKS))
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(ROWS, INPUTS)).astype("float32")
        y = (x @ rng.normal(size=(INPUTS, 1)) + rng.normal(size=(ROWS, 1))).astype("float32")
        best = np.linalg.lstsq(x, y, rcond=None)[0]
        learner.start(seed)
        for chunk in range(CHUNKS):
            learner.learn(x, y, steps // CHUNKS, BATCH, seed=CHUNKS * seed + chunk)
            weights = ops.convert_to_numpy(learner.model.trainable_variables[0])
            # the loss of least squares is exactly quadratic around its minimum
            excess[seed, chunk] = np.mean((x @ (weights - best)) ** 2)
    return excess
