"""The scale of attention: what the division by the root of the width is for."""

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

    from kerasfound import autodiff
else:
    np, ops, autodiff = _lazy.module("numpy"), _lazy.module("keras.ops"), _lazy.module("kerasfound.autodiff")

WIDTHS = (1, 4, 16, 64, 256, 1024)


@lab(
    "Attention scores are divided by the root of the width, otherwise the softmax saturates", who="Vaswani et al., 2017"
)
def attention_scale(
    *,
    keys: Annotated[int, Between(2, 256)] = 16,
    queries: Annotated[int, Between(1, 500)] = 100,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Random queries and keys with variance 1: the weights and their gradients, with and without the scale.

    A score $q \cdot k = \sum_{i=1}^{d} q_i k_i$ is a sum of $d$ products of variance 1, so its standard deviation is
    $\sqrt d$; divided by $\sqrt d$ it is 1 at any width. With scores far apart the softmax gives one key all the
    weight, and its derivative

    $$\partial a / \partial s = \mathrm{diag}(a) - a a^\top$$

    goes to zero: such a query no longer learns. Measured is the length of the gradient of $c \cdot a$ by the scores,
    for random $c$.

    Args:
        keys: number of keys.
        queries: number of random queries.
        seeds: number of random seeds.

    Try: `--keys 2`: two scores are closer than sixteen, but far apart at large widths.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1.
    """
    largest = {scaled: np.zeros((seeds, len(WIDTHS))) for scaled in (True, False)}
    slope = {scaled: np.zeros((seeds, len(WIDTHS))) for scaled in (True, False)}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        direction = rng.normal(size=(queries, keys)).astype("float32")
        for i, width in enumerate(WIDTHS):
            q = rng.normal(size=(queries, width)).astype("float32")
            k = rng.normal(size=(keys, width)).astype("float32")
            for scaled in (True, False):
                query = q if scaled else q * np.float32(np.sqrt(width))  # this undoes the division
                weights = ops.convert_to_numpy(kf.layers.attention_weights(query, k))
                largest[scaled][seed, i] = weights.max(axis=1).mean()
                slope[scaled][seed, i] = _slope(query, k, direction)
    of = {(s, i): Measured.over(slope[s][:, i]) for s in (True, False) for i in (0, len(WIDTHS) - 1)}
    return Evidence(
        numbers={
            f"largest weight, width {WIDTHS[-1]}, scaled": Measured.over(largest[True][:, -1]),
            f"largest weight, width {WIDTHS[-1]}, not scaled": Measured.over(largest[False][:, -1]),
            f"gradient, width {WIDTHS[-1]}, scaled": of[True, len(WIDTHS) - 1],
            f"gradient, width {WIDTHS[-1]}, not scaled": of[False, len(WIDTHS) - 1],
            f"gradient, width {WIDTHS[0]}, not scaled": of[False, 0],
        },
        findings=(
            predicts(
                f"at width {WIDTHS[-1]} without the scale one key has more than 0.9 of the weight",
                Measured.over(largest[False][:, -1]).above(0.9),
                "without the scale the weights stay spread out",
            ),
            predicts(
                f"at width {WIDTHS[-1]} the gradient with the scale is more than twice that without it",
                (of[True, len(WIDTHS) - 1] / of[False, len(WIDTHS) - 1]).above(2.0),
                "the scale does not keep the gradient from vanishing",
            ),
            limit(
                f"at width {WIDTHS[0]} without the scale the gradient is more than twice that at width {WIDTHS[-1]}",
                (of[False, 0] / of[False, len(WIDTHS) - 1]).above(2.0),
                "the queries and keys are wide",
            ),
        ),
        figure=_figure(largest, slope),
    )


def _slope(query: np.ndarray, key: np.ndarray, direction: np.ndarray) -> float:
    """The mean length of the gradient of `direction . weights` by the scores of a query.

    A key that is the identity makes the scores of a query its own entries, up to the scale of the block.
    """
    width = query.shape[-1]
    scores = query @ key.T / np.sqrt(width).astype("float32")
    identity = np.eye(len(key), dtype="float32") * np.float32(np.sqrt(len(key)))
    (gradient,) = autodiff.gradients(
        lambda s: ops.sum(kf.layers.attention_weights(s, identity) * direction), [scores.astype("float32")]
    )
    return float(np.linalg.norm(gradient, axis=1).mean())


def _figure(largest: dict[bool, np.ndarray], slope: dict[bool, np.ndarray]) -> Figure:
    names = {True: "divided by the root of the width", False: "not divided"}
    return Figure(
        tuple(
            Panel(
                title, "width of queries and keys", y, {names[s]: Series.mean(WIDTHS, runs[s]) for s in runs}, log="x"
            )
            for title, y, runs in (
                ("One key takes all the weight", "largest weight of a query (mean)", largest),
                ("The gradient vanishes", "length of the gradient by the scores (mean)", slope),
            )
        )
    )
