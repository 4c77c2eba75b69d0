"""The noise of a mini-batch gradient, by the size of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import digits
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")

ROWS = 512
SMALL = (2, 8, 32)
LARGE = (256, 512)


@lab("The noise of a mini-batch gradient falls as one over the root of the batch size", who="introductions")
def gradient_noise(*, draws: Annotated[int, Between(10, 1000)] = 60, seeds: Seeds = 4) -> Evidence:
    r"""Gradients of random mini-batches of handwritten digits, compared with the gradient of all rows.

    The gradient of a batch is the mean of $B$ gradients of single rows. If these are drawn independently, with variance
    $\sigma^2$, the variance of their mean is $\sigma^2 / B$: four times the rows halve the noise. Mini-batches of an
    epoch are drawn without repetition from $N$ rows, so they are not independent:

    $$\mathrm{noise}(B) = \frac{\sigma}{\sqrt B} \sqrt{\frac{N - B}{N - 1}}$$

    The second root is about 1 for small batches and 0 for a batch of all rows.

    Args:
        draws: mini-batches of each size.
        seeds: number of initial values of the network.

    Try: `--draws 500`: the intervals become narrow, and the powers of the batch size stay.

    Source: Bottou, Curtis and Nocedal, "Optimization Methods for Large-Scale Machine Learning", 2018.
    """
    noise: dict[int, list[float]] = {size: [] for size in (*SMALL, *LARGE)}
    x, y, *_ = digits(0, ROWS)

    def build() -> keras.Model:
        hidden = kf.layers.Dense(16, activation=kf.activations.tanh)
        return keras.Sequential([keras.Input((64,)), hidden, kf.layers.Dense(10)])

    learner = Learner(
        build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.GradientDescent(0.1)
    )
    for seed in range(seeds):
        learner.start(seed)
        exact = _flat(learner.gradients(x, y))
        rng = np.random.default_rng(seed)
        for size in noise:
            batches = [rng.permutation(ROWS)[:size] for _ in range(draws if size < ROWS else 1)]
            errors = [np.sum((_flat(learner.gradients(x[rows], y[rows])) - exact) ** 2) for rows in batches]
            noise[size].append(float(np.sqrt(np.mean(errors) / np.sum(exact**2))))
    measured = {size: Measured.over(values) for size, values in noise.items()}
    logs = np.log([noise[size] for size in SMALL])
    power = Measured.over(np.polyfit(np.log(SMALL), logs, 1)[0])
    half = measured[LARGE[0]] / measured[SMALL[-1]]
    by_root = float(np.sqrt(SMALL[-1] / LARGE[0]))
    return Evidence(
        numbers={
            f"power of the batch size in the noise, {SMALL[0]} to {SMALL[-1]} rows": power,
            f"noise of {SMALL[0]} rows, in lengths of the gradient": measured[SMALL[0]],
            f"noise of {SMALL[-1]} rows, in lengths of the gradient": measured[SMALL[-1]],
            f"noise of {LARGE[0]} rows over that of {SMALL[-1]}; the root says {by_root:.3f}": half,
            f"noise of all {ROWS} rows, in lengths of the gradient": measured[ROWS],
        },
        findings=(
            predicts(
                "in small batches the power of the batch size is -1/2",
                power.within(-0.6, -0.4),
                "the noise falls with another power of the batch size",
            ),
            limit(
                "in a batch of half of the rows the noise is less than the root says",
                half.below(0.9 * by_root),
                "the batch is a small share of the rows (drawn without repetition, larger ones have less noise)",
            ),
        ),
        figure=_figure(measured),
    )


def _flat(gradients: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([gradient.ravel() for gradient in gradients])


def _figure(measured: dict[int, Measured]) -> Figure:
    sizes = [size for size in measured if size < ROWS]
    first = measured[SMALL[0]].mean
    root = [first * (SMALL[0] / size) ** 0.5 for size in sizes]
    kept = [((ROWS - size) / (ROWS - SMALL[0])) ** 0.5 for size in sizes]
    return Figure(
        (
            Panel(
                f"Noise of a batch gradient, {ROWS} rows",
                "rows in the batch",
                "noise (lengths of the whole gradient)",
                {
                    "measured": Series.of(sizes, [measured[size] for size in sizes]),
                    "1 / root of the batch size": Series(sizes, root),
                    "the same, drawn without repetition": Series(
                        sizes, [a * b for a, b in zip(root, kept, strict=True)]
                    ),
                },
                log="xy",
            ),
        )
    )
