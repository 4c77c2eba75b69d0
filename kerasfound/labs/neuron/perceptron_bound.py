"""The number of mistakes of a perceptron, and its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


@lab("A perceptron makes at most (R / gamma)^2 mistakes", who="Novikoff, On Convergence Proofs on Perceptrons, 1962")
def perceptron_bound(
    *,
    margin: Annotated[float, Between(0.02, 0.1)] = 0.05,
    points: Annotated[int, Between(10, 200)] = 20,
    flipped: Annotated[int, Between(1, 5)] = 4,
    passes: Annotated[int, Between(2, 500)] = 10,
    seeds: Seeds = 8,
) -> Evidence:
    r"""A perceptron learns points that a line separates, with a small, a middle and a large margin.

    Each mistake adds $\pm (x, 1)$ to the weights $w$. It adds at least $\gamma$ to the part of $w$ along the separating
    plane, and at most $R^2$ to $|w|^2$. So after $m$ mistakes $m \gamma \le |w| \le \sqrt m\, R$, hence
    $m \le (R / \gamma)^2$, in any order of the points. $R$ is the length of the longest $(x, 1)$, $\gamma$ the smallest
    distance of an $(x, 1)$ from the plane.

    Args:
        margin: the smallest of three margins; the others are two and four times as large.
        points: the number of points.
        flipped: the number of points with a wrong label in the experiment without a separating line.
        passes: the largest number of passes over the points.
        seeds: number of lines and points.

    Try: `--margin 0.02`: the bound grows with 1 / gamma^2, the mistakes grow far less.

    Source: Novikoff, "On Convergence Proofs on Perceptrons", 1962.
    """
    perceptron = kf.layers.Perceptron()
    perceptron.steps_per_execution = points  # a pass in one compiled call
    margins = [margin, 2 * margin, 4 * margin]
    mistakes: list[list[float]] = []
    bounds: list[list[float]] = []
    for gamma in margins:
        tasks = [_separable(gamma, points, seed) for seed in range(seeds)]
        mistakes.append([float(sum(_mistakes(perceptron, x, t, passes, seed))) for seed, (x, t, _) in enumerate(tasks)])
        bounds.append([bound for _, _, bound in tasks])
    last_pass = []
    for seed in range(seeds):
        x, t, _ = _separable(margin, points, seed)
        t[:flipped] = 1 - t[:flipped]
        last_pass.append(_mistakes(perceptron, x, t, passes, seed)[-1])
    made, bound = [Measured.over(each) for each in mistakes], [Measured.over(each) for each in bounds]
    ratios = np.array(mistakes) / np.array(bounds)
    flipped_mistakes = Measured.over(last_pass)
    return Evidence(
        numbers={
            **{f"mistakes, margin {gamma:g}": number for gamma, number in zip(margins, made, strict=True)},
            **{f"bound, margin {gamma:g}": number for gamma, number in zip(margins, bound, strict=True)},
            "largest mistakes / bound": Measured.over(ratios.max(axis=0)),
            f"mistakes in pass {passes}, {flipped} labels flipped": flipped_mistakes,
        },
        findings=(
            predicts(
                "no run makes more mistakes than the bound", bool(ratios.max() <= 1), "some runs make more mistakes"
            ),
            limit(
                f"with {flipped} labels flipped it makes mistakes even in pass {passes}",
                flipped_mistakes.above(0),
                condition="a plane separates the classes",
            ),
        ),
        figure=Figure(
            (
                Panel(
                    "Mistakes and their bound",
                    "margin gamma",
                    "mistakes",
                    {"bound (R / gamma)^2": Series.of(margins, bound), "mistakes": Series.of(margins, made)},
                    log="xy",
                ),
            )
        ),
    )


def _separable(margin: float, points: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Points of a square that a random plane separates with a margin, their classes, and the bound of the mistakes."""
    rng = np.random.default_rng(seed)
    plane = np.append(rng.normal(size=2), rng.uniform(-0.3, 0.3))
    plane /= np.linalg.norm(plane)
    x = rng.uniform(-1, 1, (50 * points, 2))
    extended = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    chosen = extended[np.abs(extended @ plane) >= margin][:points]
    distance = chosen @ plane
    bound = np.max(np.sum(chosen**2, axis=1)) / np.min(np.abs(distance)) ** 2
    return chosen[:, :2].astype("float32"), (distance > 0).astype("float32"), float(bound)


def _mistakes(perceptron: keras.Model, x: np.ndarray, t: np.ndarray, passes: int, seed: int) -> list[float]:
    """The mistakes of each pass, from weights of 0 on."""
    keras.utils.set_random_seed(seed)
    if not perceptron.built:
        perceptron.build((None, x.shape[1]))
    for variable in perceptron.trainable_variables:
        variable.assign(keras.ops.zeros(variable.shape))
    mistakes: list[float] = perceptron.fit(x, t, epochs=passes, verbose=0).history["mistakes"]
    return mistakes
