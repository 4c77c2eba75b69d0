"""A rule that is found long after the training rows are known by heart."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, NamedTuple

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

TESTS = 60
"""How often the accuracies are measured during training."""
KNOWN, UNKNOWN, FOUND = 0.99, 0.1, 0.7
"""Accuracies: known by heart, a rule not found, a rule found."""


@lab("A network can find the rule long after it knows its training rows by heart", who="Power et al., 2022")
def grokking(
    *,
    modulus: Annotated[int, Between(11, 97)] = 31,
    train_share: Annotated[float, Between(0.1, 0.9)] = 0.6,
    decay: Annotated[float, Between(0.001, 10)] = 1.0,
    steps: Annotated[int, Between(TESTS, 30_000)] = 3000,
    seeds: Seeds = 3,
) -> Evidence:
    r"""Learn $a + b \bmod p$ from a part of all pairs, and measure the accuracy on the other pairs in training.

    The inputs are one-hot: nothing in them says that 3 is beside 4. A table of the training pairs fits them and is
    wrong on every other pair. A rule of a few waves, $\cos(2 \pi k a / p)$, fits all pairs with smaller weights. Weight
    decay multiplies the weights by $1 - \eta \lambda$ in each step. It keeps changing a network whose loss is already
    near zero, towards the solution with the smaller weights.

    Args:
        modulus: $p$; there are $p^2$ pairs.
        train_share: the share of the pairs to train with.
        decay: $\lambda$, the weight decay of AdamW.
        steps: steps of AdamW with all training pairs.
        seeds: number of initial values and choices of the pairs.

    Try: `--train-share 0.3`: with fewer pairs the rule is not found within these steps.

    Source: Power, Burda, Edwards, Babuschkin and Misra, "Grokking: Generalization Beyond Overfitting on Small
    Algorithmic Datasets", 2022; Nanda et al., "Progress measures for grokking via mechanistic interpretability", 2023.
    """
    with_decay, without = (_train(modulus, train_share, value, steps, seeds) for value in (decay, 0.0))
    known = [_steps_until(KNOWN, run.train, steps) for run in with_decay]
    found = [_steps_until(FOUND, run.test, steps) for run in with_decay]
    early = Measured.over(np.interp(step, _steps(steps), run.test) for step, run in zip(known, with_decay, strict=True))
    late, never = (Measured.over(run.test[-1] for run in runs) for runs in (with_decay, without))
    return Evidence(
        numbers={
            f"steps until the train accuracy is {KNOWN}": Measured.over(known),
            f"steps until the test accuracy is {FOUND}": Measured.over(found),
            "test accuracy when the training pairs are known": early,
            f"test accuracy after {steps:,} steps": late,
            f"test accuracy after {steps:,} steps, without weight decay": never,
        },
        findings=(
            predicts(f"when the training pairs are known by heart the test accuracy is below {UNKNOWN}",
                     early.below(UNKNOWN), "the rule is found together with the training pairs"),
            predicts(f"after {steps:,} steps it is above {FOUND}", late.above(FOUND),
                     f"the rule is not found within {steps:,} steps"),
            limit(f"without weight decay it is below {UNKNOWN} after as many steps", never.below(UNKNOWN),
                  "something makes the weights smaller: without weight decay the rule is not found"),
        ),
        figure=Figure((_panel("With weight decay", with_decay, steps), _panel("Without weight decay", without, steps))),
    )  # fmt: skip


class Run(NamedTuple):
    """Accuracies in the course of training."""

    train: np.ndarray
    test: np.ndarray


def _train(modulus: int, train_share: float, decay: float, steps: int, seeds: int) -> list[Run]:
    a, b = np.divmod(np.arange(modulus**2), modulus)
    numbers = np.eye(modulus, dtype="float32")
    x, y = np.concatenate([numbers[a], numbers[b]], axis=1), ((a + b) % modulus).astype("int32")
    learner = classifier(kf.optimizers.AdamW(0.02, weight_decay=decay), [128], 2 * modulus, modulus)
    found = []
    for seed in range(seeds):
        train, test = np.split(np.random.default_rng(seed).permutation(len(x)), [round(train_share * len(x))])
        accuracies = functools.partial(_accuracies, learner.start(seed), [(x[rows], y[rows]) for rows in (train, test)])
        found.append(Run(*np.array(learner.learn_in_parts(x[train], y[train], steps, TESTS, accuracies)).T))
    return found


def _accuracies(learner: Learner, splits: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    return [learner.accuracy(x, y) for x, y in splits]


def _steps(steps: int) -> np.ndarray:
    """The steps after which the accuracies are measured."""
    return (np.arange(TESTS) + 1) * (steps // TESTS)


def _steps_until(least: float, accuracies: np.ndarray, steps: int) -> float:
    """The first step after which the accuracy is at least `least`; infinite if there is none."""
    reached = _steps(steps)[accuracies >= least]
    return float(reached[0]) if len(reached) else np.inf


def _panel(title: str, runs: list[Run], steps: int) -> Panel:
    x = _steps(steps).tolist()
    series = {
        "training pairs": Series.mean(x, [run.train for run in runs]),
        "new pairs": Series.mean(x, [run.test for run in runs]),
    }
    return Panel(title, "step", "accuracy", series, log="x")
