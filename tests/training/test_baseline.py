"""A baseline next to every score, and the words for a model that is not better."""

import numpy as np
import pytest

from kerasfound.bundle import Schema
from kerasfound.data import Split
from kerasfound.training import baseline, ngrams
from kerasfound.training.task_metrics import (
    classification_losses,
    classification_metrics,
    next_character_losses,
    next_character_metrics,
    regression_losses,
    regression_metrics,
)

TWO = Schema("tabular_classification", "x", (1,), ("no", "yes"))


def labelled(y):
    return Split(np.zeros((len(y), 1), "float32"), np.array(y))


def compare(probabilities, train, test):
    probabilities = np.array(probabilities)
    answers = baseline.answer_with_shares(train, test, TWO)
    metrics, losses = classification_metrics(probabilities, test.y), classification_losses(probabilities, test.y)
    return baseline.compare(answers, metrics, losses)


def test_the_baseline_of_classes_is_the_commonest_class_of_the_training_rows():
    train, test = labelled([0] * 79 + [1] * 19), labelled([0, 0, 1, 0])
    answers = baseline.answer_with_shares(train, test, TWO)
    assert answers.name == "always answering 'no'"
    assert answers.metrics["accuracy"] == 0.75
    assert answers.metrics["cross_entropy"] == pytest.approx(-(3 * np.log(0.8) + np.log(0.2)) / 4, abs=1e-4)
    assert answers.metrics["auc"] == 0.5


def test_a_class_that_training_never_saw_has_a_finite_cross_entropy():
    assert np.isfinite(baseline.answer_with_shares(labelled([0, 0]), labelled([1]), TWO).metrics["cross_entropy"])


def test_the_baseline_of_a_regression_is_the_mean_and_for_the_absolute_error_the_median():
    train, test = Split(np.zeros((4, 1)), np.array([0.0, 0.0, 2.0, 6.0])), Split(np.zeros((2, 1)), np.array([1.0, 3.0]))
    metrics = baseline.answer_with_mean(train, test, Schema("tabular_regression", "x", (1,), ())).metrics
    assert metrics["rmse"] == pytest.approx(np.sqrt(((1 - 2) ** 2 + (3 - 2) ** 2) / 2))
    assert metrics["mae"] == (0 + 2) / 2


def test_a_model_that_is_better_has_no_verdict():
    y = [0] * 80 + [1] * 20
    assert compare(np.eye(2)[y] * 0.8 + 0.1, labelled(y), labelled(y)).verdict == ""


def test_a_model_that_always_gives_the_same_answer_is_not_better():
    y = [0] * 80 + [1] * 20
    verdict = compare([[0.9, 0.1]] * 100, labelled(y), labelled(y)).verdict
    assert verdict.startswith("not better than always answering 'no' (accuracy 0.8000 against 0.8000, cross-entropy")
    assert "on 100 test rows" in verdict


def test_good_probabilities_with_common_decisions_are_better_in_cross_entropy_only():
    y = [0] * 80 + [1] * 20
    ranked = np.where(np.array(y) == 1, 0.45, 0.05)
    verdict = compare(np.stack([1 - ranked, ranked], axis=1), labelled(y), labelled(y)).verdict
    assert "accuracy 0.8000 against 0.8000" in verdict
    assert verdict.endswith("; better in cross-entropy")


def test_a_few_test_rows_decide_nothing():
    train, test = labelled([0, 0, 1]), labelled([0, 1, 0])
    verdict = compare(np.eye(2)[test.y] * 0.2 + 0.4, train, test).verdict
    assert verdict.startswith("not clearly better than always answering 'no'")
    assert "on 3 test rows" in verdict


def text(characters, length=8):
    ids = np.array(["ab ".index(c) for c in characters])
    x, y = (np.lib.stride_tricks.sliding_window_view(part, length) for part in (ids[:-1], ids[1:]))
    return Split(x, y)


def test_ngrams_predict_a_repeated_text():
    train = text("aab b" * 40)
    probability, predicted = ngrams.predict_next(train, train, 3)
    assert (predicted[:, 4:] == train.y[:, 4:]).all()
    assert probability[:, 4:].min() > 0.9


def test_the_probabilities_of_all_characters_sum_to_one():
    train, x = text("abba ab  bab" * 5), np.array([[0, 1, 2, 2, 0, 1]])
    sums = sum(ngrams.predict_next(train, Split(x, np.full_like(x, c)), 3)[0] for c in range(3))
    np.testing.assert_allclose(sums, 1)


def test_unseen_contexts_fall_back_to_shorter_ones():
    train = text("a" * 30 + "b")
    probability, predicted = ngrams.predict_next(train, Split(np.array([[2, 2, 2]]), np.array([[0, 0, 0]])), 3)
    assert (predicted == 0).all()
    assert np.allclose(probability, probability[0, 0])


def test_the_metrics_are_the_means_of_the_losses():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(6, 4, 3)), rng.integers(0, 3, (6, 4))
    p = np.exp(logits[:, 0]) / np.exp(logits[:, 0]).sum(-1, keepdims=True)
    for metrics, losses in (
        (next_character_metrics(logits, y), next_character_losses(logits, y)),
        (classification_metrics(p, y[:, 0]), classification_losses(p, y[:, 0])),
    ):
        assert metrics["accuracy"] == pytest.approx(1 - losses["accuracy"].mean(), abs=1e-6)
        assert metrics["cross_entropy"] == pytest.approx(losses["cross_entropy"].mean(), abs=1e-4)
    metrics, losses = (f(logits[:, 0, :1], y[:, 0]) for f in (regression_metrics, regression_losses))
    assert metrics["rmse"] == pytest.approx(np.sqrt(losses["rmse"].mean()))
    assert metrics["mae"] == pytest.approx(losses["mae"].mean())
