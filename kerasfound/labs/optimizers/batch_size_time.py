"""The batch size, and what it costs to reach the same loss: in rows, and in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")

ROWS = 1536
SIZES = (1, 8, 64, ROWS)
CHUNK = {1: 256, 8: 64, 64: 16, ROWS: 8}
"""Steps between two looks at the loss."""
LOOKS = 40
RATES = (0.03, 0.1, 0.3, 1.0)


@lab("Stochastic gradient descent is faster than gradient descent on all rows", who="introductions")
def batch_size_time(*, target: Annotated[float, Between(0.2, 1.5)] = 0.4, seeds: Seeds = 3) -> Evidence:
    r"""Rows and time until the loss on digits is reached, for batches of 1 to 1536 rows, each with its best rate.

    A step costs time $a + b B$: a fixed part and a part for each of its $B$ rows. Small batches learn more from each
    row, since they take more steps. But for $B = 1$ the fixed part is paid for every row, and a step is so noisy that
    its rate must be small. So the best size depends on the price: counted in rows it is small, counted in steps large,
    and in time between the two.

    Time is CPU time of compiled steps, on this machine; the verdict rests on rows and steps, which are the same on
    every machine.

    Args:
        target: the loss to reach, on all rows, in nats.
        seeds: number of initial values and orders of the rows.

    Try: `--target 1`: the order of the sizes stays, at a lower price for all.

    Source: Bottou and Bousquet, "The Tradeoffs of Large Scale Learning", 2008.
    """
    x, y, *_ = digits(0, ROWS)
    learner = _learner()
    steps, seconds = {}, {}
    for size in SIZES:
        table = np.array([[_steps(learner, x, y, size, rate, target, seed) for seed in range(seeds)] for rate in RATES])
        steps[size] = table[table.mean(1).argmin()]
        seconds[size] = np.array([_seconds_of_a_step(learner.start(seed), x, y, size) for seed in range(seeds)])
    rows = {size: Measured.over(size * steps[size]) for size in SIZES}
    times = {size: Measured.over(seconds[size] * steps[size]) for size in SIZES}
    counts = {size: Measured.over(steps[size]) for size in SIZES}
    names = [str(size) for size in SIZES]
    return Evidence(
        numbers={f"rows to the loss {target}, batch {size}": number for size, number in rows.items()}
        | {f"steps to the loss {target}, batch {size}": number for size, number in counts.items()}
        | {f"CPU seconds to the loss {target}, batch {size}": number for size, number in times.items()},
        findings=(
            predicts(
                "batches of 64 rows need less than half of the rows that full batches need",
                (rows[64] / rows[ROWS]).below(0.5),
                "batches of 64 rows need at least half of the rows of full batches",
            ),
            limit(
                "counted in steps, full batches need less than half of what steps of one row need",
                (counts[ROWS] / counts[1]).below(0.5),
                "the cost of a step grows with its rows (counted in steps, full batches are faster)",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    f"Rows to the loss {target}",
                    "rows in a batch",
                    "rows",
                    {"rows": Series.of(names, list(rows.values()))},
                    kind="bars",
                    log="y",
                ),
                Panel(
                    f"Time to the loss {target}",
                    "rows in a batch",
                    "CPU seconds",
                    {"time": Series.of(names, list(times.values()))},
                    kind="bars",
                    log="y",
                ),
            )
        ),
    )


def _learner() -> Learner:
    def build() -> keras.Model:
        hidden = kf.layers.Dense(32, activation=kf.activations.relu)
        return keras.Sequential([keras.Input((64,)), hidden, kf.layers.Dense(10)])

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.SGD())


def _steps(learner: Learner, x: Any, y: Any, size: int, rate: float, target: float, seed: int) -> float:
    """The steps until the loss on all rows is reached; infinite if it is not."""
    learner.start(seed)
    learner.optimizer.learning_rate = rate
    for look in range(LOOKS):
        learner.learn(x, y, CHUNK[size], size, seed=LOOKS * seed + look)
        loss = learner.loss_of(x, y)
        if loss <= target:
            return float(CHUNK[size] * (look + 1))
        if not np.isfinite(loss):
            break
    return float("inf")


def _seconds_of_a_step(learner: Learner, x: Any, y: Any, size: int) -> float:
    learner.optimizer.learning_rate = RATES[0]
    times = []
    for repeat in range(3):
        start = time.process_time()
        learner.learn(x, y, CHUNK[size], size, seed=repeat)
        times.append((time.process_time() - start) / CHUNK[size])
    return min(times)
