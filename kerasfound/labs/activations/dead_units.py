"""Dead units: ReLU units whose output is zero for all inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import dense_network, hidden_outputs
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")


@lab("ReLU units die in training and never come back", who="introductions")
def dead_units(
    *,
    rate: Annotated[float, Between(0.01, 10.0)] = 3.0,
    width: Annotated[int, Between(8, 512)] = 64,
    samples: Annotated[int, Between(100, 5000)] = 1000,
    steps: Annotated[int, Between(1, 2000)] = 100,
    seeds: Seeds = 5,
) -> Evidence:
    r"""A hidden layer of ReLU units learns MNIST-1D with small and large rates; units that are zero for all rows count.

    If the weighted sum of a unit is negative for each row, its output and its slope are 0, so the gradient of its
    weights is exactly 0: plain gradient descent cannot move them, whatever the loss. One large step is enough to get
    there: the inputs are scaled to 0 ... 1, as pixels are, so a step moves the weighted sums of all rows to the same
    side. (Some units are dead before the first step, for the same reason.) After the large rate, training goes on with
    a small one.

    Args:
        rate: the large rate; the others are a tenth and a hundredth of it.
        width: units of the hidden layer.
        samples: rows of MNIST-1D, a multiple of 10.
        steps: steps with each rate, and afterwards with the smallest rate.
        seeds: number of initial values.

    Try: `--rate 0.1`: then hardly a unit dies.

    Source: Lu, Shin, Su and Karniadakis, "Dying ReLU and Initialization", 2019.
    """
    train, _ = kf.data.mnist1d.load(samples - samples % 10)
    x, y = (train.x - train.x.min()) / np.ptp(train.x), train.y
    learner = Learner(
        lambda: dense_network(x.shape[1], (width,), 10, kf.activations.relu, kf.initializers.HeNormal),
        kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        kf.optimizers.SGD(rate),
    )
    rates = [rate / 100, rate / 10, rate]
    died: dict[float, list[float]] = {each: [] for each in rates}
    before, revived = [], []
    for seed in range(seeds):
        for each in rates:
            first = _dead(learner.start(seed), x)
            learner.optimizer.learning_rate.assign(each)
            learner.learn(x, y, steps)
            dead = _dead(learner, x)
            died[each].append(float(dead[~first].mean()))
        learner.optimizer.learning_rate.assign(rates[0])
        learner.learn(x, y, steps)
        before.append(float(first.mean()))
        revived.append(float(np.sum(dead & ~_dead(learner, x))))
    shares = {each: Measured.over(share) for each, share in died.items()}
    return Evidence(
        numbers={
            "share of units that are dead before training": Measured.over(before),
            **{f"share of the other units that die, rate {each:g}": share for each, share in shares.items()},
            f"dead units that come back with rate {rates[0]:g}": Measured.over(revived),
        },
        findings=(
            predicts(
                f"with rate {rate:g} more than a tenth of the units die", shares[rate].above(0.1), "few units die"
            ),
            predicts("no dead unit comes back", max(revived) == 0, "some dead units come back"),
            limit(
                f"with rate {rates[0]:g} less than a tenth of the units die",
                shares[rates[0]].below(0.1),
                condition="the learning rate is large",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Units that die in training",
                    "learning rate",
                    "share of the units that lived",
                    {"dead": Series.of([f"{each:g}" for each in rates], [*shares.values()])},
                    kind="bars",
                ),
            )
        ),
    )


def _dead(learner: Learner, x: np.ndarray) -> np.ndarray:
    """Which hidden units are zero for all rows."""
    return np.asarray(np.all(hidden_outputs(learner.model, x)[0] == 0, axis=0))
