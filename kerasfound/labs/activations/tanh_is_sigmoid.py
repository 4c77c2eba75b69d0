"""Tanh and sigmoid: the same functions, but not the same training."""

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
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


@lab("Tanh is a shifted sigmoid", who="introductions")
def tanh_is_sigmoid(
    *,
    rate: Annotated[float, Between(0.001, 1.0)] = 0.1,
    units: Annotated[int, Between(2, 256)] = 32,
    samples: Annotated[int, Between(100, 5000)] = 1000,
    steps: Annotated[int, Between(1, 2000)] = 200,
    seeds: Seeds = 4,
) -> Evidence:
    r"""A network of tanh is rewritten as a network of sigmoids with the same outputs; then both are trained.

    $\tanh z = 2 \sigma(2 z) - 1$: the sigmoid is shifted, and stretched by 2 in both directions. So the hidden layer
    $\tanh(x W + b) V + c$ equals $\sigma(x\, 2W + 2b)\, 2V + (c - \sum_j V_j)$: both networks represent the same
    functions. But a step of gradient descent on $2W$ changes the function by another amount than a step on $W$, so
    with the same rate they become different functions.

    Args:
        rate: the rate of gradient descent.
        units: units of the hidden layer.
        samples: rows of MNIST-1D, a multiple of 10.
        steps: steps of gradient descent.
        seeds: number of initial values.

    Try: `--steps 1`: after a single step the outputs differ already.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", section 4.4, 1998.
    """
    train, _ = kf.data.mnist1d.load(samples - samples % 10)
    z = np.linspace(-6, 6, 241, dtype="float32")
    tanh, sigmoid, stretched = (
        np.asarray(keras.ops.convert_to_numpy(y))
        for y in (kf.activations.tanh(z), kf.activations.sigmoid(z), 2 * kf.activations.sigmoid(2 * z) - 1)
    )
    original = _learner(train.x.shape[1], units, kf.activations.tanh, rate)
    rewritten = _learner(train.x.shape[1], units, kf.activations.sigmoid, rate)
    before, after = [], []
    losses: dict[str, list[np.ndarray]] = {"tanh": [], "rewritten as sigmoid": []}
    for seed in range(seeds):
        W, b, V, c = original.start(seed).model.get_weights()
        rewritten.start(seed).model.set_weights([2 * W, 2 * b, 2 * V, c - V.sum(axis=0)])
        before.append(_difference(original, rewritten, train.x))
        for name, learner in zip(losses, (original, rewritten), strict=True):
            losses[name].append(learner.learn(train.x, train.y, steps))
        after.append(_difference(original, rewritten, train.x))
    shifted = Measured.over([_best_shift(tanh, sigmoid)])
    identity = Measured.over([float(np.max(np.abs(tanh - stretched)))])
    same, different = Measured.over(before), Measured.over(after)
    return Evidence(
        numbers={
            "largest |tanh z - (2 sigmoid(2 z) - 1)|": identity,
            "largest |tanh z - (sigmoid(z) - shift)|, best shift": shifted,
            "difference of the outputs before training, relative": same,
            f"difference of the outputs after {steps} steps, relative": different,
        },
        findings=(
            predicts(
                "a shifted and stretched sigmoid is tanh, and the rewritten network has the same outputs",
                all_of(identity.below(1e-5), same.below(1e-4)),
                "no sigmoid has the values of tanh",
            ),
            limit(
                "a sigmoid that is only shifted differs from tanh by more than 0.1",
                shifted.above(0.1),
                condition="the sigmoid is also stretched by 2 in both directions",
            ),
            limit(
                "trained with the same rate, the outputs of the two networks differ by more than 1%",
                different.above(0.01),
                condition="one speaks of what a network can represent, not of how it trains",
            ),
        ),
        figure=_figure(z, tanh, sigmoid, stretched, losses),
    )


def _figure(
    z: np.ndarray, tanh: np.ndarray, sigmoid: np.ndarray, stretched: np.ndarray, losses: dict[str, list[np.ndarray]]
) -> Figure:
    steps = len(losses["tanh"][0])
    return Figure(
        (
            Panel(
                "Activations",
                "z",
                "output",
                {
                    "tanh z": Series(z.tolist(), tanh.tolist()),
                    "sigmoid(z) - 1/2": Series(z.tolist(), (sigmoid - 0.5).tolist()),
                    "2 sigmoid(2 z) - 1": Series(z[::20].tolist(), stretched[::20].tolist()),
                },
            ),
            Panel(
                "The same network, the same rate",
                "step",
                "training cross-entropy, nats",
                {name: Series.mean(list(range(steps)), each) for name, each in losses.items()},
            ),
        )
    )


def _learner(inputs: int, units: int, activation: Activation, rate: float) -> Learner:
    return Learner(
        lambda: dense_network(inputs, (units,), 10, activation),
        kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        kf.optimizers.SGD(rate),
    )


def _difference(one: Learner, other: Learner, x: np.ndarray) -> float:
    a, b = one.predict(x), other.predict(x)
    return float(np.linalg.norm(a - b) / np.linalg.norm(a))


def _best_shift(tanh: np.ndarray, sigmoid: np.ndarray) -> float:
    """The largest difference after the shift that makes it smallest: half of its range."""
    difference = tanh - sigmoid
    return float(np.ptp(difference) / 2)
