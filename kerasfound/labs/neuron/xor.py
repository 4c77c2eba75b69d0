"""XOR: what a single neuron cannot learn, and two things that help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import dense_network
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

POINTS = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))
CLASSES = (0.0, 1.0, 1.0, 0.0)


@lab("A single neuron cannot learn XOR", who="Minsky and Papert, Perceptrons, 1969")
def xor(
    *,
    hidden: Annotated[int, Between(1, 64)] = 2,
    steps: Annotated[int, Between(1, 5000)] = 400,
    seeds: Seeds = 20,
) -> Evidence:
    r"""The four points of XOR, learned by a neuron, by a neuron with the product of the inputs, and by a hidden layer.

    A neuron decides by the sign of $w_1 x_1 + w_2 x_2 + b$, so its border is a line. No line has (-1, 1) and (1, -1) on
    one side and (-1, -1) and (1, 1) on the other: at most three of the four points are right. With the third input
    $x_1 x_2$ the same neuron needs one weight. Two hidden units suffice too, but training does not always find them.

    Args:
        hidden: units of the hidden layer.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--hidden 16`: then almost all seeds find a solution.

    Source: Minsky and Papert, "Perceptrons", 1969.
    """
    x, y = np.array(POINTS, "float32"), np.array(CLASSES, "float32")[:, None]
    product = np.concatenate([x, x[:, :1] * x[:, 1:]], axis=1)
    neuron = right_points(x, y, (), kf.activations.tanh, steps, seeds)
    with_product = right_points(product, y, (), kf.activations.tanh, steps, seeds)
    network = right_points(x, y, (hidden,), kf.activations.tanh, steps, seeds)
    found = Measured.share(network.count(4), seeds)
    return Evidence(
        numbers={
            "right points of 4, neuron": Measured.over(neuron),
            "right points of 4, neuron with x1 x2": Measured.over(with_product),
            f"right points of 4, {hidden} hidden units": Measured.over(network),
            f"share of seeds that solve XOR, {hidden} hidden units": found,
        },
        findings=(
            predicts("no seed of the neuron has all four points right", max(neuron) < 4, "a neuron learns XOR"),
            limit(
                "the same neuron with the product x1 x2 as an input always learns it",
                min(with_product) == 4,
                "its inputs are x1 and x2 alone, without their product",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Right points of XOR",
                    "model",
                    "right points, mean of the seeds",
                    {
                        "right": Series.of(
                            ["neuron", "neuron with x1 x2", f"{hidden} hidden units"],
                            [Measured.over(right) for right in (neuron, with_product, network)],
                        )
                    },
                    kind="bars",
                ),
            )
        ),
    )


def right_points(
    x: np.ndarray, y: np.ndarray, hidden: Sequence[int], activation: Callable[[Any], Any], steps: int, seeds: int
) -> list[int]:
    """The number of right points after training, for each seed."""
    learner = Learner(
        lambda: dense_network(x.shape[1], hidden, 1, activation),
        kf.losses.BinaryCrossentropy(from_logits=True),
        kf.optimizers.Adam(0.1),
    )
    right = []
    for seed in range(seeds):
        learner.start(seed).learn(x, y, steps)
        right.append(round(4 * learner.accuracy(x, y)))
    return right
