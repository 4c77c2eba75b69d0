"""Weights and importance: the size of a weight depends on the unit of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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

TRUE_WEIGHTS = (2.0, 1.0)
ROWS = 500


@lab("The weights of a neuron tell how important its inputs are", who="introductions")
def weight_importance(
    *,
    scale: Annotated[float, Between(1.0, 100.0)] = 5.0,
    steps: Annotated[int, Between(100, 10000)] = 600,
    seeds: Seeds = 6,
) -> Evidence:
    r"""A neuron learns from two inputs, the first twice as important, then in another unit, then with a copy.

    If $x_1$ is measured in a unit that makes its numbers $s$ times as large, its weight becomes $w_1 / s$, and the
    function $w_1 x_1 + w_2 x_2 + b$ is the same. If $x_1$ is there three times, the copies share its weight.
    The importance is measured without the weights: the loss when the column is shuffled, minus the loss before.

    Args:
        scale: the factor of the numbers of the first input in the other unit.
        steps: steps of Adam.
        seeds: number of data sets and initial values.

    Try: `--scale 1`: with the same scale the larger weight is that of the more important input.

    Source: Breiman, "Random Forests", section 10, 2001 (the importance by shuffled columns).
    """
    tasks = [_rows(seed) for seed in range(seeds)]
    pair = _learner(2)
    plain = _train(pair, tasks, steps)
    unit = _train(pair, [(x * np.array([scale, 1], "float32"), y) for x, y in tasks], steps)
    copies = _train(_learner(4), [(x[:, [0, 1, 0, 0]], y) for x, y in tasks], steps)
    cases = {"same scale": plain, f"x1 in numbers {scale:g} times as large": unit, "x1 three times": copies}
    apart = Measured.over(np.abs(a - b).max() for a, b in zip(plain[2], unit[2], strict=True))
    return Evidence(
        numbers={
            **{f"|weight of x1| / |weight of x2|, {name}": case[0] for name, case in cases.items()},
            **{
                f"importance of x1 / importance of x2, {name}": case[1]
                for name, case in cases.items()
                if case is not copies
            },
            "largest difference of a predicted probability after the change of unit": apart,
        },
        findings=(
            predicts(
                "with the same scale the more important input has the larger weight",
                all_of(plain[0].above(1), plain[1].above(1)),
                "the larger weight is not that of the more important input",
            ),
            limit(
                "in another unit x1 has the smaller weight, but the predictions and the importance stay",
                all_of(unit[0].below(1), unit[1].above(1), apart.below(0.05)),
                condition="all inputs have the same scale",
            ),
            limit(
                "three copies of x1 share its weight, so that each has on average a smaller weight than x2",
                copies[0].below(1),
                condition="no input is nearly a copy of another",
            ),
        ),
        figure=_figure(cases),
    )


def _figure(cases: dict[str, tuple[Measured, Measured, list[np.ndarray]]]) -> Figure:
    return Figure(
        (
            Panel(
                "Weight of x1 / weight of x2",
                "inputs",
                "ratio of the weights",
                {"ratio": Series.of(["same scale", "other unit", "three times"], [case[0] for case in cases.values()])},
                kind="bars",
            ),
            Panel(
                "Importance of x1 / importance of x2",
                "inputs",
                "ratio of the importances",
                {"ratio": Series.of(["same scale", "other unit"], [case[1] for case in list(cases.values())[:2]])},
                kind="bars",
            ),
        )
    )


def _rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 2))
    y = rng.random(ROWS) < 1 / (1 + np.exp(-x @ TRUE_WEIGHTS))
    return x.astype("float32"), y[:, None].astype("float32")


def _learner(inputs: int) -> Learner:
    return Learner(
        lambda: dense_network(inputs, (), 1),
        kf.losses.BinaryCrossentropy(from_logits=True),
        kf.optimizers.Adam(0.05),
    )


def _train(
    learner: Learner, tasks: list[tuple[np.ndarray, np.ndarray]], steps: int
) -> tuple[Measured, Measured, list[np.ndarray]]:
    """The ratio of the weights of the first two inputs, the ratio of their importances, and the probabilities."""
    ratios, importances, probabilities = [], [], []
    for seed, (x, y) in enumerate(tasks):
        learner.start(seed).learn(x, y, steps)
        w1, w2, *copies = learner.model.get_weights()[0][:, 0]
        ratios.append(abs(np.mean([w1, *copies]) / w2))
        importances.append(_importance(learner, x, y, 0) / _importance(learner, x, y, 1))
        probabilities.append(1 / (1 + np.exp(-learner.predict(x))))
    return Measured.over(ratios), Measured.over(importances), probabilities


def _importance(learner: Learner, x: np.ndarray, y: np.ndarray, column: int) -> float:
    shuffled = x.copy()
    shuffled[:, column] = np.random.default_rng(0).permutation(x[:, column])
    return learner.loss_of(shuffled, y) - learner.loss_of(x, y)
