"""What is reached without a model: a score says something only next to the score of a trivial answer."""

import math
from typing import NamedTuple

import numpy as np

from kerasfound.bundle import Schema
from kerasfound.bundle.manifest import Baseline
from kerasfound.data import Split
from kerasfound.rounding import format_number

from . import ngrams, task_metrics

MARGIN = 2
"""A model is better if the mean difference on the test rows is larger than this many of its standard errors."""


class Answers(NamedTuple):
    """The answers of a baseline for the test rows."""

    name: str
    metrics: dict[str, float]
    losses: dict[str, np.ndarray]
    """For each metric that is a mean over rows, the loss of each row."""


def compare(answers: Answers, metrics: dict[str, float], losses: dict[str, np.ndarray]) -> Baseline:
    """Compare a model with a baseline on the test rows.

    Args:
        answers: of the baseline.
        metrics: of the model.
        losses: of the model, for the same metrics as those of the baseline.
    """
    doubtful = [name for name in losses if not is_better(losses[name], answers.losses[name])]
    if not doubtful:
        return Baseline(answers.name, answers.metrics)
    scores = ", ".join(
        f"{name.replace('_', '-')} {format_number(metrics[name])} against {format_number(answers.metrics[name])}"
        for name in doubtful
    )
    smaller = all(losses[name].mean() < answers.losses[name].mean() for name in doubtful)
    relation = "not clearly better" if smaller else "not better"
    rest = [name.replace("_", "-") for name in losses if name not in doubtful]
    verdict = (
        f"{relation} than {answers.name} ({scores}, on {len(losses[doubtful[0]]):,} test rows)"
        f"{'; better in ' + ', '.join(rest) if rest else ''}"
    )
    return Baseline(answers.name, answers.metrics, verdict)


def is_better(losses: np.ndarray, of_baseline: np.ndarray) -> bool:
    """Whether a model's losses are smaller, by more than the test rows leave to chance.

    Args:
        losses: of the model, one for each row; or for each window and position of a text, where a window is one draw.
        of_baseline: those of the baseline, for the same rows.

    Example:
        >>> rows = np.arange(100.0) % 2
        >>> is_better(rows * 0.5, rows), is_better(rows[:2] * 0.5, rows[:2])
        (True, False)
    """
    gain = (of_baseline - losses).reshape(len(losses), -1).mean(axis=1)
    if len(gain) < 2:
        return False
    return bool(gain.mean() > MARGIN * gain.std(ddof=1) / math.sqrt(len(gain)))


def answer_with_shares(train: Split, test: Split, schema: Schema) -> Answers:
    """The commonest class of the training rows, with the shares of all classes as probabilities.

    One row is added to each class, so that no class has the probability 0.
    """
    counts = np.bincount(train.y, minlength=len(schema.labels)) + 1
    shares = np.tile(counts / counts.sum(), (len(test.y), 1))
    return Answers(
        f"always answering {schema.labels[counts.argmax()]!r}",
        task_metrics.classification_metrics(shares, test.y),
        task_metrics.classification_losses(shares, test.y),
    )


def answer_with_mean(train: Split, test: Split, schema: Schema) -> Answers:
    """The mean of the training targets; for the absolute error their median, which makes it smallest."""
    mean, median = (np.full((len(test.y), 1), value) for value in (train.y.mean(), np.median(train.y)))
    metrics = task_metrics.regression_metrics(mean, test.y)
    return Answers(
        "always answering the mean",
        metrics | {"mae": task_metrics.regression_metrics(median, test.y)["mae"]},
        {
            "rmse": task_metrics.regression_losses(mean, test.y)["rmse"],
            "mae": task_metrics.regression_losses(median, test.y)["mae"],
        },
    )


def answer_with_ngrams(train: Split, test: Split, schema: Schema) -> Answers:
    """The counts of the training text's n-grams."""
    probability, predicted = ngrams.predict_next(train, test, len(schema.labels))
    wrong, nats = predicted != test.y, -np.log(probability)
    return Answers(
        f"counting {ngrams.ORDER}-grams",
        {"accuracy": round(1 - float(wrong.mean()), 6), "cross_entropy": round(float(nats.mean()), 4)},
        {"accuracy": wrong.astype("float64"), "cross_entropy": nats},
    )
