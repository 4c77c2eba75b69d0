"""Two classes: from which probability on a row counts as the rarer class, chosen on the validation rows.

The trained model, its bundle and `predict` answer with the more probable class, which is the threshold 0.5.
"""

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_recall_fscore_support, roc_curve

from .decisions import Decisions, Threshold

LARGEST_F1 = "largest F1 on validation"
SMALLEST_COST = "smallest cost on validation"


def rarer_class(y: np.ndarray) -> int:
    """The class with fewer rows, 0 or 1; class 1 if both have the same number.

    Example:
        >>> rarer_class(np.array([0, 0, 1])), rarer_class(np.array([0, 1, 1])), rarer_class(np.array([0, 1]))
        (1, 0, 1)
    """
    zeros, ones = np.bincount(y, minlength=2)
    return int(ones <= zeros)


def choose(p: np.ndarray, truth: np.ndarray, false_negative_cost: float | None) -> dict[str, float]:
    """Choose thresholds on validation rows.

    Args:
        p: the probability of the positive class, for each row.
        truth: whether each row belongs to it.
        false_negative_cost: what a missed row costs, where a false alarm costs 1. None: choose by F1 only.

    Returns:
        The threshold of each choice; only 0.5 if the rows have one class.

    Example:
        >>> choose(np.array([0.1, 0.2, 0.4, 0.9]), np.array([False, True, False, True]), 5.0)
        {'more probable class': 0.5, 'largest F1 on validation': 0.2, 'smallest cost on validation': 0.2}
    """
    chosen = {"more probable class": 0.5}
    if truth.all() or not truth.any():
        return chosen
    precision, recall, thresholds = precision_recall_curve(truth, p)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    chosen[LARGEST_F1] = float(thresholds[f1[:-1].argmax()])
    if false_negative_cost is not None:
        false_positive_rate, true_positive_rate, thresholds = roc_curve(truth, p, drop_intermediate=False)
        cost = false_negative_cost * truth.sum() * (1 - true_positive_rate) + (~truth).sum() * false_positive_rate
        chosen[SMALLEST_COST] = float(min(thresholds[cost.argmin()], 1.0))  # the first threshold is infinite
    return chosen


def measure(p: np.ndarray, truth: np.ndarray, chosen: dict[str, float], positive: str, cost: float | None) -> Decisions:
    """Measure thresholds on the test rows.

    Args:
        p: the probability of the positive class, for each row.
        truth: whether each row belongs to it.
        chosen: the threshold of each choice.
        positive: the name of the positive class.
        cost: what a missed row costs, where a false alarm costs 1.
    """
    pr_auc = round(float(average_precision_score(truth, p)), 6) if truth.any() else 0.0
    rows = [_measure_threshold(p, truth, choice, threshold, cost) for choice, threshold in chosen.items()]
    return Decisions(positive, round(float(truth.mean()), 6), pr_auc, rows, cost)


def _measure_threshold(
    p: np.ndarray, truth: np.ndarray, choice: str, threshold: float, cost: float | None
) -> Threshold:
    predicted = p >= threshold
    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, average="binary", zero_division=0)
    missed, alarms = (truth & ~predicted).mean(), (predicted & ~truth).mean()
    return Threshold(
        choice,
        threshold,
        round(float((predicted == truth).mean()), 6),
        round(float(precision), 6),
        round(float(recall), 6),
        round(float(f1), 6),
        None if cost is None else round(float(cost * missed + alarms), 6),
    )
