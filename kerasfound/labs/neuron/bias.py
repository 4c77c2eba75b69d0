"""The bias: it moves the border away from the origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured, all_of
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")

ROWS = 200
SPREAD = 0.3


@lab("A neuron needs a bias, which shifts its border", who="introductions")
def bias(
    *,
    shift: Annotated[float, Between(0.0, 10.0)] = 2.0,
    steps: Annotated[int, Between(1, 5000)] = 200,
    seeds: Seeds = 5,
) -> Evidence:
    r"""A neuron with and without a bias separates two clouds of points that lie on the same side of the origin.

    The border $w \cdot x + b = 0$ is a line at the distance $|b| / |w|$ from the origin. With $b = 0$ it passes through
    the origin, and two clouds in the same direction are on the same side of it. If the mean of the inputs is
    subtracted, the clouds lie on opposite sides, and no bias is needed.

    Args:
        shift: the distance of the middle of the clouds from the origin; the clouds are at 1 before and after it.
        steps: steps of Adam.
        seeds: number of data sets and initial values.

    Try: `--shift 0`: then the inputs are centered already, and the bias changes nothing.

    Source: Bishop, "Pattern Recognition and Machine Learning", section 4.1.1, 2006.
    """
    tasks = [_clouds(shift, seed) for seed in range(seeds)]
    centered = [(x - x.mean(axis=0), y) for x, y in tasks]
    with_bias, distances = _train(tasks, True, steps)
    without, _ = _train(tasks, False, steps)
    without_centered, _ = _train(centered, False, steps)
    return Evidence(
        numbers={
            "accuracy with bias": with_bias,
            "accuracy without bias": without,
            "accuracy without bias, centered inputs": without_centered,
            "distance of the border from the origin, with bias": distances,
        },
        findings=(
            predicts(
                "with a bias the neuron separates the clouds, without it not",
                all_of(with_bias.above(0.95), without.below(0.95)),
                "the bias makes no difference",
            ),
            predicts(
                "the border with a bias lies between the clouds, away from the origin",
                distances.within(shift - 0.5, shift + 0.5),
                "the border does not lie between the clouds",
            ),
            limit(
                "on centered inputs a neuron without a bias separates the clouds",
                without_centered.above(0.95),
                condition="the inputs are not centered, so that the border has to lie away from the origin",
            ),
        ),
        figure=Figure(
            (
                _picture(*tasks[0]),
                Panel(
                    "Accuracy",
                    "neuron",
                    "share of right points",
                    {
                        "accuracy": Series.of(
                            ["with bias", "without", "without,\ncentered inputs"],
                            [with_bias, without, without_centered],
                        )
                    },
                    kind="bars",
                ),
            )
        ),
    )


def _clouds(shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi)
    y = np.arange(ROWS) % 2
    x = (shift + 2 * y - 1)[:, None] * [np.cos(angle), np.sin(angle)] + rng.normal(0, SPREAD, (ROWS, 2))
    return x.astype("float32"), y[:, None].astype("float32")


def _train(tasks: list[tuple[np.ndarray, np.ndarray]], use_bias: bool, steps: int) -> tuple[Measured, Measured]:
    """The accuracy, and the distance of the border from the origin."""
    learner = Learner(
        lambda: keras.Sequential([keras.Input((2,)), kf.layers.Dense(1, use_bias=use_bias)]),
        kf.losses.BinaryCrossentropy(from_logits=True),
        kf.optimizers.Adam(0.1),
    )
    accuracies, distances = [], []
    for seed, (x, y) in enumerate(tasks):
        learner.start(seed).learn(x, y, steps)
        accuracies.append(learner.accuracy(x, y))
        w, *b = learner.model.get_weights()
        distances.append(float(np.abs(b[0][0]) / np.linalg.norm(w)) if b else 0.0)
    return Measured.over(accuracies), Measured.over(distances)


def _picture(x: np.ndarray, y: np.ndarray) -> Panel:
    classes = {f"class {c}": Series(x[y[:, 0] == c, 0].tolist(), x[y[:, 0] == c, 1].tolist()) for c in (0, 1)}
    return Panel("The clouds of the first seed", "x1", "x2", {**classes, "origin": Series([0], [0])}, kind="points")
