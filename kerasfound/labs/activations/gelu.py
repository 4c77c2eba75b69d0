"""GELU and ReLU in a small transformer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, predicts
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


SYMBOLS = 8
LENGTH = 12
ROWS = 256


@lab("A transformer needs GELU", who="introductions")
def gelu(
    *,
    width: Annotated[int, Between(8, 128)] = 16,
    blocks: Annotated[int, Between(1, 4)] = 1,
    tolerance: Annotated[float, Between(0.001, 1.0)] = 0.1,
    steps: Annotated[int, Between(10, 5000)] = 150,
    seeds: Seeds = 4,
) -> Evidence:
    r"""A small transformer predicts the next symbol of random sequences, with GELU and with ReLU.

    $\mathrm{GELU}(x) = x\, \Phi(x)$ is a ReLU with a rounded corner. GPT and BERT use it, the transformer of 2017 used
    ReLU. The next symbol depends on the last two. Everything else is the same, also the first weights; the spread over
    seeds says how large a difference must be to count. No small experiment can exclude that GELU helps large models.

    Args:
        width: features of a position.
        blocks: transformer blocks.
        tolerance: a difference of the loss that counts, relative.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--steps 300`: both losses fall, and the difference stays small.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.
    """
    x, y = _sequences()
    curves = {}
    for name, activation in (("GELU", kf.activations.gelu), ("ReLU", kf.activations.relu)):
        learner = Learner(
            functools.partial(_transformer, width, blocks, activation),
            kf.losses.SparseCategoricalCrossentropy(from_logits=True),
            kf.optimizers.Adam(0.005),
        )
        curves[name] = np.array(
            [learner.start(seed).learn(x, y, steps, batch_size=16, seed=seed) for seed in range(seeds)]
        )
    last = max(1, steps // 10)
    with_gelu, with_relu = (Measured.over(runs[:, -last:].mean(axis=1)) for runs in curves.values())
    ratio = with_relu / with_gelu
    return Evidence(
        numbers={
            f"cross-entropy of the last {last} steps, GELU": with_gelu,
            f"cross-entropy of the last {last} steps, ReLU": with_relu,
            "loss with ReLU / loss with GELU": ratio,
        },
        findings=(
            predicts(
                "the transformer learns with GELU: its loss falls below that of guessing",
                with_gelu.below(0.9 * float(np.log(SYMBOLS))),
                "the transformer does not learn",
            ),
            predicts(
                f"with ReLU the loss is more than {100 * tolerance:g}% higher",
                ratio.above(1 + tolerance),
                f"a small transformer learns as well with ReLU, within {100 * tolerance:g}% of the loss",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "A small transformer",
                    "step",
                    "cross-entropy of the next symbol, nats",
                    {name: Series.mean(list(range(steps)), runs) for name, runs in curves.items()},
                ),
            )
        ),
    )


def _sequences() -> tuple[np.ndarray, np.ndarray]:
    """Sequences whose next symbol is one of three, which depend on the last two symbols."""
    rng = np.random.default_rng(0)
    following = rng.integers(0, SYMBOLS, (SYMBOLS, SYMBOLS, 3))
    sequences = rng.integers(0, SYMBOLS, (ROWS, LENGTH + 1))
    for t in range(2, LENGTH + 1):
        choice = np.minimum(rng.geometric(0.7, ROWS) - 1, 2)
        sequences[:, t] = following[sequences[:, t - 2], sequences[:, t - 1], choice]
    return sequences[:, :-1].astype("int32"), sequences[:, 1:].astype("int32")


def _transformer(width: int, blocks: int, activation: Activation) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            kf.layers.Embedding(SYMBOLS, width),
            kf.layers.LearnedPosition(LENGTH),
            *(
                kf.layers.TransformerDecoder(4 * width, 2, activation=activation, normalize_first=True)
                for _ in range(blocks)
            ),
            kf.layers.Dense(SYMBOLS),
        ]
    )
