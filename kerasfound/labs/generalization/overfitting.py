"""Overfitting and five cures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits, with_wrong_labels
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

MORE = 1200
"""The number of training images with more data; all cures get arrays of this length."""


class Setting(NamedTuple):
    """A way to train; the defaults overfit."""

    units: int = 256
    decay: float = 0.0
    dropout: float = 0.0
    share: float = 1.0
    examples: int = 300


@lab(
    "Less capacity, weight decay, dropout, early stopping and more data each help against overfitting",
    who="introductions",
)
def overfitting(
    *,
    wrong: Annotated[float, Between(0, 0.8)] = 0.3,
    steps: Annotated[int, Between(40, 5000)] = 400,
    seeds: Seeds = 6,
) -> Evidence:
    r"""Train a network that learns 300 images with wrong labels by heart, and try each cure alone.

    A network overfits if it is much better on its training images than on new ones. A cure must do more than make this
    gap smaller, which a network that learns nothing does too: it must raise the accuracy on new images. Weight decay
    keeps the weights small, dropout sets random units to zero, early stopping ends before the accidents are learned.

    Args:
        wrong: the share of wrong labels.
        steps: steps of Adam with 100 images each; early stopping takes a tenth of them.
        seeds: number of initial values and choices of the images.

    Try: `--wrong 0`: with true labels there is little to cure, and most cures gain nothing.

    Source: Srivastava et al., "Dropout", 2014; Krogh and Hertz, "A Simple Weight Decay Can Improve Generalization",
    1991.
    """
    cures = {
        "less capacity": Setting(units=12),
        "weight decay": Setting(decay=0.5),
        "dropout": Setting(dropout=0.7),
        "early stopping": Setting(share=0.1),
        "more data": Setting(examples=MORE),
    }
    runs = {name: _train(setting, wrong, steps, seeds) for name, setting in ({"no cure": Setting()} | cures).items()}
    train = {name: Measured.over(pair[0] for pair in run) for name, run in runs.items()}
    test = {name: Measured.over(pair[1] for pair in run) for name, run in runs.items()}
    return Evidence(
        numbers={f"train accuracy, {name}": number for name, number in train.items()}
        | {f"test accuracy, {name}": number for name, number in test.items()},
        findings=(
            predicts("without a cure the train accuracy is more than 0.1 above the test accuracy",
                     (train["no cure"] - test["no cure"]).above(0.1), "the network does not overfit"),
            *(predicts(f"{name} raises the test accuracy", test[name].above(test["no cure"]),
                       f"{name} does not raise the test accuracy") for name in cures),
        ),
        figure=Figure((_panel(train, test, wrong),)),
    )  # fmt: skip


def _train(setting: Setting, wrong: float, steps: int, seeds: int) -> list[tuple[float, float]]:
    """The train and the test accuracy of each seed."""
    optimizer = kf.optimizers.AdamW(0.005, weight_decay=setting.decay)
    learner = classifier(optimizer, [setting.units], dropout=setting.dropout)
    found = []
    for seed in range(seeds):
        data = digits(seed, MORE)
        y = with_wrong_labels(data.y, wrong, seed)
        rows = np.arange(MORE) % setting.examples
        learner.start(seed).learn(data.x[rows], y[rows], round(setting.share * steps), 100, seed)
        found.append((learner.accuracy(data.x[rows], y[rows]), learner.accuracy(data.x_test, data.y_test)))
    return found


def _panel(train: dict[str, Measured], test: dict[str, Measured], wrong: float) -> Panel:
    names = [name.replace(" ", "\n") for name in train]
    series = {
        "training images": Series.of(names, list(train.values())),
        "new images": Series.of(names, list(test.values())),
    }
    return Panel(f"Digits, {wrong:.0%} wrong labels", "cure", "accuracy", series, kind="bars")
