"""Two marked numbers in a long sequence, to be added."""

from __future__ import annotations

import functools
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

ROWS, TEST_ROWS = 10_000, 1000
BATCH = 50
CURVE = 5
"""How often the error is measured during training."""
UNITS = 24


@lab("A recurrent network has a memory: it can combine inputs that are far apart", who="introductions")
def adding_task(
    *,
    length: Annotated[int, Between(4, 200)] = 50,
    steps: Annotated[int, Between(CURVE, 20_000)] = 750,
    seeds: Seeds = 3,
) -> Evidence:
    r"""Each row has random numbers from 0 to 1, two of them marked, one in each half; the target is their sum.

    A network that remembers nothing can only answer the mean, 1. Its mean squared error is the variance of the sum of
    two such numbers, $2 / 12 = 0.167$. To do better it must keep a number for about half of the steps without change,
    and ignore all others on the way.

    Args:
        length: the number of steps of a row.
        steps: steps of Adam with 50 rows each, with the gradient clipped to length 1.
        seeds: number of initial values.

    Try: `--length 10`: over few steps a simple RNN learns it, too.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, experiment 4; Le, Jaitly and Hinton, "A Simple
    Way to Initialize Recurrent Networks of Rectified Linear Units", 2015.
    """
    train, test = _rows(ROWS, length, seed=0), _rows(TEST_ROWS, length, seed=1)
    constant = float(np.mean((test[1] - train[1].mean()) ** 2))
    layers = {"simple RNN": kf.layers.SimpleRNN, "LSTM": kf.layers.LSTM, "GRU": kf.layers.GRU}
    curves = {name: _errors(layer, train, test, steps, seeds) for name, layer in layers.items()}
    error = {name: Measured.over(curve[-1] for curve in runs) for name, runs in curves.items()}
    return Evidence(
        numbers={"mean squared error, always the mean": Measured.over([constant] * seeds)}
        | {f"mean squared error, {name}": number for name, number in error.items()},
        findings=(
            predicts("the error of an LSTM is below a tenth of that of the mean", error["LSTM"].below(constant / 10),
                     "an LSTM is hardly better than the mean"),
            predicts("so is that of a GRU", error["GRU"].below(constant / 10), "a GRU is hardly better than the mean"),
            limit("that of a simple RNN is above half of that of the mean", error["simple RNN"].above(constant / 2),
                  f"it has gates: over {length} steps a simple RNN is hardly better than the mean"),
        ),
        figure=Figure((_panel(curves, constant, steps, length),)),
    )  # fmt: skip


Rows = tuple["np.ndarray", "np.ndarray"]


def _rows(rows: int, length: int, seed: int) -> Rows:
    """Numbers and marks, `(rows, length, 2)`, and the sums of the marked numbers, `(rows, 1)`."""
    rng = np.random.default_rng(seed)
    numbers, marks = rng.uniform(size=(rows, length)), np.zeros((rows, length))
    for first, end in ((0, length // 2), (length // 2, length)):
        marks[np.arange(rows), rng.integers(first, end, rows)] = 1
    sums = np.sum(numbers * marks, axis=1, keepdims=True)
    return np.stack([numbers, marks], axis=2).astype("float32"), sums.astype("float32")


def _errors(layer: type, train: Rows, test: Rows, steps: int, seeds: int) -> list[list[float]]:
    """The mean squared error on the test rows in the course of training, for each seed."""

    def build() -> keras.Model:
        return keras.Sequential([keras.Input(train[0].shape[1:]), layer(UNITS), kf.layers.Dense(1)])

    learner = Learner(build, kf.losses.MeanSquaredError(), kf.optimizers.Adam(0.01, clipnorm=1.0))
    loss = functools.partial(learner.loss_of, *test)
    return [learner.start(seed).learn_in_parts(*train, steps, CURVE, loss, BATCH, seed) for seed in range(seeds)]


def _panel(curves: dict[str, list[list[float]]], constant: float, steps: int, length: int) -> Panel:
    x = np.linspace(steps / CURVE, steps, CURVE).tolist()
    series = {name: Series.mean(x, runs) for name, runs in curves.items()}
    series["always the mean"] = Series([x[0], x[-1]], [constant, constant])
    return Panel(f"Adding two of {length} numbers", "step", "mean squared error", series, log="y")
