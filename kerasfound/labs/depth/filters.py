"""What the filters of a first layer become in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, limit, predicts, untestable
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

SIDE = 3
"""The side of a filter, in pixels."""
BY_CHANCE = 2 / (SIDE**2 - 1)
"""The share of an edge in random weights: two directions of the eight of a filter without its mean."""
BATCH = 50


@lab("The layers of a convolutional network detect edges, then shapes, then objects", who="Zeiler and Fergus, 2014")
def filters(
    *,
    channels: Annotated[int, Between(2, 64)] = 16,
    steps: Annotated[int, Between(20, 10_000)] = 600,
    seeds: Seeds = 8,
) -> Evidence:
    r"""Train a convolution of 3 x 3 pixels on the digits and measure how much of its filters is an edge.

    An edge is where the brightness rises in one direction. Its filter is $u \cos\alpha + v \sin\alpha$, with $u$ rising
    from left to right and $v$ from top to bottom, both of length 1. The share of an edge in a filter $w$ without its
    mean is

    $$\frac{(w \cdot u)^2 + (w \cdot v)^2}{w \cdot w}$$

    which is 2/8 on average for random weights. Two controls train all but the first layer: its filters stay random, or
    are edges in all directions. What later layers detect, shapes and objects, can be seen on large photographs only:
    this lab decides the first part of the claim.

    Args:
        channels: the number of filters.
        steps: steps of Adam with 50 images each.
        seeds: number of initial values and choices of the images.

    Try: `--channels 4`: with few filters, random ones are further behind.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
    """
    runs = {name: _train(name, channels, steps, seeds) for name in ("learned", "random", "edges")}
    accuracy = {name: Measured.over(found) for name, (found, _) in runs.items()}
    kernels = runs["learned"][1]
    before, after = (Measured.over(_edge_share(pair[i]).mean() for pair in kernels) for i in (0, 1))
    return Evidence(
        numbers={"share of an edge in the filters before training": before,
                 "share of an edge in the filters after training": after}
        | {f"test accuracy, filters: {name}": number for name, number in accuracy.items()},
        findings=(
            predicts(f"after training the share of an edge is 0.1 above {BY_CHANCE:g}, that of random weights",
                     after.above(BY_CHANCE + 0.1), "the filters are no more edges than at random"),
            predicts("the learned filters are better than random ones", accuracy["learned"].above(accuracy["random"]),
                     "random filters are as good"),
            limit("the share of an edge after training is below 0.75", after.below(0.75),
                  "an edge may be half of a filter: the other half is something else"),
            untestable("later layers detect shapes, then objects", "images of 8 x 8 pixels have none"),
        ),
        figure=Figure((_accuracy_panel(accuracy), *_pictures(kernels[0]))),
    )  # fmt: skip


def _edge_share(kernel: np.ndarray) -> np.ndarray:
    """The share of an edge in each filter, `(channels,)`, of a kernel `(SIDE, SIDE, 1, channels)`."""
    w = kernel.reshape(SIDE * SIDE, -1)
    w = w - w.mean(axis=0)
    return np.sum((_edge_directions() @ w) ** 2, axis=0) / np.sum(w**2, axis=0)


def _edge_directions() -> np.ndarray:
    """Brightness that rises from left to right and from top to bottom, `(2, SIDE * SIDE)`, each of length 1."""
    rising = np.tile(np.arange(SIDE) - (SIDE - 1) / 2, (SIDE, 1))
    rising /= np.linalg.norm(rising)
    return np.stack([rising.ravel(), rising.T.ravel()])


def _edges(shape: Any, dtype: Any = None) -> Any:
    """Edges in equally spaced directions, as an initializer."""
    angle = 2 * np.pi * np.arange(shape[-1]) / shape[-1]
    edges = np.stack([np.cos(angle), np.sin(angle)]).T @ _edge_directions()
    return ops.convert_to_tensor(edges.T.reshape(shape), dtype)


def _learner(name: str, channels: int) -> Learner:
    def build() -> keras.Model:
        start = _edges if name == "edges" else kf.initializers.GlorotUniform()
        first = kf.layers.Conv2D(channels, SIDE, activation=kf.activations.relu, kernel_initializer=start)
        first.trainable = name == "learned"
        layers = [keras.layers.Reshape((8, 8, 1)), first, kf.layers.MaxPooling2D(2), keras.layers.Flatten()]
        return keras.Sequential([keras.Input((64,)), *layers, kf.layers.Dense(10)])

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.Adam(0.005))


def _train(name: str, channels: int, steps: int, seeds: int) -> tuple[list[float], list[tuple[Any, Any]]]:
    """The test accuracies, and the kernels of the first layer before and after training, for each seed."""
    learner = _learner(name, channels)
    accuracies, kernels = [], []
    for seed in range(seeds):
        data = digits(seed)
        kernel = learner.start(seed).model.layers[1].kernel
        before = np.array(ops.convert_to_numpy(kernel))
        learner.learn(data.x, data.y, steps, BATCH, seed)
        accuracies.append(learner.accuracy(data.x_test, data.y_test))
        kernels.append((before, np.array(ops.convert_to_numpy(kernel))))
    return accuracies, kernels


def _accuracy_panel(accuracy: dict[str, Measured]) -> Panel:
    series = {"digits": Series.of(list(accuracy), list(accuracy.values()))}
    return Panel("Learned and fixed filters", "filters of the first layer", "test accuracy", series, kind="bars")


def _pictures(kernels: tuple[np.ndarray, np.ndarray]) -> tuple[Panel, ...]:
    """The filters before and after training, in two rows, darkest where the weight is smallest."""

    def tiled(kernel: np.ndarray) -> np.ndarray:
        tiles = [np.pad(kernel[:, :, 0, i], 1, constant_values=np.nan) for i in range(kernel.shape[-1])]
        half = -(-len(tiles) // 2)
        tiles += [np.full_like(tiles[0], np.nan)] * (2 * half - len(tiles))
        return np.concatenate([np.concatenate(tiles[:half], axis=1), np.concatenate(tiles[half:], axis=1)])

    return tuple(
        Panel(f"Filters {when} training", "pixel", "pixel", {}, image=tiled(kernel))
        for when, kernel in zip(("before", "after"), kernels, strict=True)
    )
