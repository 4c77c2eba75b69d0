"""Proper scores: those that are smallest for the true probability."""

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
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


GRID = 199


@lab("A better score means better probabilities", who="introductions")
def proper_scores(
    *,
    probability: Annotated[float, Between(0.55, 0.95)] = 0.7,
    rows: Annotated[int, Between(100, 100000)] = 3000,
    seeds: Seeds = 10,
) -> Evidence:
    r"""Rows are positive with a known probability; a score chooses the best of all constant predictions.

    A score is proper if its expected value is best at the true probability $p$. For cross-entropy it is
    $-p \ln q - (1 - p) \ln (1 - q)$, for the Brier score (the squared error) $p (1 - q)^2 + (1 - p) q^2$; the slope of
    both is 0 at $q = p$. Accuracy is the same for each $q$ above 1/2. The absolute error $p (1 - q) + (1 - p) q$ is
    a line in $q$: it is smallest at 1, and rewards a false certainty.

    Args:
        probability: the true probability.
        rows: rows of a data set.
        seeds: number of data sets.

    Try: `--rows 100`: the best prediction is the share of positive rows, which spreads around the probability.

    Source: Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", 2007.
    """
    q = np.linspace(0, 1, GRID + 2)[1:-1]
    names = ("cross-entropy", "Brier score", "absolute error", "share of errors")
    curves: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for seed in range(seeds):
        positive = float(np.mean(np.random.default_rng(seed).random(rows) < probability))
        for name, score in zip(names, _scores(q), strict=True):
            curves[name].append(positive * score[1] + (1 - positive) * score[0])
    best = {name: Measured.over(q[np.argmin(score)] for score in curves[name]) for name in names[:3]}
    spread = Measured.over(np.ptp(score[q > 0.51]) for score in curves["share of errors"])
    tolerance = 0.02
    return Evidence(
        numbers={
            **{f"best prediction by {name}": number for name, number in best.items()},
            "range of the share of errors for predictions above 0.51": spread,
        },
        findings=(
            predicts(
                f"by cross-entropy and by the Brier score the best prediction is {probability:g}, within {tolerance:g}",
                all_of(*(best[name].within(probability - tolerance, probability + tolerance) for name in names[:2])),
                "cross-entropy or the Brier score prefers a wrong probability",
            ),
            limit(
                "all predictions above 1/2 have the same accuracy, and the absolute error prefers 0.97 or more",
                all_of(max(spread.values) == 0, best["absolute error"].above(0.97)),
                condition="the score is proper, such as cross-entropy and the Brier score; accuracy and the absolute "
                "error are not",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    f"Scores of a constant prediction, true probability {probability:g}",
                    "predicted probability q",
                    "mean score (smaller is better)",
                    {name: Series.mean(q[::4].tolist(), np.array(runs)[:, ::4]) for name, runs in curves.items()},
                    marks={"truth": probability},
                ),
            )
        ),
    )


def _scores(q: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each score of the predictions `q` on a negative and on a positive row."""
    column = q[:, None].astype("float32")
    losses = [
        loss(reduction=None)
        for loss in (kf.losses.BinaryCrossentropy, kf.losses.MeanSquaredError, kf.losses.MeanAbsoluteError)
    ]
    scores = [
        tuple(np.asarray(keras.ops.convert_to_numpy(loss(np.full_like(column, y), column))) for y in (0, 1))
        for loss in losses
    ]
    errors = tuple(((q > 0.5) != y).astype(float) for y in (0, 1))
    return [*scores, errors]
