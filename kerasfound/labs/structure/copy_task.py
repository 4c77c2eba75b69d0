"""Symbols to be repeated after a delay: by an LSTM, and by attention."""

from __future__ import annotations

import functools
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
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")

ROWS, TEST_ROWS = 10_000, 500
BATCH = 50
CURVE = 5
"""How often the loss is measured during training."""
KINDS = 8
"""The number of different symbols to copy. There are two more: blank, and the sign to start copying."""
UNITS = 48


@lab("An LSTM keeps what it has read and can repeat it", who="introductions")
def copy_task(
    *,
    symbols: Annotated[int, Between(1, 20)] = 5,
    delay: Annotated[int, Between(1, 100)] = 10,
    steps: Annotated[int, Between(CURVE, 20_000)] = 600,
    seeds: Seeds = 3,
) -> Evidence:
    r"""A row has random symbols, blanks for the delay, a sign, and blanks where the symbols are to be repeated.

    A network without memory can learn where blanks are to be answered, and guess elsewhere. With $S$ symbols of 8 kinds
    and a delay of $T$ steps its cross-entropy for each step is

    $$\frac{S \ln 8}{T + 2 S}$$

    An LSTM must keep all symbols in one state of fixed size, and learn to do so through $T + S$ steps. Attention keeps
    every input and looks back at the one that is due, always the same number of steps away.

    Args:
        symbols: $S$, the number of symbols to copy.
        delay: $T$, the number of steps between the last symbol and the first answer.
        steps: steps of Adam with 50 rows each, with the gradient clipped to length 1.
        seeds: number of initial values.

    Try: `--steps 2000`: after longer training the LSTM repeats nearly all symbols; attention does after a few hundred.

    Source: Arjovsky, Shah and Bengio, "Unitary Evolution Recurrent Neural Networks", 2016 (its LSTM stays at the loss
    without memory for 10 symbols and delays of 100 to 500).
    """
    train, test = _rows(ROWS, symbols, delay, seed=0), _rows(TEST_ROWS, symbols, delay, seed=1)
    memoryless = symbols * float(np.log(KINDS)) / (delay + 2 * symbols)
    layers = {"LSTM": lambda: kf.layers.LSTM(UNITS, return_sequences=True),
              "attention": lambda: kf.layers.CausalTransformerBlock(2 * UNITS, num_heads=4)}  # fmt: skip
    learners = {name: _learner(layer, symbols, delay) for name, layer in layers.items()}
    runs = {name: [_train(learner, train, test, symbols, steps, seed) for seed in range(seeds)]
            for name, learner in learners.items()}  # fmt: skip
    loss = {name: Measured.over(curve[-1] for curve, _ in found) for name, found in runs.items()}
    repeated = {name: Measured.over(share for _, share in found) for name, found in runs.items()}
    return Evidence(
        numbers={"loss without memory, nats": Measured.over([memoryless] * seeds)}
        | {f"loss, {name}, nats": number for name, number in loss.items()}
        | {f"share of the symbols repeated, {name}": number for name, number in repeated.items()},
        findings=(
            predicts("the loss of the LSTM is below that without memory", loss["LSTM"].below(memoryless),
                     f"after {steps:,} steps of training the LSTM is no better than a network without memory"),
            limit(f"after {steps:,} steps of training the LSTM repeats less than 0.9 of the symbols, attention more "
                  "than 0.95", all_of(repeated["LSTM"].below(0.9), repeated["attention"].above(0.95)),
                  f"there is little to keep, or training is long: of {symbols} symbols it repeats less than 0.9 where "
                  "attention repeats all"),
        ),
        figure=Figure((_panel(runs, memoryless, steps),)),
    )  # fmt: skip


Rows = tuple["np.ndarray", "np.ndarray"]


def _rows(rows: int, symbols: int, delay: int, seed: int) -> Rows:
    """One-hot inputs, `(rows, steps, kinds)`, and the answers, `(rows, steps)`."""
    blank, sign = KINDS, KINDS + 1
    content = np.random.default_rng(seed).integers(0, KINDS, (rows, symbols))
    inputs = np.full((rows, delay + 2 * symbols), blank)
    answers = inputs.astype("int32")
    inputs[:, :symbols], inputs[:, symbols + delay - 1] = content, sign
    answers[:, symbols + delay :] = content
    return np.eye(KINDS + 2, dtype="float32")[inputs], answers


def _learner(layer: Any, symbols: int, delay: int) -> Learner:
    def build() -> keras.Model:
        inputs = keras.Input((delay + 2 * symbols, KINDS + 2))
        return keras.Sequential([inputs, kf.layers.Dense(UNITS), layer(), kf.layers.Dense(KINDS + 1)])

    loss = kf.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Learner(build, loss, kf.optimizers.Adam(0.005, clipnorm=1.0))


def _train(learner: Learner, train: Rows, test: Rows, symbols: int, steps: int, seed: int) -> tuple[list[float], float]:
    """The loss on the test rows in the course of training, and the share of the symbols repeated at its end."""
    loss = functools.partial(learner.loss_of, *test)
    curve = learner.start(seed).learn_in_parts(*train, steps, CURVE, loss, BATCH, seed)
    x, y = test
    return curve, float(np.mean(learner.predict(x)[:, -symbols:].argmax(-1) == y[:, -symbols:]))


def _panel(runs: dict[str, list[tuple[list[float], float]]], memoryless: float, steps: int) -> Panel:
    x = np.linspace(steps / CURVE, steps, CURVE).tolist()
    series = {name: Series.mean(x, [curve for curve, _ in found]) for name, found in runs.items()}
    series["without memory"] = Series([x[0], x[-1]], [memoryless, memoryless])
    return Panel("Copying after a delay", "step", "test cross-entropy, nats", series)
