"""Layers without an activation: one linear map, learned in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..networks import Activation, dense_network
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")


WIDTH = 8
ROWS = 64


@lab("Without an activation, many layers are one linear layer", who="introductions")
def linear_collapse(
    *,
    layers: Annotated[int, Between(2, 10)] = 4,
    rate: Annotated[float, Between(0.001, 0.2)] = 0.02,
    steps: Annotated[int, Between(10, 5000)] = 150,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Linear layers are multiplied into one; then one and several layers learn the same linear map.

    $((x W_1 + b_1) W_2 + b_2) = x\, W_1 W_2 + (b_1 W_2 + b_2)$, so several layers compute what one layer with the
    product of the weights computes. But gradient descent changes the factors, not the product: the gradient of each
    factor contains all the others, and several layers take other paths to the same map.

    Args:
        layers: the number of linear layers.
        rate: the rate of gradient descent.
        steps: steps of gradient descent.
        seeds: number of data sets and initial values.

    Try: `--layers 8`: the product still explains the network, and the paths differ more.

    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014.
    """
    tasks = [_task(seed) for seed in range(seeds)]
    deep, one = (_learner(count, kf.activations.linear, rate) for count in (layers, 1))
    error = Measured.over(_distance_from_product(deep.start(seed), x) for seed, (x, _) in enumerate(tasks))
    bent = _learner(layers, kf.activations.relu, rate)
    relu_error = Measured.over(_distance_from_product(bent.start(seed), x) for seed, (x, _) in enumerate(tasks))
    paths = {
        name: np.array([learner.start(seed).learn(x, y, steps) for seed, (x, y) in enumerate(tasks)])
        for name, learner in (("1 layer", one), (f"{layers} layers", deep))
    }
    doublings = Measured.over(np.log2(paths[f"{layers} layers"][:, -1] / paths["1 layer"][:, -1]))
    return Evidence(
        numbers={
            f"{layers} linear layers: distance of the outputs from one linear map, relative": error,
            f"{layers} ReLU layers: distance of the outputs from that map, relative": relu_error,
            f"log2 of (loss of {layers} layers / loss of 1 layer) after {steps} steps": doublings,
        },
        findings=(
            predicts(
                "the product of the weights gives the outputs of the linear layers, but not those of ReLU layers",
                all_of(error.below(1e-4), relu_error.above(0.1)),
                "the layers are not the product of their weights",
            ),
            limit(
                "one and several linear layers learn differently: the losses differ by a factor of 2 or more",
                Measured.over(map(abs, doublings.values)).above(1),
                condition="one speaks of what the layers compute, not of how they learn",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Learning the same linear map",
                    "step",
                    "mean squared error",
                    {name: Series.mean(list(range(steps)), losses) for name, losses in paths.items()},
                    log="y",
                ),
            )
        ),
    )


def _task(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, WIDTH))
    y = x @ rng.normal(0, 1 / np.sqrt(WIDTH), (WIDTH, WIDTH))
    return x.astype("float32"), y.astype("float32")


def _learner(layers: int, activation: Activation, rate: float) -> Learner:
    return Learner(
        lambda: dense_network(WIDTH, (WIDTH,) * (layers - 1), WIDTH, activation),
        kf.losses.MeanSquaredError(),
        kf.optimizers.SGD(rate * WIDTH),  # the loss is a mean over the outputs
    )


def _distance_from_product(learner: Learner, x: np.ndarray) -> float:
    """How far the outputs are from those of the product of all layers, relative to the outputs."""
    weights = learner.model.get_weights()
    product, shift = np.eye(WIDTH), np.zeros(WIDTH)
    for W, b in zip(weights[::2], weights[1::2], strict=True):
        product, shift = product @ W, shift @ W + b
    outputs = learner.predict(x)
    return float(np.linalg.norm(outputs - (x @ product + shift)) / np.linalg.norm(outputs))
