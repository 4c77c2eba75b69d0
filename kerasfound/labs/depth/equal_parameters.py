"""Depth and width at the same number of parameters."""

from __future__ import annotations

import math
from typing import Annotated

import kerasfound as kf

from ..digit_images import signals
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import accuracy_over_seeds, classifier
from ..panels import Panel, Series

DEPTHS = (1, 2, 4, 12)
INPUTS, CLASSES = 40, 10


@lab("Of two networks with equally many parameters the deeper one is better", who="introductions")
def equal_parameters(
    *,
    parameters: Annotated[int, Between(1000, 200_000)] = 15_000,
    steps: Annotated[int, Between(20, 20_000)] = 800,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Train ReLU networks of 1 to 12 hidden layers on MNIST-1D, as wide as the number of parameters allows.

    With $n$ inputs, $k$ classes and $L$ hidden layers of width $w$ there are

    $$p = (n + 1)\, w + (L - 1)(w + 1)\, w + (w + 1)\, k$$

    parameters, so more layers must be narrower. What a deep network can represent with few units (see `sawtooth`) says
    nothing about what gradient descent finds: each further layer also makes the gradient harder to follow.

    Args:
        parameters: the largest number of parameters of a network.
        steps: steps of Adam with 100 rows each.
        seeds: number of initial values.

    Try: `--steps 3000`: more training does not make up for the depth.

    Source: Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 6.4.1; Ba and Caruana, "Do Deep Nets Really
    Need to be Deep?", 2014.
    """
    widths = {depth: _width_of(parameters, depth) for depth in DEPTHS}
    data = [signals()] * seeds
    accuracy = {depth: accuracy_over_seeds(_learner(depth, width), data, steps) for depth, width in widths.items()}
    return Evidence(
        numbers={f"test accuracy, {d} x {widths[d]} units": number for d, number in accuracy.items()},
        findings=(
            predicts("2 hidden layers are better than 1", accuracy[2].above(accuracy[1]),
                     "2 hidden layers are not better than 1"),
            limit(f"{DEPTHS[-1]} hidden layers are worse than 1", accuracy[DEPTHS[-1]].below(accuracy[1]),
                  f"gradient descent still trains the deeper network: {DEPTHS[-1]} narrow layers are worse than 1"),
        ),
        figure=Figure((_panel(accuracy, widths, parameters),)),
    )  # fmt: skip


def _width_of(parameters: int, depth: int) -> int:
    """The largest width of `depth` equal hidden layers with at most so many parameters."""
    a, b, c = depth - 1, INPUTS + depth + CLASSES, CLASSES - parameters
    return int(-c / b if a == 0 else (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a))


def _learner(depth: int, width: int) -> Learner:
    return classifier(kf.optimizers.Adam(0.003), [width] * depth, INPUTS, CLASSES)


def _panel(accuracy: dict[int, Measured], widths: dict[int, int], parameters: int) -> Panel:
    names = [f"{depth} x {width}" for depth, width in widths.items()]
    series = {"MNIST-1D": Series.of(names, list(accuracy.values()))}
    return Panel(f"{parameters:,} parameters", "hidden layers x units", "test accuracy", series, kind="bars")
