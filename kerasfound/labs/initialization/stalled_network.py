"""A deep ReLU network that does not start to learn, by its initial weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
else:
    keras = _lazy.module("keras")

CHANCE = 0.1
SHALLOW = 3


@lab("A ReLU network needs He's initial weights to learn", who="He et al., 2015")
def stalled_network(
    *,
    layers: Annotated[int, Between(2, 60)] = 30,
    units: Annotated[int, Between(8, 256)] = 64,
    steps: Annotated[int, Between(10, 5000)] = 300,
    seeds: Seeds = 4,
) -> Evidence:
    r"""Train a deep and a shallow ReLU network on digits, from Glorot's and from He's initial weights.

    Glorot's variance $2 / (n_{in} + n_{out})$ halves the mean square of a ReLU layer; the gradient, which goes through
    the same matrices backwards, is halved too. After 30 layers both are about $2^{-30}$ of their size, and a step
    changes nothing. He's variance $2 / n_{in}$ keeps both. A network of 3 layers loses a factor of 8 only, and learns
    either way. Adam divides each step by the size of the gradient, so that small gradients do not stop it.

    Args:
        layers: hidden layers of the deep network.
        units: units of each hidden layer.
        steps: steps of gradient descent with momentum, or of Adam, 64 images each.
        seeds: number of initial values.

    Try: `--layers 8`: then Glorot's weights start to learn as well, only later.

    Source: He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015, figure 3.
    """
    sgd, adam = kf.optimizers.SGD, kf.optimizers.Adam
    deep = _train(layers, units, sgd(0.005, momentum=0.9), ("Glorot", "He"), steps, seeds)
    shallow = _train(SHALLOW, units, sgd(0.005, momentum=0.9), ("Glorot",), steps, seeds)
    rescaled = _train(layers, units, adam(0.001), ("Glorot",), steps, seeds)
    runs = {
        f"Glorot, {layers} layers": deep["Glorot"],
        f"He, {layers} layers": deep["He"],
        f"Glorot, {SHALLOW} layers": shallow["Glorot"],
        f"Glorot, {layers} layers, Adam": rescaled["Glorot"],
    }
    accuracy = {name: Measured.over(accuracies) for name, (_, accuracies) in runs.items()}
    glorot, he, few_layers, with_adam = accuracy.values()
    return Evidence(
        numbers={f"train accuracy, {name}": number for name, number in accuracy.items()},
        findings=(
            predicts("from Glorot's weights the deep network stays below twice the accuracy of chance",
                     glorot.below(2 * CHANCE), "the deep network learns from Glorot's weights too"),
            predicts("from He's weights it is above twice the accuracy of chance", he.above(2 * CHANCE),
                     "He's weights do not help the deep network"),
            limit(f"from Glorot's weights {SHALLOW} layers learn", few_layers.above(0.5), "the network is deep"),
            limit("from Glorot's weights the deep network learns with Adam", with_adam.above(2 * CHANCE),
                  "the optimizer does not scale small gradients up, as Adam does"),
        ),
        figure=Figure((_panel(runs, steps),)),
    )  # fmt: skip


def _train(
    layers: int, units: int, optimizer: Any, starts: tuple[str, ...], steps: int, seeds: int
) -> dict[str, tuple[list[Any], list[float]]]:
    """For each kind of initial weights: the loss by step and the train accuracy at the end, of each seed."""
    initializers = {"Glorot": kf.initializers.GlorotNormal, "He": kf.initializers.HeNormal}
    chosen = starts[0]

    def build() -> keras.Model:
        # one learner for all kinds: the steps, whose compilation takes longest, are compiled once
        hidden = [
            kf.layers.Dense(units, activation=kf.activations.relu, kernel_initializer=initializers[chosen]())
            for _ in range(layers)
        ]
        return keras.Sequential([keras.Input((64,)), *hidden, kf.layers.Dense(10)])

    learner = Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer)
    found = {}
    for chosen in starts:
        losses, accuracies = [], []
        for seed in range(seeds):
            data = digits(seed)
            losses.append(learner.start(seed).learn(data.x, data.y, steps, batch_size=64, seed=seed))
            accuracies.append(learner.accuracy(data.x, data.y))
        found[chosen] = (losses, accuracies)
    return found


def _panel(runs: dict[str, tuple[list[Any], list[float]]], steps: int) -> Panel:
    series = {name: Series.mean(range(steps), losses) for name, (losses, _) in runs.items()}
    return Panel("A deep network, and a shallow one", "step", "loss (cross-entropy) on the batch", series)
