"""Wrong labels: what they cost a network that fits them, and one that is stopped before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf

from ..digit_images import digits, with_wrong_labels
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier
from ..panels import Panel, Series

if TYPE_CHECKING:
    from ..learner import Learner

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)
MANY = 0.4


@lab("A network is only as good as its labels", who="introductions")
def label_noise(
    *,
    examples: Annotated[int, Between(50, 1200)] = 800,
    short: Annotated[int, Between(5, 200)] = 25,
    long: Annotated[int, Between(50, 5000)] = 400,
    seeds: Seeds = 3,
) -> Evidence:
    r"""Train on digits with wrong labels, chosen at random, until the network fits them, and for a short time only.

    If a share $p$ of the labels is wrong at random, the true class of an image is still the most frequent label among
    similar images, as long as $1 - p > p / 9$. A network that is stopped early predicts this class: it is better than
    its labels. One that is trained on learns the wrong labels by heart, and its test accuracy falls towards $1 - p$.

    Args:
        examples: the number of training images.
        short: steps of the short training.
        long: steps of the long training.
        seeds: number of initial values and choices of the labels.

    Try: `--long 50`: then it has no time to learn the wrong labels, and long training costs less.

    Source: Rolnick, Veit, Belongie and Shavit, "Deep Learning is Robust to Massive Label Noise", 2017.
    """
    learner = classifier(kf.optimizers.Adam(0.005), [256])
    both = [_accuracies(learner, share, examples, (short, long), seeds) for share in SHARES]
    early, late = [pair[0] for pair in both], [pair[1] for pair in both]
    at = SHARES.index(MANY)
    return Evidence(
        numbers={f"test accuracy, {share:.0%} wrong, {short} steps": n for share, n in zip(SHARES, early, strict=True)}
        | {f"test accuracy, {share:.0%} wrong, {long} steps": n for share, n in zip(SHARES, late, strict=True)},
        findings=(
            predicts(f"after {long} steps, {MANY:.0%} of wrong labels cost more than 0.1 of the test accuracy",
                     (late[0] - late[at]).above(0.1), "wrong labels cost little"),
            limit(f"after {short} steps the test accuracy with {MANY:.0%} wrong labels is more than 0.1 above the "
                  f"share of right labels, {1 - MANY:.1f}", early[at].above(1 - MANY + 0.1),
                  "it is trained long enough to learn wrong labels by heart, or they are wrong in a regular way"),
        ),
        figure=Figure((_panel(early, late, short, long),)),
    )  # fmt: skip


def _accuracies(
    learner: Learner, share: float, examples: int, steps: tuple[int, int], seeds: int
) -> tuple[Measured, Measured]:
    """The test accuracy after the short and after the long training."""
    early, late = [], []
    for seed in range(seeds):
        data = digits(seed, examples)
        y = with_wrong_labels(data.y, share, seed)
        learner.start(seed).learn(data.x, y, steps[0])
        early.append(learner.accuracy(data.x_test, data.y_test))
        learner.learn(data.x, y, steps[1] - steps[0])
        late.append(learner.accuracy(data.x_test, data.y_test))
    return Measured.over(early), Measured.over(late)


def _panel(early: list[Measured], late: list[Measured], short: int, long: int) -> Panel:
    series = {
        f"after {short} steps": Series.of(SHARES, early),
        f"after {long} steps": Series.of(SHARES, late),
        "share of right labels": Series(SHARES, [1 - share for share in SHARES]),
    }
    return Panel("Digits with wrong labels", "share of wrong labels", "test accuracy", series)
