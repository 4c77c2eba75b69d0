"""The test error by the number of examples, where a network learns another network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

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

SIZES = (64, 128, 256, 512, 1024, 2048)
INPUTS = 8
BATCH = 64
SHIFT = 2.0


@lab("The test error falls as a power of the number of examples", who="Hestness et al., 2017; Kaplan et al., 2020")
def data_scaling(
    *,
    shift: Annotated[float, Between(0, 5)] = SHIFT,
    steps: Annotated[int, Between(100, 20000)] = 1500,
    seeds: Seeds = 6,
) -> Evidence:
    r"""A student network learns from 64 to 2,048 examples of a teacher network: is the error a line in log-log axes?

    If the mean squared error is $E(n) = a\, n^{-b}$, then $\log E = \log a - b \log n$ is a line with the slope $-b$.
    The share of the variance of $\log E$ that the line explains is $R^2$. More examples help only where they are:
    test inputs that are shifted lie outside of them.

    Args:
        shift: how far the shifted test inputs are moved, in standard deviations of an input.
        steps: steps of Adam with 64 examples each.
        seeds: number of teachers, each with its own student and examples.

    Try: `--shift 0`: then the shifted inputs are as good as the others, and more examples help.

    Source: Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017.
    """
    student = _network(64, kf.optimizers.Adam(0.003))
    errors = np.array([_errors(student, seed, steps, shift) for seed in range(seeds)])
    fits = [np.polyfit(np.log(SIZES), np.log(errors[seed, :, 0]), 1) for seed in range(seeds)]
    slope = Measured.over(fit[0] for fit in fits)
    explained = Measured.over(
        1
        - np.var(np.log(errors[seed, :, 0]) - np.polyval(fits[seed], np.log(SIZES)))
        / np.var(np.log(errors[seed, :, 0]))
        for seed in range(seeds)
    )
    near = [Measured.over(errors[:, i, 0]) for i in range(len(SIZES))]
    far = [Measured.over(errors[:, i, 1]) for i in range(len(SIZES))]
    return Evidence(
        numbers={
            "slope in log-log axes": slope,
            "R^2 of the line": explained,
            f"error / variance, {SIZES[0]} examples": near[0],
            f"error / variance, {SIZES[-1]} examples": near[-1],
            f"error / variance, {SIZES[-1]} examples, shifted inputs": far[-1],
        },
        findings=(
            predicts("the slope is negative, below -0.5", slope.below(-0.5), "the error hardly falls"),
            predicts("the line explains more than 0.9 of the variance", explained.above(0.9), "it is not a power"),
            limit(f"on inputs that are shifted by {shift:g} the error is larger than on new inputs, with {SIZES[-1]:,} "
                  "examples, too", far[-1].above(near[-1]),
                  "the test inputs come from the same distribution as the examples"),
        ),
        figure=Figure((_panel(near, far, shift),)),
    )  # fmt: skip


def _network(units: int, optimizer: keras.Optimizer) -> Learner:
    def build() -> keras.Model:
        hidden = kf.layers.Dense(units, activation=kf.activations.tanh)
        return keras.Sequential([keras.Input((INPUTS,)), hidden, kf.layers.Dense(1)])

    return Learner(build, kf.losses.MeanSquaredError(), optimizer)


def _errors(student: Learner, seed: int, steps: int, shift: float) -> list[tuple[float, float]]:
    """The mean squared error as a share of the variance on new and on shifted inputs, for each number of examples."""
    rng = np.random.default_rng(seed)
    w, v = rng.normal(size=(INPUTS, 16)) / np.sqrt(INPUTS) * 1.5, rng.normal(size=(16, 1))
    x = rng.normal(size=(SIZES[-1] + 1000, INPUTS)).astype("float32")
    x_train, x_test = x[: SIZES[-1]], x[SIZES[-1] :]
    far = x_test + np.float32(shift)

    def teacher(x: np.ndarray) -> np.ndarray:
        return (np.tanh(x @ w) @ v).astype("float32")

    found = []
    for size in SIZES:
        # repeated to the same number of rows, so that the step is compiled once
        rows = np.arange(SIZES[-1]) % size
        student.start(seed).learn(x_train[rows], teacher(x_train[rows]), steps, BATCH, seed)
        near, shifted = (
            float(np.mean((student.predict(z) - teacher(z)) ** 2) / np.var(teacher(z))) for z in (x_test, far)
        )
        found.append((near, shifted))
    return found


def _panel(near: list[Measured], far: list[Measured], shift: float) -> Panel:
    series = {"new inputs": Series.of(SIZES, near), f"inputs shifted by {shift:g}": Series.of(SIZES, far)}
    return Panel("A student learns a teacher", "examples", "mean squared error / variance", series, log="xy")
