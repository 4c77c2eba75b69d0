"""The chain rule: a weight's derivative is a sum of products of local derivatives, one for each path."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

H = 1e-5
"""The step of the measured slopes: near the cube root of the rounding error of float64, where they are most exact."""


@lab("The derivative of the loss by a weight is the product of the local derivatives on its path", who="introductions")
def chain_rule(
    *,
    units: Annotated[int, Between(2, 5)] = 3,
    depth: Annotated[int, Between(3, 6)] = 4,
    seeds: Seeds = 10,
) -> Evidence:
    r"""The slope of the loss by a weight of the first layer: measured, and computed from the derivatives of each part.

    From a first weight to the loss leads a chain of local derivatives, for each layer $f'(z)$ and a weight $W$:

    $$\frac{\partial L}{\partial w} = \sum_{\text{paths}} x \, f'(z^1) \, W^2 f'(z^2) \cdots W^n f'(z^n)
      \, \frac{\partial L}{\partial \hat y}$$

    With one unit in each layer there is one path. With several units each path through the layers adds its product.
    Backpropagation computes the same sum without listing the paths. The measured slope is the change of the loss when
    the weight changes by $\pm 10^{-5}$, in float64.

    Args:
        units: units of each hidden layer.
        depth: number of layers; the last has one unit.
        seeds: number of random networks.

    Try: `--units 5 --depth 6`: 625 paths, and the largest product alone is still farther from the slope.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986.
    """
    tanh = kf.activations.tanh
    with kf.gradients.float64():
        narrow = [_slopes(_network(1, depth, tanh, seed), seed) for seed in range(seeds)]
        wide = [_slopes(_network(units, depth, tanh, seed), seed) for seed in range(seeds)]
        kinks = [_slopes_at_a_kink(seed) for seed in range(seeds)]
    one_path = Measured.over(_error(sum(s["products"]), s["slope"]) for s in narrow)
    all_paths = Measured.over(_error(sum(s["products"]), s["slope"]) for s in wide)
    largest = Measured.over(_error(max(s["products"], key=abs), s["slope"]) for s in wide)
    backprop = Measured.over(_error(s["backprop"], s["slope"]) for s in wide)
    missed = Measured.share(sum(error > 0.01 for error in largest.values), seeds)
    kink = Measured.over(kinks)
    return Evidence(
        numbers={
            "relative error of the product, one unit in each layer": one_path,
            f"relative error of the sum over {units ** (depth - 2)} paths, {units} units": all_paths,
            f"relative error of the largest product alone, {units} units": largest,
            f"share of the networks where it is wrong by more than 1%, {units} units": missed,
            f"relative error of backpropagation, {units} units": backprop,
            "slope to the right of ReLU's kink minus slope to the left": kink,
        },
        findings=(
            predicts("with one path the product is the measured slope", one_path.below(1e-6), "the product differs"),
            predicts("the sum over all paths is the measured slope", all_paths.below(1e-6), "the sum differs"),
            predicts("backpropagation gives the same number", backprop.below(1e-6), "backpropagation differs"),
            limit(
                "with several paths the largest product alone is not the slope, in most networks",
                missed.above(0.5),
                "the products of all paths are added",
            ),
            limit(
                "where the input of a ReLU is exactly 0, the slopes to the left and to the right differ",
                kink.above(0.1),
                "no input of an activation is exactly at a kink",
            ),
        ),
        figure=_figure(wide, largest, all_paths, backprop),
    )


def _network(units: int, depth: int, activation: Any, seed: int) -> Any:
    sizes = [1] + [units] * (depth - 1) + [1]
    layers = [
        kf.backprop.Dense(inputs, outputs, activation, seed=100 * seed + i, dtype="float64")
        for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes))
    ]
    return kf.backprop.Network(layers)


def _slopes(network: Any, seed: int) -> dict[str, Any]:
    """The measured slope by the first weight, its derivative by backpropagation, and the product of each path."""
    x, y = np.random.default_rng(seed).uniform(0.5, 1.5, (2, 1, 1))
    y_hat = network.forward(x)
    network.backward(y, y_hat)
    layers = network.layers
    local = [np.asarray(layer.activation.derivative(layer.z))[0] for layer in layers]
    weights = [np.asarray(layer.W) for layer in layers]
    outer = float(x[0, 0]) * float(network.loss.gradient(y, y_hat)[0, 0])
    products = []
    for inner in itertools.product(*(range(len(d)) for d in local[1:-1])):
        path = (0, *inner, 0)  # the unit of each layer; the weight leads to unit 0 of the first
        edges = [weights[l][path[l - 1], path[l]] for l in range(1, len(layers))]
        products.append(outer * math.prod(edges) * math.prod(d[unit] for d, unit in zip(local, path, strict=True)))
    backprop = float(layers[0].dW[0, 0])
    right, left = (_loss_with_first_weight(network, x, y, weights[0], h) for h in (H, -H))
    return {"slope": (right - left) / (2 * H), "backprop": backprop, "products": products}


def _loss_with_first_weight(network: Any, x: Any, y: Any, weight: Any, h: float) -> float:
    moved = weight.copy()
    moved[0, 0] += h
    network.layers[0].W = moved
    return float(network.loss(y, network.forward(x)))


def _slopes_at_a_kink(seed: int) -> float:
    """The difference of the slopes of ReLU(w) at w = 0, times a random output weight."""
    scale = np.random.default_rng(seed).uniform(0.5, 1.5)
    left, here, right = (scale * float(kf.activations.relu(np.asarray(w, "float64"))) for w in (-H, 0.0, H))
    return (right - here) / H - (here - left) / H


def _error(value: float, slope: float) -> float:
    return abs(value - slope) / abs(slope)


def _figure(wide: list[dict[str, Any]], largest: Measured, all_paths: Measured, backprop: Measured) -> Figure:
    products = sorted(wide[0]["products"], key=abs, reverse=True)
    number = list(range(1, len(products) + 1))
    return Figure(
        (
            Panel(
                "The sum over the paths reaches the slope",
                "paths added, the largest products first",
                "derivative of the loss by the weight",
                {
                    "sum of the products": Series(number, np.cumsum(products)),
                    "measured slope": Series(number, [wide[0]["slope"]] * len(number)),
                },
            ),
            Panel(
                "Distance from the measured slope",
                "computed by",
                "relative error, mean of the seeds",
                {
                    "error": Series(
                        ["largest path", "all paths", "backprop"], [v.mean for v in (largest, all_paths, backprop)]
                    )
                },
                kind="bars",
                log="y",
            ),
        )
    )
