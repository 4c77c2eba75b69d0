"""Attention as a lookup: the value of the key that a query matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
    from keras import ops
else:
    np, ops = _lazy.module("numpy"), _lazy.module("keras.ops")

SCALES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


@lab("Attention looks up the value of the key that the query matches", who="Vaswani et al., 2017 | introductions")
def attention_lookup(
    *,
    entries: Annotated[int, Between(2, 500)] = 32,
    width: Annotated[int, Between(2, 256)] = 16,
    seeds: Seeds = 10,
) -> Evidence:
    r"""A dictionary of random keys of length 1 and random values; each query is a key times a scale.

    $$y = \sum_s a_s v_s, \qquad a = \mathrm{softmax}(\alpha\, K k_i / \sqrt d)$$

    The right entry has the score $\alpha / \sqrt d$ and every other a smaller one, since $k_s \cdot k_i < 1$ for
    different keys of length 1. With $\alpha = 0$ the weights are equal and the output is the mean of all values; with
    $\alpha \to \infty$ the weight of the right entry goes to 1. If two keys are equal, no scale tells them apart: the
    output is the mean of both values.

    Args:
        entries: number of entries.
        width: $d$, the width of the keys.
        seeds: number of random dictionaries.

    Try: `--width 2`: on a circle many keys are close to each other, and a scale of 300 does not separate all of them.

    Source: Vaswani et al., "Attention Is All You Need", 2017; Graves et al., "Neural Turing Machines", 2014.
    """
    error, to_mean, twins = np.zeros((3, seeds, len(SCALES)))
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        keys = rng.normal(size=(entries, width)).astype("float32")
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        values = rng.choice([-1.0, 1.0], (entries, 8)).astype("float32")
        twin_keys = np.concatenate([keys[:1], keys[:-1]])  # the first two keys are equal
        for i, scale in enumerate(SCALES):
            output = _attend(scale * keys, keys, values)
            error[seed, i] = _rms(output - values)
            to_mean[seed, i] = _rms(output - values.mean(axis=0))
            twins[seed, i] = _rms(_attend(scale * twin_keys[:1], twin_keys, values) - values[:2].mean(axis=0))
    largest = f"scale {SCALES[-1]:g}"
    return Evidence(
        numbers={
            "error of the looked-up values, scale 0": Measured.over(error[:, 0]),
            "error of the looked-up values, scale 10": Measured.over(error[:, SCALES.index(10)]),
            f"error of the looked-up values, {largest}": Measured.over(error[:, -1]),
            "distance from the mean of all values, scale 0": Measured.over(to_mean[:, 0]),
            f"distance from the mean of two values with equal keys, {largest}": Measured.over(twins[:, -1]),
        },
        findings=(
            predicts(
                f"with a scale of {SCALES[-1]:g} the output is the value of the matching key, with an error below 0.01",
                Measured.over(error[:, -1]).below(0.01),
                "the output is a mixture of values at every scale",
            ),
            limit(
                "with a scale of 0 the output is the mean of all values",
                Measured.over(to_mean[:, 0]).below(1e-3),
                "the query is long enough",
            ),
            limit(
                "if two keys are equal, the output is the mean of their values",
                Measured.over(twins[:, -1]).below(0.01),
                "no two keys are equal",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    f"Lookup among {entries} entries",
                    "scale of the query",
                    "root mean squared error of the values",
                    {
                        "from the value of the matching key": Series.mean(SCALES[1:], error[:, 1:]),
                        "from the mean of all values": Series.mean(SCALES[1:], to_mean[:, 1:]),
                    },
                    log="x",
                ),
            )
        ),
    )


def _attend(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(kf.layers.scaled_dot_product_attention(queries, keys, values)))


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))
