"""Training on after the test error is smallest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits, with_wrong_labels
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured, all_of
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

TESTS = 20
"""How often the test accuracy is measured during training."""


@lab("A network should not be trained until its training loss is smallest", who="introductions; Prechelt, 1998")
def early_stopping(
    *,
    wrong: Annotated[float, Between(0, 0.8)] = 0.3,
    examples: Annotated[int, Between(50, 1200)] = 400,
    steps: Annotated[int, Between(20, 5000)] = 400,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Train on digits, with a share of wrong labels and with none, and watch the loss and the test accuracy.

    What most images have in common is learned first; the accidents of single images, such as a wrong label, are learned
    later. So the test accuracy rises and then falls while the training loss still goes down. Early stopping keeps the
    weights from the best moment, found with validation images. Without wrong labels there is little to unlearn.

    Args:
        wrong: the share of wrong labels.
        examples: the number of training images.
        steps: steps of Adam with all images.
        seeds: number of initial values and choices of the images.

    Try: `--wrong 0.6`: the fall after the best moment is larger.

    Source: Prechelt, "Early Stopping - But When?", 1998.
    """
    runs = {share: _train(share, examples, steps, seeds) for share in (wrong, 0.0)}
    best = {share: Measured.over(accuracy.max() for _, accuracy in run) for share, run in runs.items()}
    last = {share: Measured.over(accuracy[-1] for _, accuracy in run) for share, run in runs.items()}
    fall = {share: best[share] - last[share] for share in runs}
    loss_falls = Measured.over(loss[-1] - loss[accuracy.argmax()] for loss, accuracy in runs[wrong]).below(0.0)
    names = {wrong: f"{wrong:.0%} wrong labels", 0.0: "no wrong labels"}
    return Evidence(
        numbers={f"best test accuracy, {names[share]}": best[share] for share in runs}
        | {f"last test accuracy, {names[share]}": last[share] for share in runs},
        findings=(
            predicts("with wrong labels the test accuracy falls by more than 0.05 from its best moment to the end, "
                     "while the training loss falls", all_of(fall[wrong].above(0.05), loss_falls),
                     "training until the loss is smallest does no harm"),
            limit("without wrong labels it falls by less than 0.02", fall[0.0].below(0.02),
                  "the training data has errors or accidents that the network can learn by heart"),
        ),
        figure=Figure((_panel("Test images", "test accuracy", runs, names, 1, steps),
                       _panel("Training images", "training loss (cross-entropy)", runs, names, 0, steps))),
    )  # fmt: skip


Run = list[tuple["np.ndarray", "np.ndarray"]]
"""For each seed: the training loss and the test accuracy in the course of training."""


def _train(wrong: float, examples: int, steps: int, seeds: int) -> Run:
    learner = classifier(kf.optimizers.Adam(0.005), [256])
    runs = []
    for seed in range(seeds):
        data = digits(seed, examples)
        y = with_wrong_labels(data.y, wrong, seed)
        learner.start(seed)
        losses, accuracies = [], []
        for _ in range(TESTS):
            losses.append(learner.learn(data.x, y, max(steps // TESTS, 1))[-1])
            accuracies.append(learner.accuracy(data.x_test, data.y_test))
        runs.append((np.array(losses), np.array(accuracies)))
    return runs


def _panel(title: str, y: str, runs: dict[float, Run], names: dict[float, str], which: int, steps: int) -> Panel:
    x = np.linspace(steps / TESTS, steps, TESTS)
    series = {names[share]: Series.mean(x.tolist(), [pair[which] for pair in run]) for share, run in runs.items()}
    return Panel(title, "step", y, series)
