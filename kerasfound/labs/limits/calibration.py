"""Softmax outputs as probabilities: how often the network is right when it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import kerasfound as kf

from ..evidence import Evidence, limit, predicts
from ..experiment import Between, Seeds, lab
from ..figure import Figure
from ..measured import Measured
from ..networks import classifier, probabilities
from ..panels import Panel, Series

if TYPE_CHECKING:
    from kerasfound.interpretability.temperature import Calibration

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
    learner = classifier(kf.optimizers.Adam(0.003), (100, 100), inputs=40)
    accuracy, temperature, before, after = [], [], [], []
    for seed in range(seeds):
        learner.start(seed).learn(fit.x, fit.y, steps, 100, seed)
        found = kf.interpretability.temperature_scaling(probabilities(learner.predict(validation.x)), validation.y)
        p = probabilities(learner.predict(test.x))
        accuracy.append(learner.accuracy(test.x, test.y))
        temperature.append(found.value)
        before.append(kf.interpretability.calibration(p, test.y, BINS))
        after.append(kf.interpretability.calibration(found.scale(p), test.y, BINS))
    error_before, error_after = (Measured.over(each.error for each in runs) for runs in (before, after))
    return Evidence(
        numbers={
            "accuracy on test rows": Measured.over(accuracy),
            "calibration error": error_before,
            "calibration error after temperature scaling": error_after,
            "temperature": Measured.over(temperature),
        },
        findings=(
            predicts(
                "with one fitted temperature the calibration error is below 0.1",
                error_after.below(0.1),
                "the outputs are not probabilities, and one temperature does not correct them",
            ),
            limit(
                "without a temperature the calibration error is above 0.1",
                error_before.above(0.1),
                "the logits are divided by a temperature that was fitted on rows outside the training",
            ),
        ),
        figure=_figure(before[0], after[0]),
    )


def _figure(before: Calibration, after: Calibration) -> Figure:
    runs = {"softmax": before, "softmax with temperature": after}
    return Figure(
        (
            Panel(
                "How often a confident network is right (first seed)",
                "confidence (softmax output of the decision)",
                "share of right decisions",
                {name: Series(run.confidence, run.accuracy) for name, run in runs.items()}
                | {"probabilities": Series([0.0, 1.0], [0.0, 1.0])},
            ),
        )
    )
