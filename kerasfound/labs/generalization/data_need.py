"""How many examples a network needs, beside a simple model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

SIZES = (20, 50, 100, 300, 1000)
BATCH = 50
ROWS = 1000


@lab("A neural network needs a large data set: with few examples a simple model is better", who="introductions")
def data_need(
    *,
    units: Annotated[int, Between(4, 512)] = 128,
    steps: Annotated[int, Between(20, 5000)] = 200,
    seeds: Seeds = 8,
) -> Evidence:
    r"""Learn digits from 20 to 1,000 images, by a network with a hidden layer and by logistic regression.

    The network has many more weights than images. If each weight had to be paid for with examples, logistic regression,
    which has 650 weights, would win with few images. But gradient descent from small weights prefers simple functions,
    so the number of weights is no measure of what a network needs.

    Args:
        units: units of the hidden layer.
        steps: steps of Adam with 50 images each.
        seeds: number of initial values and choices of the images.

    Try: `--units 4`: a network that is too small is worse than logistic regression at every size.

    Source: Bartlett, "For valid generalization the size of the weights is more important than the size of the network",
    1997.
    """
    network = _curve([units], 0.005, steps, seeds)
    simple = _curve([], 0.05, steps, seeds)
    few = SIZES[0]
    return Evidence(
        numbers={f"test accuracy, {n:,} images, network": a for n, a in zip(SIZES, network, strict=True)}
        | {f"test accuracy, {n:,} images, logistic regression": a for n, a in zip(SIZES, simple, strict=True)},
        findings=(
            predicts(f"with {few} images the network is worse than logistic regression by more than 0.02",
                     (simple[0] - network[0]).above(0.02),
                     "with few examples the network is as good as logistic regression, up to 0.02"),
        ),
        figure=Figure((_panel(network, simple, units),)),
    )  # fmt: skip


def _curve(units: list[int], rate: float, steps: int, seeds: int) -> list[Measured]:
    """The test accuracy for each number of images."""
    learner = classifier(kf.optimizers.Adam(rate), units)
    curve = []
    for size in SIZES:
        accuracies = []
        for seed in range(seeds):
            data = digits(seed, ROWS)
            # repeated to the same number of rows, so that the step is compiled once
            rows = np.arange(ROWS) % size
            learner.start(seed).learn(data.x[rows], data.y[rows], steps, BATCH, seed)
            accuracies.append(learner.accuracy(data.x_test, data.y_test))
        curve.append(Measured.over(accuracies))
    return curve


def _panel(network: list[Measured], simple: list[Measured], units: int) -> Panel:
    series = {f"network, {units} units": Series.of(SIZES, network), "logistic regression": Series.of(SIZES, simple)}
    return Panel("Learning curves on digits", "training images", "test accuracy", series, log="x")
