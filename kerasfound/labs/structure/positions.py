"""The order of the tokens: what attention knows about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

EQUAL, DIFFERENT = 1e-5, 1e-2


@lab("Attention does not know the order of its inputs", who="Vaswani et al., 2017 | introductions")
def positions(
    *,
    length: Annotated[int, Between(2, 200)] = 16,
    width: Annotated[int, Between(4, 256)] = 32,
    seeds: Seeds = 10,
) -> Evidence:
    r"""Random inputs are shuffled: are the outputs the same, in the shuffled order?

    Attention is a sum over all keys, and a sum does not depend on the order. For a permutation matrix $P$

    $$\mathrm{softmax}(P Q K^\top P^\top / \sqrt d)\, P V = P\, \mathrm{softmax}(Q K^\top / \sqrt d)\, V$$

    so shuffled inputs give the same outputs in the shuffled order. Positions added to the inputs break this, and so do
    keys and queries that are rotated by their position. A causal mask breaks it, too: the first position sees one
    token, the second two, so a network can count.

    Args:
        length: number of tokens.
        width: width of the tokens, a multiple of 4.
        seeds: number of random weights, inputs and orders.

    Try: `--length 2`: two tokens are enough.

    Source: Vaswani et al., "Attention Is All You Need", 2017; the mask: Haviv et al., "Transformer Language Models
    without Positional Encodings Still Learn Positional Information", 2022.
    """
    cases = {
        "no positions": {},
        "sinusoidal positions": {"positions": True},
        "rotary positions": {"rotary": True},
        "causal mask, no positions": {"use_causal_mask": True},
    }
    changes = {
        name: Measured.over(_change(length, width, seed, **case) for seed in range(seeds))
        for name, case in cases.items()
    }
    none, sinusoidal, rotary, masked = changes.values()
    return Evidence(
        numbers={f"change of the outputs by shuffling, {name}": change for name, change in changes.items()},
        findings=(
            predicts(
                "without positions shuffled inputs give the same outputs in the shuffled order",
                none.below(EQUAL),
                "attention without positions depends on the order",
            ),
            limit(
                "with sinusoidal positions the outputs differ",
                sinusoidal.above(DIFFERENT),
                "no positions are added to the inputs",
            ),
            limit(
                "with rotary positions the outputs differ", rotary.above(DIFFERENT), "queries and keys are not rotated"
            ),
            limit("with a causal mask alone the outputs differ", masked.above(DIFFERENT), "there is no causal mask"),
        ),
        figure=Figure(
            (
                Panel(
                    "Does the order of the inputs matter?",
                    "attention with",
                    "change of the outputs / their size",
                    {
                        "change": Series.of(
                            [name.replace(" positions", "\npositions") for name in changes], list(changes.values())
                        )
                    },
                    kind="bars",
                ),
            )
        ),
    )


def _change(length: int, width: int, seed: int, positions: bool = False, rotary: bool = False, **call: Any) -> float:
    """The difference of the outputs for shuffled inputs and the shuffled outputs, relative to the outputs."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1, length, width)).astype("float32")
    order = _moved(rng, length)
    attention = kf.layers.MultiHeadAttention(2, width // 2, rotary=rotary)
    add: Callable[[Any], Any] = kf.layers.SinusoidalPosition() if positions else lambda x: x

    def output(x: np.ndarray) -> np.ndarray:
        x = add(x)
        return np.asarray(ops.convert_to_numpy(attention(x, x, **call)))

    y = output(x)
    return float(np.linalg.norm(output(x[:, order]) - y[:, order]) / np.linalg.norm(y))


def _moved(rng: np.random.Generator, length: int) -> np.ndarray:
    """A random order that is not the old one."""
    while True:
        order = rng.permutation(length)
        if (order != np.arange(length)).any():
            return order
