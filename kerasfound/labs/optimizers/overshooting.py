"""Overshooting: which optimizers run over the minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np

    from . import surfaces
else:
    np, surfaces = _lazy.module("numpy"), _lazy.module("kerasfound.labs.optimizers.surfaces")


@lab("Optimizers such as momentum and Adam prevent that a step runs over the minimum", who="introductions")
def overshooting(*, learning_rate: Annotated[float, Between(0.001, 0.4)] = 0.1, seeds: Seeds = 10) -> Evidence:
    r"""How far each optimizer runs over the minimum of a quadratic, with the same learning rate.

    Gradient descent with $\eta < 1 / \lambda$ multiplies the distance by $1 - \eta \lambda > 0$ in each step, so it
    never crosses the minimum. With momentum the velocity is still large at the minimum, where the gradient is zero:

    $$v_{t+1} = \mu v_t - \eta \lambda w_t$$

    The weight crosses the minimum unless $\eta \lambda \le (1 - \sqrt \mu)^2$, which is 0.0026 for $\mu = 0.9$. Adam's
    mean of the gradients is such a velocity too. What prevents overshooting is a smaller learning rate, not momentum.

    Args:
        learning_rate: of all optimizers.
        seeds: number of random curvatures between 0.5 and 2, and starts between 0.5 and 1.5.

    Try: `--learning-rate 0.001`: momentum no longer runs over the minimum, and no optimizer has arrived there.

    Source: Goh, "Why Momentum Really Works", Distill, 2017.
    """
    optimizers = {
        "gradient descent": kf.optimizers.GradientDescent(learning_rate),
        "Momentum 0.9": kf.optimizers.Momentum(learning_rate, 0.9),
        "Nesterov 0.9": kf.optimizers.Nesterov(learning_rate, 0.9),
        "RMSprop": kf.optimizers.RMSprop(learning_rate),
        "Adam": kf.optimizers.Adam(learning_rate),
    }
    rng = np.random.default_rng(0)
    surface = surfaces.quadratic(rng.uniform(0.5, 2.0, (seeds, 1)))
    start = rng.uniform(0.5, 1.5, (seeds, 1))
    paths = {
        name: surfaces.Walk(surface, one, start).path(100)[..., 0] / start[:, 0] for name, one in optimizers.items()
    }
    beyond = {name: Measured.over(100 * np.maximum(-path.min(0), 0.0)) for name, path in paths.items()}
    return Evidence(
        numbers={f"way beyond the minimum, % of the start, {name}": number for name, number in beyond.items()},
        findings=(
            predicts(
                "gradient descent with this rate does not cross the minimum",
                beyond["gradient descent"].below(0.1),
                "plain gradient descent crosses the minimum with this rate, so this rate shows nothing",
            ),
            predicts(
                "with momentum the weight does not run more than 1% beyond the minimum",
                beyond["Momentum 0.9"].below(1.0),
                "momentum itself runs over the minimum, where plain gradient descent with the same rate does not",
            ),
            predicts(
                "with Adam it does not either",
                beyond["Adam"].below(1.0),
                "so does Adam, which has a momentum in it",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "The same quadratic, the same learning rate",
                    "step",
                    "distance from the minimum (first = 1)",
                    {name: Series(range(len(path)), path[:, 0]) for name, path in paths.items()},
                ),
                Panel(
                    "Beyond the minimum",
                    "optimizer",
                    "largest way beyond it (% of the start)",
                    {"way": Series.of([name.removesuffix(" 0.9") for name in beyond], list(beyond.values()))},
                    kind="bars",
                ),
            )
        ),
    )
