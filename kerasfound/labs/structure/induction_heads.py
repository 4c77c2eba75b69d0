"""Attention that continues a pattern which appeared before."""

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

TOKENS, LENGTH, WIDTH = 16, 24, 32
SHORTEST, LONGEST = 6, 12
"""The bounds of the distance of a token from its repetition."""
ROWS, TEST_ROWS = 6000, 300
BATCH = 32
CURVE = 5
"""How often the accuracy is measured during training."""


@lab("A transformer learns from its context: it continues a pattern that it has seen once", who="Olsson et al., 2022")
def induction_heads(
    *,
    distance: Annotated[int, Between(SHORTEST, LONGEST)] = 8,
    steps: Annotated[int, Between(CURVE, 20_000)] = 800,
    seeds: Seeds = 3,
) -> Evidence:
    r"""Predict the next token of rows that repeat themselves, with layers of attention of one head each.

    A row starts with different tokens in random order and repeats them after a distance that is drawn for each row. The
    next token is known to whoever finds the last appearance of the present token and reads what came after it. One
    layer cannot: its keys are tokens that do not know their predecessors. Two layers can: the first writes the
    predecessor into each position, the second, an induction head, looks for the position whose predecessor is the
    present token. With one distance for all rows there is a simpler way: look at the token so many steps ago.

    Args:
        distance: the distance of the rows that all have the same.
        steps: steps of Adam with 32 rows each, with the gradient clipped to length 1.
        seeds: number of initial values.

    Try: `--steps 3000`: with two layers the accuracy keeps rising, with one it does not.

    Source: Olsson et al., "In-context Learning and Induction Heads", 2022.
    """
    varied, fixed = (SHORTEST, LONGEST), (distance, distance)
    settings = {
        "1 layer": (1, varied),
        "2 layers": (2, varied),
        f"1 layer, distance always {distance}": (1, fixed),
    }
    curves = {name: _accuracies(layers, bounds, steps, seeds) for name, (layers, bounds) in settings.items()}
    accuracy = {name: Measured.over(curve[-1] for curve in runs) for name, runs in curves.items()}
    one, two, same = accuracy.values()
    return Evidence(
        numbers={f"accuracy where the next token is known, {name}": number for name, number in accuracy.items()},
        findings=(
            predicts("two layers are right in more than 0.6 of the places where the next token is known",
                     two.above(0.6), "two layers do not continue the pattern"),
            limit("one layer is right in less than 0.5 of them, and in more than 0.9 if the distance is the same",
                  all_of(one.below(0.5), same.above(0.9)),
                  "it has two layers of attention: one layer continues only what repeats at a fixed distance"),
        ),
        figure=Figure((_panel(curves, steps),)),
    )  # fmt: skip


def _rows(rows: int, bounds: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens, and the next tokens, which are -1 where nothing before tells them; both `(rows, LENGTH)`."""
    rng = np.random.default_rng(seed)
    distance = rng.integers(bounds[0], bounds[1] + 1, (rows, 1))
    order = np.argsort(rng.random((rows, TOKENS)), axis=1)
    position = np.arange(LENGTH + 1)
    tokens = np.take_along_axis(order, position % distance, axis=1).astype("int32")
    return tokens[:, :-1], np.where(position[1:] > distance, tokens[:, 1:], -1)


def _accuracies(layers: int, bounds: tuple[int, int], steps: int, seeds: int) -> list[list[float]]:
    """The accuracy on known tokens of new rows in the course of training, for each seed."""
    (x, y), (x_test, y_test) = _rows(ROWS, bounds, seed=0), _rows(TEST_ROWS, bounds, seed=1)
    learner = Learner(lambda: _network(layers), _loss_on_known, kf.optimizers.Adam(0.01, clipnorm=1.0))

    def accuracy() -> float:
        return float(np.mean((learner.predict(x_test).argmax(-1) == y_test)[y_test >= 0]))

    return [learner.start(seed).learn_in_parts(x, y, steps, CURVE, accuracy, BATCH, seed) for seed in range(seeds)]


def _network(layers: int) -> keras.Model:
    x = tokens = keras.Input((LENGTH,), dtype="int32")
    x = kf.layers.Embedding(TOKENS, WIDTH)(x)
    for _ in range(layers):
        x = x + kf.layers.CausalSelfAttention(num_heads=1)(kf.layers.RMSNormalization()(x))
    return keras.Model(tokens, kf.layers.Dense(TOKENS)(kf.layers.RMSNormalization()(x)))


def _loss_on_known(y: Any, logits: Any) -> Any:
    """The mean cross-entropy of the tokens that are not -1."""
    known = ops.cast(y >= 0, "float32")
    each = kf.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(ops.maximum(y, 0), logits)
    return ops.sum(each * known) / ops.sum(known)


def _panel(curves: dict[str, list[list[float]]], steps: int) -> Panel:
    x = np.linspace(steps / CURVE, steps, CURVE).tolist()
    series = {name: Series.mean(x, runs) for name, runs in curves.items()}
    return Panel("Continuing a pattern", "step", "accuracy where the next token is known", series)
