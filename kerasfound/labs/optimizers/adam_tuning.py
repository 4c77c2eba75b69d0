"""The learning rate of Adam and of others: how wide the range of good rates is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")

RATES = tuple(10 ** (k / 2) for k in range(-9, 2))
"""From 3e-5 to 3, two in each factor of ten."""
TRAIN = 1297
DEFAULT = 1e-3
GOOD = 0.01
"""A rate is good if its test accuracy is at most this much below that of the best rate."""


@lab("Adam needs no tuning of its learning rate", who="introductions")
def adam_tuning(*, steps: Annotated[int, Between(20, 5000)] = 300, seeds: Seeds = 4) -> Evidence:
    r"""Test accuracy on digits by the learning rate, for Adam, SGD and SGD with momentum, after the same steps.

    Adam divides each step by $\sqrt{v_t}$, so the scale of the loss cancels: its rate is a length, about the change of
    a weight in one step. That makes one default useful for many problems. But how far a weight has to go, and in how
    many steps, is still for the user to say. A rate counts as good if its accuracy is within 0.01 of the best rate.

    Args:
        steps: steps of 32 rows.
        seeds: number of initial values, splits and orders of the rows.

    Try: `--steps 60`: in fewer steps the weights must go as far, and the default rate of 0.001 is far behind.

    Source: Wilson et al., "The Marginal Value of Adaptive Gradient Methods in Machine Learning", 2017.
    """
    optimizers = {
        "Adam": kf.optimizers.Adam(),
        "SGD": kf.optimizers.SGD(),
        "SGD, momentum 0.9": kf.optimizers.SGD(momentum=0.9),
    }
    accuracy = {name: _accuracy(optimizer, steps, seeds) for name, optimizer in optimizers.items()}
    best = {name: Measured.over(table[table.mean(1).argmax()]) for name, table in accuracy.items()}
    width = {
        name: Measured.over(0.5 * np.sum(table >= table[table.mean(1).argmax()] - GOOD, axis=0))
        for name, table in accuracy.items()
    }
    adam = accuracy["Adam"]
    default = Measured.over(adam[RATES.index(DEFAULT)])
    large, small = Measured.over(adam[-1]), Measured.over(adam[0])
    loss_of_default = best["Adam"] - default
    return Evidence(
        numbers={f"test accuracy, best rate, {name}": number for name, number in best.items()}
        | {f"width of the good rates, factors of ten, {name}": number for name, number in width.items()}
        | {
            "test accuracy, Adam, default rate 0.001": default,
            f"test accuracy, Adam, rate {RATES[0]:.0e}": small,
            f"test accuracy, Adam, rate {RATES[-1]:.0e}": large,
        },
        findings=(
            predicts(
                f"Adam's default rate is within 0.01 of its best rate after {steps} steps",
                loss_of_default.below(GOOD),
                f"after {steps} steps Adam's default rate is more than 0.01 below its best rate",
            ),
            predicts(
                "Adam's smallest and largest rates here cost at most 0.01",
                all_of((best["Adam"] - small).below(GOOD), (best["Adam"] - large).below(GOOD)),
                "Adam with a rate that is too small or too large is far below its best, as SGD is",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    f"Digits after {steps} steps",
                    "learning rate",
                    "test accuracy",
                    {name: Series.of(RATES, [Measured.over(row) for row in table]) for name, table in accuracy.items()},
                    log="x",
                    marks={"Adam's default": DEFAULT},
                ),
            )
        ),
    )


def _accuracy(optimizer: Any, steps: int, seeds: int) -> np.ndarray:
    """The test accuracy for each rate and seed, `(rates, seeds)`."""

    def build() -> keras.Model:
        hidden = kf.layers.Dense(32, activation=kf.activations.relu)
        return keras.Sequential([keras.Input((64,)), hidden, kf.layers.Dense(10)])

    learner = Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer)
    accuracy = np.zeros((len(RATES), seeds))
    for seed in range(seeds):
        x, y, x_test, y_test = digits(seed, TRAIN)
        for i, rate in enumerate(RATES):
            learner.start(seed)
            learner.optimizer.learning_rate = rate
            learner.learn(x, y, steps, batch_size=32, seed=seed)
            accuracy[i, seed] = learner.accuracy(x_test, y_test)
    return accuracy
