"""The learning rate of gradient descent, and the curvature that limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
    from keras import ops

    from . import surfaces
else:
    np, ops = _lazy.module("numpy"), _lazy.module("keras.ops")
    surfaces = _lazy.module("kerasfound.labs.optimizers.surfaces")

BELOW, ABOVE = (0.5, 1.0, 1.5, 1.9), (2.05, 2.1, 2.2)
DIMENSIONS = 4


@lab(
    "Gradient descent converges if the learning rate is below 2 / the largest curvature, and diverges above it",
    who="introductions; Nocedal and Wright, Numerical Optimization, 2006",
)
def step_size(*, steps: Annotated[int, Between(10, 1000)] = 300, seeds: Seeds = 10) -> Evidence:
    r"""Gradient descent on random quadratics, with learning rates below and above the limit.

    On a quadratic each axis $i$ of the curvature $\lambda_i$ is on its own, and a step multiplies its distance from the
    minimum by one number:

    $$w \leftarrow w - \eta \lambda_i w = (1 - \eta \lambda_i)\, w$$

    It shrinks where $|1 - \eta \lambda_i| < 1$, so where $\eta < 2 / \lambda_i$: the largest curvature decides. On the
    loss $\lambda \log \cosh w$ the curvature at the minimum is $\lambda$ too, but it falls with the distance: there the
    walk cannot run away.

    Args:
        steps: number of steps.
        seeds: number of random sets of curvatures.

    Try: `--steps 50`: then the verdict is false, since 50 steps are too few for the rates 0.5 and 2.05.

    Source: Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006.
    """
    rates = (*BELOW, *ABOVE)  # in units of 1 / the largest curvature
    rng = np.random.default_rng(0)
    curvatures = rng.uniform(0.1, 1.0, (seeds, DIMENSIONS))
    curvatures[:, 0] = 1.0
    # the walks of one surface are all seeds with all rates; a rate is a factor of the curvatures
    c = (np.array(rates)[:, None, None] * curvatures).reshape(-1, DIMENSIONS).astype("float32")
    start = np.tile(rng.uniform(0.5, 1.5, (seeds, DIMENSIONS)), (len(rates), 1))
    quadratic = _distances(surfaces.quadratic(c), start, steps, len(rates))
    bounded = _distances(lambda p: ops.sum(c * (p + ops.softplus(-2 * p)), axis=-1), start, steps, len(rates))
    final = [Measured.over(distance[-1]) for distance in quadratic]
    cycle = [Measured.over(distance[-1]) for distance in bounded]
    return Evidence(
        numbers={
            f"distance after {steps} steps, rate {rate}": number for rate, number in zip(rates, final, strict=True)
        }
        | {f"distance after {steps} steps on log cosh, rate {rates[-1]}": cycle[-1]},
        findings=(
            predicts(
                "with rates below 2 the distance ends below 1% of the start",
                all_of(*(number.below(0.01) for number in final[: len(BELOW)])),
                "it does not converge with all rates below 2 / the largest curvature",
            ),
            predicts(
                "with rates above 2 the distance ends above 100 times the start",
                all_of(*(number.above(100) for number in final[len(BELOW) :])),
                "it does not diverge with all rates above 2 / the largest curvature",
            ),
            limit(
                f"on log cosh with the rate {rates[-1]} the distance ends between 1% and 100 times the start",
                cycle[-1].within(0.01, 100),
                "the loss is quadratic (on log cosh a rate above the limit leads into a cycle around the minimum)",
            ),
        ),
        figure=_figure(rates, quadratic, final, cycle),
    )


def _distances(surface: Any, start: np.ndarray, steps: int, rates: int) -> np.ndarray:
    """Distances from the minimum in units of the first, of shape `(rates, steps + 1, seeds)`."""
    path = surfaces.Walk(surface, kf.optimizers.GradientDescent(1.0), start).path(steps).astype("float64")
    distance = np.sqrt(np.sum(path**2, -1))
    return np.stack(np.split(distance / distance[0], rates, axis=1))


def _figure(rates: tuple[float, ...], quadratic: np.ndarray, final: list[Measured], cycle: list[Measured]) -> Figure:
    shown = [rates.index(rate) for rate in (0.5, 1.5, 1.9, 2.05, 2.2)]
    return Figure(
        (
            Panel(
                "Gradient descent on a quadratic",
                "step",
                "distance from the minimum (first = 1)",
                {f"rate {rates[i]}": Series(range(len(quadratic[i])), quadratic[i].mean(-1)) for i in shown},
                log="y",
            ),
            Panel(
                "After the last step",
                "learning rate (1 / largest curvature)",
                "distance from the minimum (first = 1)",
                {
                    "quadratic": Series(rates, [number.mean for number in final]),
                    "log cosh": Series(rates, [number.mean for number in cycle]),
                },
                log="y",
                marks={"2 / largest curvature": 2.0},
            ),
        )
    )
