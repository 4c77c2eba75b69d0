"""The squared error of a sigmoid: it stalls where the output is confidently wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import Activation
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


INPUTS = 5
ROWS = 32


@lab(
    "The squared error of a sigmoid output learns slowly",
    who="Nielsen, Neural Networks and Deep Learning, chapter 3, 2015",
)
def confidently_wrong(
    *,
    start: Annotated[float, Between(0.0, 30.0)] = 6.0,
    rate: Annotated[float, Between(0.01, 5.0)] = 0.5,
    steps: Annotated[int, Between(10, 20000)] = 2000,
    seeds: Seeds = 5,
) -> Evidence:
    r"""A neuron has to learn the output 1; it starts with a weighted sum of 0 or far below 0.

    With $p = \sigma(z)$ and label $y$ the squared error has the gradient $2 (p - y)\, p (1 - p)$ by $z$, and
    cross-entropy has $p - y$. At $z = -6$ the factor $p (1 - p)$ is 0.0025: the more certain the mistake, the less the
    neuron learns from it. At $z = 0$ the two gradients differ only by the factor 1/2.

    Args:
        start: the neuron starts with a bias of minus this number.
        rate: the rate of gradient descent.
        steps: the largest number of steps.
        seeds: number of initial weights and inputs.

    Try: `--start 10`: then the squared error does not move at all.

    Source: Nielsen, "Neural Networks and Deep Learning", chapter 3, 2015.
    """
    learners = {
        "squared error": _learner(kf.losses.MeanSquaredError(), kf.activations.sigmoid, rate),
        "cross-entropy": _learner(kf.losses.BinaryCrossentropy(from_logits=True), None, rate),
    }
    needed, curves = {}, {}
    for name, learner in learners.items():
        for z in (0.0, -start):
            runs = np.array([_outputs(learner, name, z, steps, seed) for seed in range(seeds)])
            curves[name, z] = runs
            needed[name, z] = Measured.over(int(np.argmax(run > 0.8)) if run[-1] > 0.8 else steps for run in runs)
    wrong, middle = (needed["squared error", z] / needed["cross-entropy", z] for z in (-start, 0.0))
    shown = np.unique(np.geomspace(1, steps, 60).astype(int)) - 1
    return Evidence(
        numbers={
            f"steps to an output of 0.8 (at most {steps}), {name}, start at z = {z:g}": number
            for (name, z), number in needed.items()
        }
        | {
            f"steps with squared error / steps with cross-entropy, start at z = {-start:g}": wrong,
            "steps with squared error / steps with cross-entropy, start at z = 0": middle,
        },
        findings=(
            predicts(
                "from a confidently wrong start the squared error takes more than ten times as many steps",
                wrong.above(10),
                "the squared error learns about as fast, even from a confidently wrong start",
            ),
            limit(
                "from z = 0 it takes less than ten times as many steps",
                middle.below(10),
                condition="the output starts confidently wrong",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "The output should become 1",
                    "step",
                    "mean output of the neuron",
                    {
                        f"{name}, start z = {z:g}": Series.mean((shown + 1).tolist(), runs[:, shown])
                        for (name, z), runs in curves.items()
                    },
                    log="x",
                ),
            )
        ),
    )


def _learner(loss: Any, activation: Activation, rate: float) -> Learner:
    return Learner(
        lambda: keras.Sequential([keras.Input((INPUTS,)), kf.layers.Dense(1, activation=activation)]),
        loss,
        kf.optimizers.SGD(rate),
    )


def _outputs(learner: Learner, name: str, z: float, steps: int, seed: int) -> np.ndarray:
    """The typical output before each step: the one with the mean loss of the rows."""
    x = np.random.default_rng(seed).normal(0, 0.3, (ROWS, INPUTS)).astype("float32")
    learner.start(seed).model.layers[-1].bias.assign([z])
    losses = learner.learn(x, np.ones((ROWS, 1), "float32"), steps)
    return 1 - np.sqrt(losses) if name == "squared error" else np.exp(-losses)
