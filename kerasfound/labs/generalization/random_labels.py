"""A network learns random labels by heart."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

CHANCE = 0.1
SMALL = 8
BATCH = 50
CURVE = 10
"""How often the accuracy is measured during training."""


@lab("A network can learn its training examples by heart even if their labels are random", who="Zhang et al., 2017")
def random_labels(
    *,
    units: Annotated[int, Between(2, 1000)] = 256,
    examples: Annotated[int, Between(100, 1500)] = 500,
    epochs: Annotated[int, Between(1, 500)] = 60,
    seeds: Seeds = 3,
) -> Evidence:
    r"""Train the same network on the true labels of the digits and on labels drawn at random.

    Random labels have no rule: what is right for one image says nothing about another. A network with $p$ weights that
    can still fit them must store about $n \log_2 10$ bits. So a training accuracy of 1 is no sign that a rule was
    learned, and the number of weights alone does not explain why the same network is right on new images.

    Args:
        units: units of the only hidden layer.
        examples: the number of training images.
        epochs: passes over the training images.
        seeds: number of initial values.

    Try: `--examples 100`: with fewer images to store, the small network fits far more of its random labels.

    Source: Zhang, Bengio, Hardt, Recht and Vinyals, "Understanding deep learning requires rethinking generalization",
    2017.
    """
    runs = {
        f"true labels, {units} units": _train(units, examples, epochs, seeds, False),
        f"random labels, {units} units": _train(units, examples, epochs, seeds, True),
        f"random labels, {SMALL} units": _train(SMALL, examples, epochs, seeds, True),
    }
    train = [Measured.over(curve[-1] for curve, _ in run) for run in runs.values()]
    test = [Measured.over(test for _, test in run) for run in runs.values()]
    return Evidence(
        numbers={f"train accuracy, {name}": number for name, number in zip(runs, train, strict=True)}
        | {f"test accuracy, {name}": number for name, number in zip(runs, test, strict=True)},
        findings=(
            predicts("the train accuracy on random labels is above 0.95", train[1].above(0.95),
                     "the network does not learn the random labels"),
            predicts("its test accuracy is that of chance, below 0.2", test[1].below(2 * CHANCE),
                     "random labels teach a rule"),
            predicts("on true labels the test accuracy is above 0.9", test[0].above(0.9),
                     "the network learns no rule from true labels either"),
            limit(f"a network of {SMALL} units fits less than half of the random labels", train[2].below(0.5),
                  "the network has enough weights for the number of examples"),
        ),
        figure=Figure((_panel(runs, epochs),)),
    )  # fmt: skip


def _train(units: int, examples: int, epochs: int, seeds: int, random: bool) -> list[tuple[list[float], float]]:
    """For each seed: the train accuracy in the course of training, and the test accuracy at its end."""
    learner = classifier(kf.optimizers.Adam(0.005), [units])
    found = []
    for seed in range(seeds):
        data = digits(seed, examples)
        y = np.random.default_rng(seed).integers(0, 10, examples).astype("int32") if random else data.y
        accuracy = functools.partial(learner.start(seed).accuracy, data.x, y)
        steps = epochs * examples // BATCH
        curve = [accuracy(), *learner.learn_in_parts(data.x, y, steps, CURVE, accuracy, BATCH, seed)]
        found.append((curve, learner.accuracy(data.x_test, data.y_test)))
    return found


def _panel(runs: dict[str, Any], epochs: int) -> Panel:
    x = np.linspace(0, epochs, CURVE + 1)
    series = {name: Series.mean(x.tolist(), [curve for curve, _ in run]) for name, run in runs.items()}
    return Panel("Learning by heart", "epoch", "train accuracy", series)
