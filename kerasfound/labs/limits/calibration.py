"""Softmax outputs as probabilities: how often the network is right when it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf
from kerasfound import _lazy

from ..classifier import dense_classifier, probabilities
from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np
else:
    np = _lazy.module("numpy")

BINS = 10
VALIDATION = 1000


@lab("The outputs of a softmax are the probabilities of the classes", who="introductions")
def calibration(
    *,
    steps: Annotated[int, Between(10, 10_000)] = 1500,
    seeds: Seeds = 4,
) -> Evidence:
    r"""The confidence of a network on MNIST-1D beside its accuracy, before and after one number is fitted.

    The outputs of a softmax are positive and sum to 1. They are probabilities only if, among the rows with a confidence
    of 80%, 80% are right. The expected calibration error is the mean gap over bins $b$ of confidence:

    $$\mathrm{ECE} = \sum_b \frac{n_b}{n}\, |\mathrm{accuracy}_b - \mathrm{confidence}_b|$$

    A network that has learned its training rows by heart makes its logits $z$ ever larger, so it is too confident. A
    temperature $T$ with the smallest cross-entropy on other rows divides them: $p = \mathrm{softmax}(z / T)$. The
    largest logit stays the largest, so no decision changes.

    Args:
        steps: steps of Adam in the training.
        seeds: number of initial values.

    Try: `--steps 100`: before the network knows its training rows by heart, it is calibrated without a temperature.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    rows, test = kf.data.mnist1d.load()
    fit, validation = (kf.data.Split(rows.x[of], rows.y[of]) for of in (slice(VALIDATION, None), slice(VALIDATION)))
    learner = dense_classifier(40, (100, 100))
    accuracy, temperature, before, after, reliability = [], [], [], [], []
    for seed in range(seeds):
        learner.start(seed).learn(fit.x, fit.y, steps, 100, seed)
        temperature.append(_fit_temperature(learner.predict(validation.x), validation.y))
        logits = learner.predict(test.x)
        accuracy.append(learner.accuracy(test.x, test.y))
        curves = [_reliability(probabilities(logits / t), test.y) for t in (1.0, temperature[-1])]
        before.append(_calibration_error(*curves[0]))
        after.append(_calibration_error(*curves[1]))
        reliability.append([right / np.maximum(count, 1) for count, right, _ in curves])
    return Evidence(
        numbers={
            "accuracy on test rows": Measured.over(accuracy),
            "calibration error": Measured.over(before),
            "calibration error after temperature scaling": Measured.over(after),
            "temperature": Measured.over(temperature),
        },
        findings=(
            predicts(
                "with one fitted temperature the calibration error is below 0.1",
                Measured.over(after).below(0.1),
                "the outputs are not probabilities, and one temperature does not correct them",
            ),
            limit(
                "without a temperature the calibration error is above 0.1",
                Measured.over(before).above(0.1),
                "the logits are divided by a temperature that was fitted on rows outside the training",
            ),
        ),
        figure=_figure(np.array(reliability)),
    )


def _fit_temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """The temperature with the smallest cross-entropy on these rows."""
    loss = kf.losses.SparseCategoricalCrossentropy(from_logits=True)
    temperatures = np.geomspace(0.25, 16, 61)
    return float(min(temperatures, key=lambda t: float(loss(y, (logits / t).astype("float32")))))


def _reliability(p: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each bin of confidence: the number of rows, the number of right ones, and the sum of the confidences."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count, right, total = (np.bincount(of, weights, BINS) for weights in (None, right, confidence))
    return count, right, total


def _calibration_error(count: np.ndarray, right: np.ndarray, total: np.ndarray) -> float:
    return float(np.abs(right - total).sum() / count.sum())


def _figure(reliability: np.ndarray) -> Figure:
    middle = [(b + 0.5) / BINS for b in range(1, BINS)]
    before, after = (Series(middle, reliability[:, i, 1:].mean(axis=0).tolist()) for i in (0, 1))
    ideal = Series(middle, middle)
    return Figure(
        (
            Panel(
                "How often a confident network is right",
                "confidence (softmax output of the decision)",
                "share of right decisions",
                {"softmax": before, "softmax with temperature": after, "probabilities": ideal},
            ),
        )
    )
