"""Outliers: the absolute error resists them in the targets, not in the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..networks import dense_network
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")


ROWS = 100
SLOPE = 1.0
NOISE = 0.1


@lab("The absolute error is robust to outliers", who="introductions")
def outliers(
    *,
    share: Annotated[float, Between(0.0, 0.4)] = 0.1,
    distance: Annotated[float, Between(1.0, 100.0)] = 10.0,
    steps: Annotated[int, Between(100, 20000)] = 1500,
    seeds: Seeds = 6,
) -> Evidence:
    r"""A line is fitted by the squared error, the absolute error and Huber's loss to rows with outliers.

    The gradient of the squared error grows with the error, so a few wrong targets pull the line. That of the absolute
    error is $\pm x$: a wrong target pulls no more than a right one. But a row with a wrong, far input pulls with its
    $x$: at the distance 10 it has ten times the force, and the line turns to it (a "leverage point").

    Args:
        share: share of rows that are outliers.
        distance: how far the target, or the input, of an outlier is off.
        steps: steps of Adam, with a rate that falls to 0.
        seeds: number of data sets.

    Try: `--share 0.4`: then the outliers move the line of the absolute error, too.

    Source: Rousseeuw and Leroy, "Robust Regression and Outlier Detection", chapter 1, 1987.
    """
    losses: dict[str, Any] = {
        "squared error": kf.losses.MeanSquaredError(),
        "absolute error": kf.losses.MeanAbsoluteError(),
        "Huber, delta 0.5": kf.losses.Huber(delta=0.5),
    }
    places = {"no outliers": (0.0, 0.0), "outliers in y": (0.0, distance), "outliers in x": (distance, 0.0)}
    errors = {}
    for name, loss in losses.items():
        optimizer = kf.optimizers.Adam(kf.schedules.CosineDecay(0.05, steps))
        learner = Learner(lambda: dense_network(1, (), 1), loss, optimizer)
        for place, shift in places.items():
            errors[name, place] = Measured.over(_slope_error(learner, share, shift, steps, s) for s in range(seeds))
    mse, mae = ({place: errors[name, place] for place in places} for name in ("squared error", "absolute error"))
    return Evidence(
        numbers={f"|error of the slope|, {name}, {place}": number for (name, place), number in errors.items()},
        findings=(
            predicts(
                "with outliers in the targets the slope of the absolute error is right within 0.2, the other one not",
                all_of(mae["outliers in y"].below(0.2), mse["outliers in y"].above(0.2)),
                "outliers in the targets change the slope of the absolute error as well",
            ),
            limit(
                "with outliers in the inputs the absolute error loses more than half of the slope",
                mae["outliers in x"].above(SLOPE / 2),
                condition="the outliers are in the targets, not in the inputs",
            ),
        ),
        figure=Figure(
            (
                _picture(share, distance),
                Panel(
                    "Error of the slope (true slope 1)",
                    "data",
                    "|slope - 1|",
                    {name: Series.of([*places], [errors[name, place] for place in places]) for name in losses},
                    kind="bars",
                ),
            )
        ),
    )


def _rows(share: float, shift: tuple[float, float], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points near the line y = x; the outliers are the rows with the largest x, shifted right or down."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, ROWS))
    y = SLOPE * x + rng.normal(0, NOISE, ROWS)
    count = round(share * ROWS)
    if count:
        x[-count:] += shift[0]
        y[-count:] -= shift[1]
    return x[:, None].astype("float32"), y[:, None].astype("float32")


def _slope_error(learner: Learner, share: float, shift: tuple[float, float], steps: int, seed: int) -> float:
    x, y = _rows(share, shift, seed)
    learner.start(seed).learn(x, y, steps)
    return float(abs(learner.model.get_weights()[0][0, 0] - SLOPE))


def _picture(share: float, distance: float) -> Panel:
    series = {}
    for name, shift in (("in the targets", (0.0, distance)), ("in the inputs", (distance, 0.0))):
        x, y = _rows(share, shift, 0)
        series[f"outliers {name}"] = Series(x[:, 0].tolist(), y[:, 0].tolist())
    return Panel("The rows of the first seed", "x", "y", series, kind="points")
