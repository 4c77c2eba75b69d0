"""The outputs of softmax as probabilities: are they right as often as they say?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..learner import Learner
from ..measured import Measured
from ..networks import dense_network
from ..panels import Panel, Series

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


BINS = 10
TEMPERATURES = 0.25, 20.0


@lab("Softmax gives probabilities", who="introductions")
def softmax_probabilities(
    *,
    noise: Annotated[float, Between(0.0, 0.9)] = 0.2,
    units: Annotated[int, Between(8, 1024)] = 128,
    samples: Annotated[int, Between(200, 5000)] = 4000,
    rows: Annotated[int, Between(50, 4000)] = 800,
    steps: Annotated[int, Between(1, 5000)] = 300,
    seeds: Seeds = 4,
) -> Evidence:
    r"""A network overfits MNIST-1D with wrong labels; its confidence is compared with how often it is right.

    Softmax makes positive numbers that sum to 1; that alone does not make them true. They are calibrated if, of the
    rows with confidence $p$, the share $p$ is right. The expected calibration error (ECE) is the mean distance between
    confidence and accuracy, over ten bins of the confidence. A temperature $T$ divides all logits; it is fitted to
    other rows, and leaves the largest class, so the accuracy, unchanged.

    Args:
        noise: share of labels that are replaced by random ones, in all splits.
        units: units of the hidden layer.
        samples: rows of MNIST-1D, a multiple of 10.
        rows: training rows.
        steps: steps of Adam.
        seeds: number of initial values.

    Try: `--steps 20`: stopped early, the network is less overconfident.

    Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.
    """
    train, test = kf.data.mnist1d.load(samples - samples % 10)
    rng = np.random.default_rng(0)
    train_y, test_y = (np.where(rng.random(len(y)) < noise, rng.integers(0, 10, len(y)), y) for y in (train.y, test.y))
    half = len(test_y) // 2
    learner = Learner(
        lambda: dense_network(train.x.shape[1], (units,), 10, kf.activations.relu, kf.initializers.HeNormal),
        kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        kf.optimizers.Adam(0.01),
    )
    names = ("largest |sum of the outputs - 1|", "accuracy", "temperature", "ECE", "ECE with temperature")
    results, curves = [], []
    for seed in range(seeds):
        learner.start(seed).learn(train.x[:rows], train_y[:rows], steps)
        logits = learner.predict(test.x)
        t = _temperature(logits[:half], test_y[:half])
        raw, scaled = (_calibration(logits[half:] / each, test_y[half:]) for each in (1.0, t))
        p = _probabilities(logits)
        accuracy = float(np.mean(logits[half:].argmax(-1) == test_y[half:]))
        results.append((float(np.max(np.abs(p.sum(axis=-1) - 1))), accuracy, t, raw[0], scaled[0]))
        curves.append((raw[1], scaled[1]))
    numbers = {name: Measured.over(values) for name, values in zip(names, zip(*results, strict=True), strict=True)}
    return Evidence(
        numbers=numbers,
        findings=(
            predicts("the outputs sum to 1", numbers[names[0]].below(1e-5), "the outputs do not sum to 1"),
            predicts(
                "with the temperature the calibration error is less than half",
                (numbers[names[4]] / numbers[names[3]]).below(0.5),
                "a temperature does not calibrate the outputs",
            ),
            limit(
                "without it confidence and accuracy differ by more than 10 points",
                numbers[names[3]].above(0.1),
                condition="the network is calibrated, for example by a temperature fitted to other rows",
            ),
        ),
        figure=Figure((_reliability(curves),)),
    )


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(kf.activations.softmax(logits)))


def _temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """The temperature with the smallest cross-entropy, out of a fine grid."""
    loss = kf.losses.SparseCategoricalCrossentropy(from_logits=True)
    grid = np.geomspace(*TEMPERATURES, 60)
    return float(grid[np.argmin([float(loss(y, (logits / t).astype("float32"))) for t in grid])])


def _calibration(logits: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The expected calibration error, and the accuracy in each bin of the confidence."""
    p = _probabilities(logits.astype("float32"))
    confidence, right = p.max(axis=-1), p.argmax(axis=-1) == y
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    error, accuracy = 0.0, np.full(BINS, np.nan)
    for b in np.unique(bins):
        inside = bins == b
        accuracy[b] = right[inside].mean()
        error += inside.mean() * abs(confidence[inside].mean() - accuracy[b])
    return float(error), accuracy


def _reliability(curves: list[tuple[np.ndarray, np.ndarray]]) -> Panel:
    middles = (np.arange(BINS) + 0.5) / BINS
    series = {"calibrated": Series([0.0, 1.0], [0.0, 1.0])}
    for name, runs in zip(
        ("without temperature", "with temperature"), np.moveaxis(np.array(curves), 1, 0), strict=True
    ):
        shown = ~np.isnan(runs).any(axis=0)
        series[name] = Series.mean(middles[shown].tolist(), runs[:, shown])
    return Panel("Confidence and accuracy", "confidence", "share of right rows", series)
