"""Hidden units: what two of them can represent, and how many training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import dense_network
from ..panels import Panel, Series
from .xor import CLASSES, POINTS, right_points

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

WIDTHS = (2, 4)
STEEPNESS = 3.0


@lab("A hidden layer changes everything: it lets a network learn XOR", who="introductions")
def hidden_units(
    *,
    widest: Annotated[int, Between(5, 64)] = 16,
    steps: Annotated[int, Between(1, 5000)] = 300,
    seeds: Seeds = 15,
) -> Evidence:
    r"""XOR with hidden layers of two, four and more units, and with linear hidden units.

    With $h_1 = \tanh(3 (x_1 + x_2 + 1))$, "one of them", and $h_2 = \tanh(3 (x_1 + x_2 - 1))$, "both", the sign of
    $h_1 - h_2 - 1$ is XOR: two units represent it. Gradient descent starts from random weights and may stop at three
    of the four points; with more units it seldom does. Linear units add nothing: together they are one linear map.

    Args:
        widest: units of the widest hidden layer.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--steps 5`: then fewer seeds have found the solution, with any width.

    Source: Rumelhart, Hinton and Williams, "Learning internal representations by error propagation", 1986.
    """
    x, y = np.array(POINTS, "float32"), np.array(CLASSES, "float32")[:, None]
    chosen = _points_with_chosen_weights(x, y)
    shares = {
        width: Measured.share(right_points(x, y, (width,), kf.activations.tanh, steps, seeds).count(4), seeds)
        for width in (*WIDTHS, widest)
    }
    linear = right_points(x, y, (widest,), kf.activations.linear, steps, seeds)
    fewest = WIDTHS[0]
    return Evidence(
        numbers={
            "right points of 4, 2 units with chosen weights": Measured.over([chosen]),
            **{f"share of seeds that learn XOR, {width} units": share for width, share in shares.items()},
            f"share of seeds that learn XOR, {widest} linear units": Measured.share(linear.count(4), seeds),
        },
        findings=(
            predicts("2 hidden units represent XOR", chosen == 4, "2 hidden units do not represent XOR"),
            predicts(
                f"with {widest} hidden units more than half of the seeds learn XOR",
                shares[widest].above(0.5),
                "even a wide hidden layer learns XOR from few seeds only",
            ),
            limit(
                "with 2 hidden units some seeds do not learn XOR, though 2 units can represent it",
                shares[fewest].below(1.0),
                condition="it has more units than XOR needs",
            ),
            limit(
                "no seed learns XOR with linear hidden units",
                max(linear) < 4,
                condition="the activation of the hidden layer is not linear",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Seeds that learn XOR",
                    "hidden units",
                    "share of the seeds",
                    {
                        "share": Series.of(
                            [*map(str, shares), f"{widest} linear"],
                            [*shares.values(), Measured.share(linear.count(4), seeds)],
                        )
                    },
                    kind="bars",
                ),
            )
        ),
    )


def _points_with_chosen_weights(x: np.ndarray, y: np.ndarray) -> int:
    """The right points of a network with 2 hidden units: "one of them" and "both"."""
    model = dense_network(2, (2,), 1, kf.activations.tanh)
    one, both = STEEPNESS, -STEEPNESS
    model.set_weights([np.full((2, 2), STEEPNESS), np.array([one, both]), np.array([[1.0], [-1.0]]), np.array([-1.0])])
    return int(np.sum((model.predict(x, verbose=0) > 0) == y))
