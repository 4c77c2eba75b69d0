"""The test error by the width of a model, up to far more features than examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..digit_images import Digits, digits
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")

SMALL = 1e-9
"""Singular values below this share of the largest one count as zero."""


@lab(
    "The test error is largest where a model has as many features as examples, and falls again with more features",
    who="Belkin et al., 2019",
)
def double_descent(
    *,
    examples: Annotated[int, Between(50, 1000)] = 300,
    decay: Annotated[float, Between(0.0001, 1000)] = 10.0,
    seeds: Seeds = 5,
) -> Evidence:
    r"""Least squares on random ReLU features of the digits, by the number of features.

    The features $\Phi = \max(X W, 0)$ have random $W$; only the last weights $v$ are fitted. With as many features as
    examples there is one $v$ with $\Phi v = y$, and it must fit every accident of the examples: it is huge. With more
    features there are many, and of these the shortest, $v = \Phi^\top (\Phi \Phi^\top)^{-1} y$, gets shorter with each
    further feature. Weight decay, $v = (\Phi^\top \Phi + \lambda I)^{-1} \Phi^\top y$, keeps $v$ short at every width.

    Args:
        examples: the number of training images.
        decay: the $\lambda$ of weight decay.
        seeds: number of random features and of choices of the images.

    Try: `--decay 0.001`: too small to remove the peak.

    Source: Belkin, Hsu, Ma and Mandal, "Reconciling modern machine-learning practice and the classical bias-variance
    trade-off", 2019.
    """
    widths = [round(examples * share) for share in (1 / 15, 1 / 6, 1 / 3, 2 / 3, 1, 4 / 3, 3, 10, 20)]
    runs = [_errors(digits(seed, examples), widths, decay, seed) for seed in range(seeds)]
    plain = [Measured.over(run[0][i] for run in runs) for i in range(len(widths))]
    decayed = [Measured.over(run[1][i] for run in runs) for i in range(len(widths))]
    peak = widths.index(examples)
    before = min(plain[:peak], key=lambda error: error.mean)
    return Evidence(
        numbers={f"test error, {n:,} features": error for n, error in zip(widths, plain, strict=True)}
        | {f"test error with weight decay, {examples} features": decayed[peak]},
        findings=(
            predicts("the error with as many features as examples is larger than the smallest with fewer",
                     plain[peak].above(before), "there is no peak"),
            predicts("with 20 times as many features as examples it is smaller than with any fewer than the examples",
                     plain[-1].below(before), "with many features the error does not fall below that of few"),
            limit("with weight decay there is no peak", decayed[peak].below(before), "nothing else keeps the weights "
                  "small: with weight decay there is no peak"),
        ),
        figure=Figure((_panel(widths, plain, decayed, examples, decay),)),
    )  # fmt: skip


def _errors(data: Digits, widths: list[int], decay: float, seed: int) -> tuple[list[float], list[float]]:
    """The test errors of the shortest exact fit and of the fit with weight decay, for each width."""
    keras.utils.set_random_seed(seed)
    targets = np.eye(10)[data.y] - 0.1
    plain: list[float] = []
    decayed: list[float] = []
    for width in widths:
        layer = kf.layers.Dense(
            width, activation=kf.activations.relu, kernel_initializer=kf.initializers.HeNormal(), use_bias=False
        )
        train, test = (ops.convert_to_numpy(layer(x)).astype("float64") for x in (data.x, data.x_test))
        # with fewer features than examples the matrix of the features is the smaller one, else that of the examples
        tall = width <= len(train)
        gram = train.T @ train if tall else train @ train.T
        values, vectors = np.linalg.eigh(gram)
        right = train.T @ targets if tall else targets
        for errors, shift in ((plain, 0.0), (decayed, decay)):
            keep = values > SMALL * values[-1]
            inverse = np.where(keep, 1 / np.where(keep, values + shift, 1.0), 0.0)
            v = vectors @ (inverse[:, None] * (vectors.T @ right))
            outputs = test @ (v if tall else train.T @ v)
            errors.append(float(np.mean(outputs.argmax(1) != data.y_test)))
    return plain, decayed


def _panel(widths: list[int], plain: list[Measured], decayed: list[Measured], examples: int, decay: float) -> Panel:
    series = {"least squares": Series.of(widths, plain), f"weight decay {decay:g}": Series.of(widths, decayed)}
    marks = {"features = examples": float(examples)}
    return Panel(f"Digits, {examples} examples", "random ReLU features", "test error", series, log="x", marks=marks)
