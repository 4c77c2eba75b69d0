"""The receptive field: how much of the input one unit of a convolutional network sees."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops

    from kerasfound import autodiff
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")
    autodiff = _lazy.module("kerasfound.autodiff")

SHARE = 0.95
"""The part of the squared gradient that the effective field holds."""


@lab("A unit sees more of the input the deeper it is and the larger the strides below it", who="introductions")
def receptive_field(
    *,
    kernel: Annotated[int, Between(2, 9)] = 3,
    depth: Annotated[int, Between(2, 12)] = 8,
    seeds: Seeds = 10,
) -> Evidence:
    r"""The gradient of one unit by each pixel, through stacks of convolutions with random weights.

    Pixels with a gradient are those that the unit sees. With kernels $k_l$ and strides $s_l$ the theory counts

    $$r_L = 1 + \sum_{l=1}^{L} (k_l - 1) \prod_{i<l} s_i$$

    With strides of 1 it grows by $k - 1$ for each layer; with strides of 2 it doubles. But most paths from a pixel to
    the unit start near the middle, so the gradient is concentrated there: with strides of 1 the effective width grows
    as $\sqrt L$ only.

    Args:
        kernel: width of the kernels.
        depth: number of convolutions without strides; up to 5 with strides of 2.
        seeds: number of random weights.

    Try: `--depth 12`: a smaller share of the field holds almost all of the gradient.

    Source: Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", 2016.
    """
    plain = _measure(kernel, [1] * depth, seeds)
    strided = _measure(kernel, [2] * min(depth, 5), seeds)
    seen = {name: [Measured.over(field) for field in fields] for name, (fields, _) in (("1", plain), ("2", strided))}
    formula = {"1": _formula(kernel, [1] * depth), "2": _formula(kernel, [2] * min(depth, 5))}
    effective = [Measured.over(share) for share in plain[1]]
    return Evidence(
        numbers={
            f"pixels seen by a unit of layer {depth}, stride 1": seen["1"][-1],
            f"pixels by the formula, layer {depth}, stride 1": Measured.over([formula["1"][-1]]),
            f"pixels seen by a unit of layer {len(seen['2'])}, stride 2": seen["2"][-1],
            f"pixels by the formula, layer {len(seen['2'])}, stride 2": Measured.over([formula["2"][-1]]),
            f"share of the field with {SHARE:.0%} of the squared gradient, layer 1": effective[0],
            f"share of the field with {SHARE:.0%} of the squared gradient, layer {depth}": effective[-1],
        },
        findings=(
            predicts(
                "each layer sees more than the one below, as many pixels as the formula says",
                all_of(
                    *(upper.above(lower) for fields in seen.values() for lower, upper in pairwise(fields)),
                    *(m.within(r - 0.5, r + 0.5) for s in seen for m, r in zip(seen[s], formula[s], strict=True)),
                ),
                "the pixels with a gradient are not those that the formula counts",
            ),
            limit(
                f"less than 0.7 of the field holds {SHARE:.0%} of the squared gradient in the last layer",
                effective[-1].below(0.7),
                "to see means to depend on a pixel at all; strong influence comes from the middle of the field only",
            ),
        ),
        figure=_figure(seen, formula, effective),
    )


def _formula(kernel: int, strides: list[int]) -> list[int]:
    field, step, fields = 1, 1, []
    for stride in strides:
        field, step = field + (kernel - 1) * step, step * stride
        fields.append(field)
    return fields


def _measure(kernel: int, strides: list[int], seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """For each layer and seed: the pixels with a gradient, and the share of them that holds most of it."""
    pixels = np.ones((1, 2 * _formula(kernel, strides)[-1] + 1, 1, 1), "float32")
    fields, shares = np.zeros((2, len(strides), seeds))
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        layers = [kf.layers.Conv2D(1, (kernel, 1), stride, padding="valid") for stride in strides]
        for depth in range(1, len(strides) + 1):
            middle = functools.partial(_middle, layers[:depth])
            (gradient,) = autodiff.gradients(middle, [pixels])
            squared = np.sort(gradient.ravel() ** 2)[::-1]
            fields[depth - 1, seed] = (squared > 0).sum()
            needed = 1 + np.searchsorted(np.cumsum(squared), SHARE * squared.sum())
            shares[depth - 1, seed] = needed / fields[depth - 1, seed]
    return fields, shares


def _middle(layers: list[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x[0, x.shape[1] // 2, 0, 0]


def _figure(seen: dict[str, list[Measured]], formula: dict[str, list[int]], effective: list[Measured]) -> Figure:
    layers = {stride: list(range(1, len(fields) + 1)) for stride, fields in seen.items()}
    fields = {f"measured, stride {s}": Series.of(layers[s], seen[s]) for s in seen}
    fields |= {f"formula, stride {s}": Series(layers[s], formula[s]) for s in seen}
    return Figure(
        (
            Panel("What a unit sees", "layer", "pixels with a gradient", fields, log="y"),
            Panel(
                "What influences it, stride 1",
                "layer",
                "share of the field",
                {f"holds {SHARE:.0%} of the squared gradient": Series.of(layers["1"], effective)},
            ),
        )
    )
