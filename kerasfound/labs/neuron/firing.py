"""Firing: only the step function makes a decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..networks import dense_network, hidden_outputs
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

OFF, ON = 0.1, 0.9


@lab("An activation decides whether a neuron fires", who="introductions")
def firing(
    *,
    units: Annotated[int, Between(2, 256)] = 32,
    samples: Annotated[int, Between(100, 5000)] = 1000,
    steps: Annotated[int, Between(1, 2000)] = 150,
    seeds: Seeds = 4,
) -> Evidence:
    r"""Networks with a hidden layer learn MNIST-1D; each output of a hidden unit is off, on, or between.

    The step function $[z \ge 0]$ of 1943 is 0 or 1: it decides. A sigmoid or ReLU changes gradually with $z$, which is
    what makes a gradient possible. An output is called graded here if it lies between 10% and 90% of the way from the
    smallest to the largest output of its unit.

    Args:
        units: units of the hidden layer.
        samples: rows of MNIST-1D, a multiple of 10.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--steps 1`: before training the outputs of a sigmoid are graded, too.

    Source: McCulloch and Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943.
    """
    train, test = kf.data.mnist1d.load(samples - samples % 10)
    activations = {
        "step": kf.activations.step,
        "sigmoid": kf.activations.sigmoid,
        "ReLU": kf.activations.relu,
    }
    graded, accuracy = {}, {}
    for name, activation in activations.items():
        graded[name], accuracy[name] = _train(activation, train, test, units, steps, seeds)
    return Evidence(
        numbers={
            **{f"share of graded outputs, {name}": number for name, number in graded.items()},
            **{f"test accuracy, {name}": number for name, number in accuracy.items()},
        },
        findings=(
            predicts(
                "no output of the step is graded", graded["step"].below(0.001), "even the step has graded outputs"
            ),
            limit(
                "at least a tenth of the outputs of sigmoid and of ReLU are graded",
                all_of(graded["sigmoid"].above(0.1), graded["ReLU"].above(0.1)),
                condition="the activation is the step function",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Graded hidden outputs after training",
                    "activation",
                    "share of the outputs",
                    {"share": Series.of([*graded], [*graded.values()])},
                    kind="bars",
                ),
                Panel(
                    "Test accuracy",
                    "activation",
                    "share of right rows",
                    {"accuracy": Series.of([*accuracy], [*accuracy.values()])},
                    kind="bars",
                ),
            )
        ),
    )


def _train(
    activation: Callable[[Any], Any], train: Any, test: Any, units: int, steps: int, seeds: int
) -> tuple[Measured, Measured]:
    """The share of graded outputs on the test rows, and the accuracy."""
    learner = Learner(
        lambda: dense_network(train.x.shape[1], (units,), 10, activation),
        kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        kf.optimizers.Adam(0.01),
    )
    graded, accuracy = [], []
    for seed in range(seeds):
        learner.start(seed).learn(train.x, train.y, steps)
        h = hidden_outputs(learner.model, test.x)[0]
        low, high = h.min(axis=0), h.max(axis=0)
        between = (h > low + OFF * (high - low)) & (h < low + ON * (high - low))
        graded.append(float(between.mean()))
        accuracy.append(learner.accuracy(test.x, test.y))
    return Measured.over(graded), Measured.over(accuracy)
