"""A convolutional and a dense network on signals, and on the same signals with their pixels in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import signals
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import accuracy_over_seeds, classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
else:
    keras = _lazy.module("keras")

PIXELS, CLASSES = 40, 10
KERNELS = (5, 3, 3)
MARGIN = 0.05
"""Two accuracies of the dense network that differ by less count as equal."""


@lab("A convolutional network is better than a dense one: it finds the features by itself", who="introductions")
def pixel_order(
    *,
    channels: Annotated[int, Between(2, 100)] = 20,
    units: Annotated[int, Between(10, 1000)] = 100,
    steps: Annotated[int, Between(20, 10_000)] = 500,
    seeds: Seeds = 4,
) -> Evidence:
    r"""Train both on MNIST-1D, then on MNIST-1D with one random order of the 40 pixels for all rows.

    A convolution adds up neighbors, and uses the same weights everywhere:

    $$y_{t,c} = \sum_{s,k} w_{s,k,c}\, x_{t+s,k}$$

    So it knows before any training that near pixels belong together and that a shape means the same at every place. In
    another order of the pixels both are wrong. A dense layer treats all pixels alike: with its first weights in the
    same new order it is the same network. No information is lost by the order, only what the architecture knows.

    Args:
        channels: the channels of each of three convolutions with stride 2.
        units: the units of each of two hidden layers of the dense network.
        steps: steps of Adam with 100 rows each.
        seeds: number of initial values.

    Try: `--steps 3000`: with the pixels in order the convolutional network reaches 0.9; in another order neither gains
    much.

    Source: Greydanus, "Scaling Down Deep Learning", 2020 (linear model 0.32, dense network 0.68, convolutional network
    0.94 on MNIST-1D).
    """
    learners = {"convolutional": _convolutional(channels), "dense": _dense(units)}
    accuracy = {
        (name, shuffled): accuracy_over_seeds(learner, [signals(shuffled)] * seeds, steps)
        for name, learner in learners.items()
        for shuffled in (False, True)
    }
    order = {False: "pixels in order", True: "pixels in a random order"}
    gap = {shuffled: accuracy["convolutional", shuffled] - accuracy["dense", shuffled] for shuffled in order}
    change = accuracy["dense", True] - accuracy["dense", False]
    return Evidence(
        numbers={f"test accuracy, {name}, {order[s]}": number for (name, s), number in accuracy.items()},
        findings=(
            predicts("with the pixels in order the convolutional network is more than 0.1 better",
                     gap[False].above(0.1), "the convolutional network is not clearly better"),
            predicts(f"the order changes the accuracy of the dense network by less than {MARGIN}",
                     change.within(-MARGIN, MARGIN), "the order of the pixels matters to a dense network, too"),
            limit("with the pixels in a random order the convolutional network is not better", gap[True].below(0.0),
                  "near pixels belong together, as the architecture assumes: in a random order of the pixels it is "
                  "worse than the dense network"),
        ),
        figure=Figure((_panel(accuracy, order),)),
    )  # fmt: skip


def _convolutional(channels: int) -> Learner:
    def build() -> keras.Model:
        convolutions = [
            kf.layers.Conv2D(channels, (size, 1), (2, 1), padding="same", activation=kf.activations.relu)
            for size in KERNELS
        ]
        rows = keras.layers.Reshape((PIXELS, 1, 1))
        return keras.Sequential(
            [keras.Input((PIXELS,)), rows, *convolutions, keras.layers.Flatten(), kf.layers.Dense(CLASSES)]
        )

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.Adam(0.01))


def _dense(units: int) -> Learner:
    return classifier(kf.optimizers.Adam(0.005), [units, units], PIXELS, CLASSES)


def _panel(accuracy: dict[Any, Measured], order: dict[bool, str]) -> Panel:
    names = list(dict.fromkeys(name for name, _ in accuracy))
    series = {text: Series.of(names, [accuracy[name, shuffled] for name in names]) for shuffled, text in order.items()}
    return Panel("MNIST-1D", "network", "test accuracy", series, kind="bars")
