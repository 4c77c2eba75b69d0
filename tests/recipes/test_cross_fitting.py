"""Cross-fitting: no model is evaluated on rows that it learned from, and a layer computes what its models compute."""

import keras
import numpy as np
import pytest
from keras import ops

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.recipes.components import boosted_trees, cross_fitting, linear_model, output_weights


def labelled_rows(count=200, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    return kf.data.Split((rng.normal(size=(count, 4)) + y[:, None] / 2).astype("float32"), y)


def numbered_rows(count=200):
    x = np.random.default_rng(0).normal(size=(count, 4)).astype("float32")
    return kf.data.Split(x, (x[:, 0] - np.abs(x[:, 1])).astype("float32"))


def test_every_fold_has_the_same_share_of_each_class():
    y = np.repeat([0, 1], [60, 20])
    fold = cross_fitting.deal_folds(y, 4, classes=True, seed=0)
    assert [np.bincount(fold[y == c]).tolist() for c in (0, 1)] == [[15] * 4, [5] * 4]


def test_the_only_row_of_a_class_is_in_no_fold_and_a_class_of_two_rows_in_two():
    y = np.array([0] * 10 + [1] * 2 + [2])
    fold = cross_fitting.deal_folds(y, 5, classes=True, seed=0)
    assert fold[-1] == -1
    assert len(set(fold[y == 1])) == 2
    assert (fold[:-1] >= 0).all()


def test_rows_of_a_single_class_are_an_error():
    with pytest.raises(UserError, match="the training rows have a single class"):
        cross_fitting.deal_folds(np.ones(9, int), 3, classes=True, seed=0)


def test_a_row_is_scored_by_the_estimator_that_was_fitted_without_it():
    class Memory:
        def fit(self, x, y):
            self.rows = set(x[:, 0])
            return self

        def predict(self, x):
            return np.array([row in self.rows for row in x[:, 0]], "float64")

    x = np.arange(20.0)[:, None]
    fold = np.arange(20) % 3
    estimators, seen = cross_fitting.cross_fit(Memory, x, x[:, 0], fold, outputs=1)
    assert len(estimators) == 3
    assert not seen.any()
    assert {len(estimator.rows) for estimator in estimators} == {13, 14}


def test_members_learn_nothing_from_their_own_fold_and_alone_are_evaluated_on_it():
    layer = cross_fitting.CrossFittedMembers(folds=2)
    outputs, fold = np.array([[[1.0], [2.0], [3.0], [4.0]]], "float32"), np.array([[1.0]], "float32")
    assert ops.convert_to_numpy(layer(outputs, fold, training=True)).tolist() == outputs.tolist()
    assert ops.convert_to_numpy(layer(outputs, fold, training=False)).ravel().tolist() == [3.0] * 4  # of 2 and 4

    members = keras.Sequential([keras.Input((1,)), keras.layers.EinsumDense("bi,iko->bko", (4, 1))])
    model = cross_fitting.cross_fitted(members, np.array([0, 1]))
    before = members.get_weights()[0].copy()
    model.compile("sgd", "mse")
    model.fit(np.array([[1.0, 1.0]] * 8, "float32"), np.full((8, 4, 1), 9.0), verbose=0)
    changed = (members.get_weights()[0] != before).ravel().tolist()
    assert changed == [True, False, True, False]


@pytest.mark.parametrize(
    "fit", [linear_model.linear_model, pytest.param(boosted_trees.boosted_trees, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("rows", "outputs"), [(labelled_rows(), 3), (labelled_rows(classes=2), 2), (numbered_rows(), 1)]
)
def test_the_layers_compute_the_mean_of_the_models_of_all_folds(fit, rows, outputs, monkeypatch):
    fitted = []

    def spy(*arguments):
        estimators, scores = cross_fitting.cross_fit(*arguments)
        fitted.extend(estimators)
        return estimators, scores

    monkeypatch.setattr(f"{fit.__module__}.cross_fit", spy)
    monkeypatch.setattr(linear_model, "RIDGE_PENALTIES", (1.0,))
    row = keras.Input((4,))
    fold = cross_fitting.deal_folds(rows.y, 3, outputs > 1, seed=0)
    y, out_of_fold = fit(row, row, cross_fitting.Folds(rows, fold, outputs))
    computed = keras.Model(row, y).predict(rows.x, verbose=0)
    if outputs == 1:
        expected = np.mean([model.predict(rows.x) for model in fitted], axis=0)[:, None]
    else:  # logits are equal up to a number for each row
        expected = np.mean([np.log(model.predict_proba(rows.x)) for model in fitted], axis=0)
        expected, computed = (a - a.mean(axis=1, keepdims=True) for a in (expected, computed))
    np.testing.assert_allclose(computed, expected, atol=2e-5)
    assert out_of_fold.shape == (200, outputs)
    assert not np.allclose(out_of_fold, keras.Model(row, y).predict(rows.x, verbose=0), atol=1e-3)


def test_rows_next_to_a_threshold_reach_the_same_leaf_in_float32():
    values = np.array([0.98999995, 0.99], "float32")  # neighbours in float32: their mean is none
    x = np.repeat(values, 50)[:, None]
    rows = kf.data.Split(x, (x[:, 0] == values[1]).astype("float32"))
    row = keras.Input((1,))
    y, _ = boosted_trees.boosted_trees(row, row, cross_fitting.Folds(rows, np.arange(100) % 2, 1))
    low, high = keras.Model(row, y).predict(values[:, None], verbose=0)[:, 0]
    assert low < 0.1
    assert high > 0.9


def test_a_class_without_training_rows_is_improbable():
    rows = labelled_rows(classes=2)
    row, fold = keras.Input((4,)), np.arange(200) // 2 % 2
    for fit in (linear_model.linear_model, boosted_trees.boosted_trees):
        logits, _ = fit(row, row, cross_fitting.Folds(rows, fold, 3))
        p = ops.convert_to_numpy(ops.softmax(keras.Model(row, logits)(rows.x)))
        assert p[:, 2].max() < 0.01


def test_the_weights_of_numbers_are_those_of_the_smallest_squared_error():
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    exact = np.stack([y, rng.normal(size=500)], axis=1)
    assert output_weights.output_weights(exact, y) == pytest.approx([1, 0], abs=1e-6)
    noisy = y[:, None] + rng.normal(size=(500, 2)) * [0.1, 0.3]
    first, second = output_weights.output_weights(noisy, y)
    assert first / second == pytest.approx(9, rel=0.4)  # in proportion to the inverse variances
