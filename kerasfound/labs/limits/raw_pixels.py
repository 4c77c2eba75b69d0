"""Logistic regression and a network on raw pixels."""

from __future__ import annotations

from typing import Annotated

import kerasfound as kf

from ..digit_images import digits, signals
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import accuracy_over_seeds, classifier
from ..panels import Panel, Series

MARGIN = 0.02
"""Two accuracies that differ by less count as equal: 16 of 797 test images."""


@lab("On raw pixels a neural network is better than logistic regression", who="introductions")
def raw_pixels(
    *,
    layers: Annotated[int, Between(1, 5)] = 1,
    units: Annotated[int, Between(2, 1000)] = 64,
    steps: Annotated[int, Between(20, 10_000)] = 2000,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Train both on the digits, images of 8 x 8 pixels, and on MNIST-1D, shifted signals of 40 pixels.

    Logistic regression, $p = \mathrm{softmax}(W x + b)$, compares the pixels with one template for each class. That is
    enough where each class has one shape at one place, as in centered images of digits. Where a shape can be anywhere,
    the mean of its rows is flat, and one template cannot match: hidden units are needed.

    Args:
        layers: hidden layers of the network.
        units: units of each hidden layer.
        steps: steps of Adam with 100 rows each.
        seeds: number of initial values and, for the digits, of choices of the training images.

    Try: `--layers 3`: the network gains on MNIST-1D only.

    Source: Hand, "Classifier Technology and the Illusion of Progress", 2006; Greydanus, "Scaling Down Deep Learning",
    2020.
    """
    data = {"digits": [digits(seed) for seed in range(seeds)], "MNIST-1D": [signals()] * seeds}
    hidden = {"logistic regression": [], f"network, {layers} x {units} units": [units] * layers}
    accuracy = {
        (name, on): accuracy_over_seeds(classifier(kf.optimizers.Adam(0.01), widths, rows[0].x.shape[1]), rows, steps)
        for on, rows in data.items()
        for name, widths in hidden.items()
    }
    linear, network = hidden
    gain = {on: accuracy[network, on] - accuracy[linear, on] for on in data}
    return Evidence(
        numbers={f"test accuracy, {on}, {name}": number for (name, on), number in accuracy.items()},
        findings=(
            predicts("on MNIST-1D the network is more than 0.1 better", gain["MNIST-1D"].above(0.1),
                     "the network is not clearly better"),
            limit(f"on the digits it is less than {MARGIN} better", gain["digits"].below(MARGIN),
                  "one template for each class is not enough: on centered digits logistic regression is nearly as "
                  "good"),
        ),
        figure=Figure((_panel(accuracy, list(data), list(hidden)),)),
    )  # fmt: skip


def _panel(accuracy: dict[tuple[str, str], Measured], data: list[str], names: list[str]) -> Panel:
    series = {name: Series.of(data, [accuracy[name, on] for on in data]) for name in names}
    return Panel("Raw pixels", "data", "test accuracy", series, kind="bars")
