"""Momentum in a narrow valley: how often the weight crosses the minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np

    from . import surfaces
else:
    np, surfaces = _lazy.module("numpy"), _lazy.module("kerasfound.labs.optimizers.surfaces")

MOMENTA = (0.0, 0.5, 0.9, 0.99)
STEEP, FLAT = 0, 1
VISIBLE = 1e-3


@lab("Momentum reduces oscillation", who="introductions")
def momentum_oscillation(
    *,
    condition: Annotated[float, Between(10, 1000)] = 100.0,
    steps: Annotated[int, Between(50, 1000)] = 300,
    seeds: Seeds = 10,
) -> Evidence:
    r"""How often the weight changes its side of the minimum, in a valley with a steep and a flat axis.

    On an axis of the curvature $\lambda$ momentum is a recursion of two steps:

    $$w_{t+1} = (1 + \mu - \eta \lambda)\, w_t - \mu w_{t-1}$$

    Its solutions shrink as $\sqrt \mu^{\,t}$ where they oscillate. Plain gradient descent with a rate near
    $2 / \lambda$ jumps from side to side and shrinks slowly; a moderate $\mu$ dampens this. With $\mu$ near 1,
    $\sqrt \mu$ is near 1, and the weight swings for long, even along the flat axis, where plain descent never crosses
    the minimum. Crossings are counted while the distance is above 0.1% of the start.

    Args:
        condition: the steep curvature over the flat one.
        steps: number of steps.
        seeds: number of random learning rates between 1.8 and 1.95 / the steep curvature.

    Try: `--condition 10`: with the momentum 0.99 there are more crossings along the flat axis.

    Source: Goh, "Why Momentum Really Works", Distill, 2017.
    """
    rates = np.random.default_rng(0).uniform(1.8, 1.95, seeds)
    surface = surfaces.quadratic(rates[:, None] * np.array([1.0, 1.0 / condition]))
    paths = [
        surfaces.Walk(surface, kf.optimizers.Momentum(1.0, momentum), np.ones((seeds, 2))).path(steps)
        for momentum in MOMENTA
    ]
    crossings = [_crossings(path) for path in paths]
    steep = [Measured.over(count[:, STEEP]) for count in crossings]
    flat = [Measured.over(count[:, FLAT]) for count in crossings]
    left = [Measured.over(np.abs(path[-20:, :, FLAT]).max(0)) for path in paths]
    return Evidence(
        numbers={f"crossings, steep axis, momentum {m}": n for m, n in zip(MOMENTA, steep, strict=True)}
        | {f"crossings, flat axis, momentum {m}": n for m, n in zip(MOMENTA, flat, strict=True)}
        | {f"distance left on the flat axis, momentum {m}": n for m, n in zip(MOMENTA, left, strict=True)},
        findings=(
            predicts(
                "the momentum 0.5 crosses the minimum less often than none",
                steep[1].below(steep[0]),
                "a moderate momentum does not cross the minimum less often than none",
            ),
            limit(
                "the momentum 0.99 crosses it more often than none, on both axes",
                all_of(steep[3].above(steep[0]), flat[3].above(flat[0])),
                "the momentum is moderate (with 0.99 the weight swings around the minimum for long)",
            ),
        ),
        figure=Figure(
            (
                _path_panel("Steep axis", paths, STEEP, 40),
                _path_panel("Flat axis", paths, FLAT, steps),
                Panel(
                    "Crossings of the minimum",
                    "momentum",
                    f"crossings in {steps} steps",
                    {
                        "steep axis": Series.of([str(m) for m in MOMENTA], steep),
                        "flat axis": Series.of([str(m) for m in MOMENTA], flat),
                    },
                    kind="bars",
                ),
            )
        ),
    )


def _crossings(path: np.ndarray) -> np.ndarray:
    """How often each coordinate of each walk changes its sign, `(walks, dimensions)`, while it is visible."""
    visible = np.maximum(np.abs(path[1:]), np.abs(path[:-1])) > VISIBLE * np.abs(path[0])
    return np.sum((np.sign(path[1:]) * np.sign(path[:-1]) < 0) & visible, axis=0)


def _path_panel(title: str, paths: list[np.ndarray], axis: int, steps: int) -> Panel:
    shown = {f"momentum {m}": path[: steps + 1, 0, axis] for m, path in zip(MOMENTA, paths, strict=True)}
    series = {name: Series(range(len(y)), y) for name, y in shown.items()}
    return Panel(title, "step", "distance from the minimum (first = 1)", series)
