"""Learning one task after another: what is left of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

TRAIN = 1200
STEPS_BETWEEN = 50
BATCH_SIZE = 32


@lab("A neural network learns like a person: what is new is added to what it knows", who="introductions")
def forgetting(
    *,
    kept: Annotated[int, Between(0, 600)] = 0,
    steps: Annotated[int, Between(50, 2000)] = 200,
    seeds: Seeds = 3,
) -> Evidence:
    r"""The digits 0 to 4 are learned first, then the digits 5 to 9, without the rows of the first task.

    A step of gradient descent on the loss $L_B$ of the second task lowers $L_B$. Nothing in it knows the loss $L_A$ of
    the first task, which rises where the two gradients disagree:

    $$\Delta L_A \approx -\eta\, \nabla L_A \cdot \nabla L_B$$

    The same network learns both tasks when their rows are mixed, so it is not too small.

    Args:
        kept: rows of the first task that are mixed with those of the second.
        steps: steps of Adam for each task.
        seeds: number of initial values.

    Try: `--kept 60`: a tenth of the old rows keeps most of the first task.

    Source: McCloskey and Cohen, "Catastrophic Interference in Connectionist Networks", 1989.
    """
    data = digits(0, TRAIN)
    is_a, test_a = data.y < 5, data.y_test < 5
    a, b = np.flatnonzero(is_a), np.flatnonzero(~is_a)
    second = np.concatenate([b, a[:kept]])
    learner = classifier(kf.optimizers.Adam(0.003))
    curves, both = [], []
    for seed in range(seeds):
        learner.start(seed)
        curve = []
        for rows in (a, second):
            for part in range(steps // STEPS_BETWEEN):
                learner.learn(data.x[rows], data.y[rows], STEPS_BETWEEN, BATCH_SIZE, seed=1000 * seed + part)
                curve.append([learner.accuracy(data.x_test[of], data.y_test[of]) for of in (test_a, ~test_a)])
        curves.append(curve)
        learner.start(seed).learn(data.x, data.y, 2 * steps, BATCH_SIZE, seed)
        both.append(learner.accuracy(data.x_test, data.y_test))
    on_a, on_b = np.moveaxis(np.array(curves), -1, 0)
    end_of_a = on_a.shape[1] // 2 - 1
    before, after = Measured.over(on_a[:, end_of_a]), Measured.over(on_a[:, -1])
    steps_taken = [STEPS_BETWEEN * part for part in range(1, on_a.shape[1] + 1)]
    return Evidence(
        numbers={
            "accuracy on task A after task A": before,
            "accuracy on task A after task B": after,
            "accuracy on task B after task B": Measured.over(on_b[:, -1]),
            "accuracy on both, rows mixed": Measured.over(both),
        },
        findings=(
            predicts(
                "after task B at least half of the accuracy on task A is left",
                (after / before).above(0.5),
                "a network that learns a new task without the old rows forgets the old task",
            ),
            predicts(
                "the network is large enough: with mixed rows it learns both tasks",
                Measured.over(both).above(0.8),
                "the network does not learn both tasks at once",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Task A (digits 0-4), then task B (digits 5-9)",
                    "steps of Adam",
                    "accuracy on test rows",
                    {"task A": Series.mean(steps_taken, on_a), "task B": Series.mean(steps_taken, on_b)},
                    marks={"task B begins": steps_taken[end_of_a]},
                ),
            )
        ),
    )
