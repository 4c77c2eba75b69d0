"""Thresholds of two classes: chosen on validation rows, measured on test rows."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from kerasfound.bundle import Schema
from kerasfound.data import Dataset, Split
from kerasfound.errors import UserError
from kerasfound.training import Config, Run, thresholds


def rows(seed, n=400):
    """Probabilities of a rare class, and whether each row belongs to it. The probabilities are right."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 3, n)
    return p, rng.random(n) < p


def test_the_threshold_of_the_largest_f1_is_the_best_of_all():
    p, truth = rows(0)
    chosen = thresholds.choose(p, truth, None)
    assert list(chosen) == ["more probable class", thresholds.LARGEST_F1]
    best = max(f1_score(truth, p >= t) for t in p)
    assert f1_score(truth, p >= chosen[thresholds.LARGEST_F1]) == pytest.approx(best)


@pytest.mark.parametrize("cost", [0.2, 1.0, 9.0])
def test_the_threshold_of_the_smallest_cost_is_the_best_of_all(cost):
    p, truth = rows(1)

    def total(t):
        return cost * (truth & (p < t)).sum() + (~truth & (p >= t)).sum()

    chosen = thresholds.choose(p, truth, cost)[thresholds.SMALLEST_COST]
    assert total(chosen) == min(total(t) for t in [*p, 1.0])


def test_a_higher_cost_of_missed_rows_lowers_the_threshold_and_raises_recall():
    p, truth = rows(2)
    cheap, dear = (thresholds.choose(p, truth, cost) for cost in (0.5, 20.0))
    assert dear[thresholds.SMALLEST_COST] < cheap[thresholds.SMALLEST_COST]
    measured = thresholds.measure(*rows(3), dear, "yes", 20.0)
    half, _, cost = measured.thresholds
    assert cost.recall > half.recall
    assert cost.cost < half.cost


def test_the_same_answer_for_all_rows_is_measured_as_any_threshold():
    p, truth = rows(5)
    decisions = thresholds.measure(p, truth, {"all": 0.0}, "yes", 5.0)
    (measured,), same = decisions.thresholds, decisions.always_positive
    assert [same.accuracy, same.precision, same.recall, same.f1, same.cost] == pytest.approx(
        [measured.accuracy, measured.precision, measured.recall, measured.f1, measured.cost], abs=1e-5
    )


def test_rows_of_one_class_choose_nothing():
    p, _ = rows(4)
    assert thresholds.choose(p, np.zeros(len(p), bool), 2.0) == {"more probable class": 0.5}
    measured = thresholds.measure(p, np.zeros(len(p), bool), {"more probable class": 0.5}, "yes", None)
    assert measured.metrics == {"pr_auc": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


@pytest.mark.parametrize(
    ("labels", "task", "named"),
    [
        (("a", "b", "c"), "tabular_classification", "tabular classification with 3 classes"),
        ((), "tabular_regression", "tabular regression"),
        (("a", "b"), "text_generation", "text generation"),
    ],
)
def test_a_cost_is_refused_without_two_classes(tmp_path, labels, task, named):
    config = Config(out=str(tmp_path / "run"), false_negative_cost=5.0)
    split = Split(np.zeros((2, 1)), np.zeros(2))
    dataset = Dataset("line", "synthetic", "", split, split, split, Schema(task, "x", (1,), labels))
    with pytest.raises(UserError, match=f"`false_negative_cost` is for two classes; this run's task is {named}"):
        Run.create("line", config).start(dataset, config)
