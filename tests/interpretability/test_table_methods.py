"""Methods for tables, on models whose explanation is known exactly."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasfound import interpretability
from kerasfound.errors import UserError

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 4)).astype("float32") * [1, 2, 3, 1]
W = np.array([[2.0], [-1.0], [0.5], [0.0]])


def test_permutation_importance_of_a_linear_model_is_twice_weight_squared_times_variance(linear):
    """E(w x_pi(i) - w x_i)^2 = 2 w^2 var(x): the model is right, so the error is that of the shuffled column alone."""
    model = linear(W, (4,))
    y = X @ W[:, 0] - 1
    found = interpretability.permutation_importance(model, X, y, repeats=40)
    exact = {f"column {j + 1}": 2 * W[j, 0] ** 2 * X[:, j].var() for j in range(4)}
    assert [one.column for one in found] == sorted(exact, key=lambda name: -exact[name])
    for one in found:
        assert one.mean == pytest.approx(exact[one.column], rel=0.05, abs=1e-5)
        assert one.low <= one.mean <= one.high


def test_a_column_of_several_numbers_is_shuffled_as_one(linear):
    """Two places that cancel out, x and -x, carry nothing together, whatever each of them alone."""
    x = np.stack([X[:, 0], X[:, 0]], axis=1)
    model = linear([[1.0], [-1.0]], (2,))
    both, *_ = interpretability.permutation_importance(model, x, np.full(200, -1.0), {"both": [0, 1]})
    alone, *_ = interpretability.permutation_importance(model, x, np.full(200, -1.0))
    assert both.mean == pytest.approx(0, abs=1e-6)
    assert alone.mean > 1


def test_partial_dependence_of_a_linear_model_is_a_line_with_its_weight(linear):
    found = interpretability.partial_dependence(linear(W, (4,)), X, place=1)
    slopes = np.diff(found.mean) / np.diff(found.values)
    np.testing.assert_allclose(slopes, -1, rtol=1e-3)
    np.testing.assert_allclose(found.high - found.low, (found.high - found.low)[0], rtol=1e-3)  # a parallel band


def test_the_band_of_partial_dependence_shows_that_columns_act_together():
    x = keras.Input((2,))
    product = keras.Model(x, x[:, :1] * x[:, 1:])
    rows = rng.choice([-1.0, 1.0], size=(100, 2))
    found = interpretability.partial_dependence(product, rows, place=0, values=[-1, 0, 1])
    np.testing.assert_allclose(found.high - found.low, [2, 0, 2], atol=1e-6)


def test_shapley_values_of_a_linear_model_are_weight_times_distance_from_the_mean(linear):
    found = interpretability.shapley_values(linear(W, (4,)), X[:6], X[50:80])
    np.testing.assert_allclose(found.values, W[:, 0] * (X[:6] - X[50:80].mean(0)), rtol=1e-4, atol=1e-5)


def test_shapley_values_have_their_four_properties():
    """Efficiency, symmetry, dummy: on a function with an interaction they share it equally."""
    x = keras.Input((4,))
    model = keras.Model(x, (x[:, :1] * x[:, 1:2] + 3 * x[:, 2:3]) * 1.0)
    found = interpretability.shapley_values(model, [[2.0, 2.0, 1.0, 9.0]], np.zeros((1, 4)))
    np.testing.assert_allclose(found.values, [[2, 2, 3, 0]], atol=1e-5)
    np.testing.assert_allclose(found.base + found.values.sum(-1), found.output, atol=1e-5)


def test_groups_of_places_are_one_player(linear):
    groups = {"first": [0], "others": [1, 2, 3]}
    found = interpretability.shapley_values(linear(W, (4,)), X[:3], X[50:80], groups)
    exact = W[:, 0] * (X[:3] - X[50:80].mean(0))
    np.testing.assert_allclose(found.values, np.stack([exact[:, 0], exact[:, 1:].sum(1)], 1), rtol=1e-4, atol=1e-4)


def test_tables_that_do_not_fit_are_refused(linear):
    wide = linear(np.ones((11, 1)), (11,))
    with pytest.raises(UserError, match="11 columns need 2,048 times as many predictions; give at most 10"):
        interpretability.shapley_values(wide, np.ones((1, 11)), np.ones((1, 11)))
    with pytest.raises(UserError, match="`place` 4"):
        interpretability.partial_dependence(linear(W, (4,)), X, place=4)
    with pytest.raises(UserError, match="`repeats` must be at least 1"):
        interpretability.permutation_importance(linear(W, (4,)), X, X[:, 0], repeats=0)


def test_shapley_values_explain_the_predicted_class_in_log_odds():
    x = keras.Input((3,))
    model = keras.Model(x, ops.softmax(x))
    rows, others = np.eye(3, dtype="float32") * 2, np.zeros((1, 3), "float32")
    found = interpretability.shapley_values(model, rows, others)
    np.testing.assert_allclose(found.base, -np.log(2), rtol=1e-5)  # one of three equal classes
    np.testing.assert_allclose(np.diag(found.values), 2, rtol=1e-5)
