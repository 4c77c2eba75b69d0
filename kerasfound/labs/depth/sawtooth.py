"""A saw with 64 straight pieces: six small layers compute it exactly, one layer does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

POINTS = 1024
"""Points from 0 to 1: a power of two, so that all corners of the saw are among them."""


@lab("A deep network computes what a shallow network of the same size cannot", who="Telgarsky, 2015; 2016")
def sawtooth(
    *,
    layers: Annotated[int, Between(2, 9)] = 6,
    steps: Annotated[int, Between(10, 10000)] = 1000,
    seeds: Seeds = 3,
) -> Evidence:
    r"""The tent function, applied to itself: each layer of two ReLU units doubles the number of straight pieces.

    Two units make the tent $t(x) = 2 \max(x, 0) - 4 \max(x - 1/2, 0)$: up from 0 to 1 and down again. Applied $L$
    times it is a saw with $2^L$ straight pieces: $L$ layers of 2 units. In one layer each unit adds one corner, so $n$
    units make at most $n + 1$ pieces: the same saw needs $2^L - 1$ units. This is about what a network can compute,
    not about what training finds.

    Args:
        layers: applications of the tent, each a layer of two units.
        steps: steps of Adam for the trained networks.
        seeds: number of initial values of the trained networks.

    Try: `--layers 2`: then training finds the four pieces, and a shallow network with enough units is as good.

    Source: Telgarsky, "Representation Benefits of Deep Feedforward Networks", 2015.
    """
    x = (np.arange(POINTS + 1, dtype="float32") / POINTS)[:, None]
    built = saw(layers, x)
    teeth = 1 - np.abs((x * 2**layers) % 2 - 1)
    same_size = _unexplained(x, teeth, [2 * layers], steps, seeds)
    twenty = _unexplained(x, teeth, [40 * layers], steps, seeds)
    deep = _unexplained(x, teeth, [8] * layers, steps, seeds)
    pieces, wanted = pieces_of(x, built), 2**layers
    return Evidence(
        numbers={
            f"straight pieces, {layers} layers of 2 units, built": Measured.over([pieces] * seeds),
            "mean squared error / variance, built": Measured.over([np.var(built - teeth) / np.var(teeth)] * seeds),
            f"mean squared error / variance, 1 layer of {2 * layers} units, trained": same_size[0],
            f"mean squared error / variance, 1 layer of {40 * layers} units, trained": twenty[0],
            f"mean squared error / variance, {layers} layers of 8 units, trained": deep[0],
        },
        findings=(
            predicts(f"{layers} layers of 2 units make exactly {wanted} pieces, and the saw itself",
                     pieces == wanted and bool(np.allclose(built, teeth, atol=1e-5)), "the tents do not make the saw"),
            predicts(f"one layer of {2 * layers} units leaves more than half of the variance",
                     same_size[0].above(0.5), "one layer of the same size computes it too"),
            limit("a deep network that is trained leaves more than half of it as well", deep[0].above(0.5),
                  "its weights are chosen by hand: training does not find them"),
        ),
        figure=Figure((_panel("Built by hand", x, teeth, {f"{layers} layers of 2 units": built}),
                       _panel("Trained, first seed", x, None, {f"1 layer of {40 * layers} units": twenty[1],
                                                   f"{layers} layers of 8 units": deep[1]}))),
    )  # fmt: skip


def saw(layers: int, x: np.ndarray) -> np.ndarray:
    """The outputs of the network of `layers` layers with two ReLU units each, whose weights make the saw."""
    inside = [np.array([[1, 1]], "float32"), np.array([0, -0.5], "float32")]
    between = [np.array([[2, 2], [-4, -4]], "float32"), inside[1]]
    outside = [np.array([[2], [-4]], "float32"), np.zeros(1, "float32")]
    hidden = [kf.layers.Dense(2, activation=kf.activations.relu) for _ in range(layers)]
    model = keras.Sequential([keras.Input((1,)), *hidden, kf.layers.Dense(1)])
    for layer, weights in zip(model.layers, [inside, *[between] * (layers - 1), outside], strict=True):
        layer.set_weights(weights)
    return np.asarray(ops.convert_to_numpy(model(ops.convert_to_tensor(x))))


def pieces_of(x: np.ndarray, y: np.ndarray) -> int:
    """The number of straight pieces of a curve whose corners are among the points."""
    slopes = np.diff(y[:, 0].astype("float64")) / np.diff(x[:, 0].astype("float64"))
    return 1 + int(np.sum(np.abs(np.diff(slopes)) > 1e-3))


def _unexplained(x: np.ndarray, y: np.ndarray, units: list[int], steps: int, seeds: int) -> tuple[Measured, np.ndarray]:
    """The mean squared error as a share of the variance after training, and the outputs of the first seed."""

    def build() -> keras.Model:
        hidden = [
            kf.layers.Dense(n, activation=kf.activations.relu, kernel_initializer=kf.initializers.HeNormal())
            for n in units
        ]
        return keras.Sequential([keras.Input((1,)), *hidden, kf.layers.Dense(1)])

    learner = Learner(build, kf.losses.MeanSquaredError(), kf.optimizers.Adam(0.01))
    outputs = []
    for seed in range(seeds):
        learner.start(seed).learn(2 * x - 1, y, steps)
        outputs.append(learner.predict(2 * x - 1))
    return Measured.over(np.mean((each - y) ** 2) / np.var(y) for each in outputs), outputs[0]


def _panel(title: str, x: np.ndarray, wanted: Any, outputs: dict[str, np.ndarray]) -> Panel:
    curves = ({} if wanted is None else {"the saw": wanted}) | outputs
    return Panel(
        title, "input x", "output", {name: Series(x[:, 0].tolist(), y[:, 0].tolist()) for name, y in curves.items()}
    )
