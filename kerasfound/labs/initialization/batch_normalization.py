"""Batch normalization: large learning rates, and small batches."""

from __future__ import annotations

from collections.abc import Callable
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

RATES = (0.01, 0.1, 0.5, 2.0)
LARGE_RATE = 0.5
SMALL_BATCH = 2


@lab("With batch normalization a network trains faster and at higher learning rates", who="Ioffe and Szegedy, 2015")
def batch_normalization(
    *,
    layers: Annotated[int, Between(1, 20)] = 5,
    steps: Annotated[int, Between(10, 2000)] = 100,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Train a ReLU network on digits with batch normalization, with layer normalization and with neither.

    Batch normalization gives each unit the mean 0 and the variance 1 over the batch. Then the size of the weights does
    not change the outputs, $BN(c\,W x) = BN(W x)$, and a step that is too large only makes $W$ longer, so that the
    next steps are smaller. But mean and variance of a batch of $b$ images have errors of size $1 / \sqrt b$; with 2
    images a unit tells only which of the two is larger. Layer normalization takes both over the units of one image.

    Args:
        layers: hidden layers of 64 units.
        steps: steps of gradient descent with 64 images each; with 2 images there are six times as many.
        seeds: number of initial values.

    Try: `--layers 1`: then the plain network learns at the rate 0.5 as well, and normalization gains little.

    Source: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training", 2015; Wu and He, "Group
    Normalization", 2018, figure 1, for the small batches.
    """
    kinds: dict[str, Callable[[], Any] | None] = {
        "plain": None,
        "batch normalization": lambda: kf.layers.BatchNormalization(momentum=0.9),
        "layer normalization": kf.layers.LayerNormalization,
    }
    accuracy, small = {}, {}
    for name, normalization in kinds.items():
        learner = _learner(normalization, layers)
        accuracy[name] = [_accuracy(learner, rate, steps, 64, seeds) for rate in RATES]
        if normalization:
            small[name] = _accuracy(learner, RATES[0], 6 * steps, SMALL_BATCH, seeds)
    plain, batch = accuracy["plain"], accuracy["batch normalization"]
    best = max(range(len(RATES)), key=lambda i: plain[i].mean)
    large = RATES.index(LARGE_RATE)
    return Evidence(
        numbers={f"test accuracy, rate {RATES[i]}, {name}": accuracy[name][i] for i in (best, large) for name in kinds}
        | {f"test accuracy, batches of {SMALL_BATCH}, {name}": number for name, number in small.items()},
        findings=(
            predicts(f"at the rate {LARGE_RATE} it is better than the plain network", batch[large].above(plain[large]),
                     "batch normalization does not help at a high rate"),
            predicts(f"at the plain network's best rate, {RATES[best]}, it is better after {steps} steps",
                     batch[best].above(plain[best]), "the plain network trains as fast"),
            limit(f"with batches of {SMALL_BATCH} images, layer normalization is better",
                  small["layer normalization"].above(small["batch normalization"]), "the batches are not small"),
        ),
        figure=Figure((_rates_panel(accuracy, steps), _small_panel(small))),
    )  # fmt: skip


def _learner(normalization: Callable[[], Any] | None, layers: int) -> Learner:
    def build() -> keras.Model:
        model = keras.Sequential([keras.Input((64,))])
        for _ in range(layers):
            model.add(kf.layers.Dense(64))
            if normalization:
                model.add(normalization())
            model.add(keras.layers.Activation(kf.activations.relu))
        model.add(kf.layers.Dense(10))
        return model

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.SGD(RATES[0]))


def _accuracy(learner: Learner, rate: float, steps: int, batch_size: int, seeds: int) -> Measured:
    accuracies = []
    for seed in range(seeds):
        data = digits(seed)
        learner.start(seed)
        learner.optimizer.learning_rate = rate
        learner.learn(data.x, data.y, steps, batch_size, seed)
        accuracies.append(learner.accuracy(data.x_test, data.y_test))
    return Measured.over(accuracies)


def _rates_panel(accuracy: dict[str, list[Measured]], steps: int) -> Panel:
    series = {name: Series.of(RATES, numbers) for name, numbers in accuracy.items()}
    return Panel(f"After {steps} steps with 64 images", "learning rate", "test accuracy", series, log="x")


def _small_panel(small: dict[str, Measured]) -> Panel:
    names = [name.replace(" ", "\n") for name in small]
    series = {"accuracy": Series.of(names, list(small.values()))}
    return Panel(f"With batches of {SMALL_BATCH} images", "network", "test accuracy", series, kind="bars")
