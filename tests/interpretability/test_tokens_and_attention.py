"""Token attribution and attention maps, on models whose explanation is known exactly."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasfound import interpretability, layers
from kerasfound.errors import UserError
from kerasfound.interpretability import AttentionMap

IDS = np.array([[1, 2, 3, 0], [3, 3, 1, 2]])
TABLE = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
TABLE[0] = 0


def bag_of_words():
    """The sum of the tokens' vectors times weights: each token's contribution is its vector times the weights."""
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(4, 5, name="vectors")(ids)
    model = keras.Model(ids, keras.layers.Dense(2, use_bias=False)(ops.sum(x, axis=1)))
    w = np.random.default_rng(1).normal(size=(5, 2))
    model.set_weights([TABLE, w])
    return model, TABLE @ w


@pytest.mark.parametrize("method", ["integrated_gradients", "leave_one_out"])
def test_contributions_of_tokens_to_a_bag_of_words_are_exact(method):
    model, contribution = bag_of_words()
    for target in (0, 1):
        found = interpretability.token_attribution(model, IDS, target, method)
        np.testing.assert_allclose(found.attributions, contribution[IDS, target], rtol=1e-4, atol=1e-5)
        assert found.error < 1e-4


def test_contributions_of_tokens_sum_to_the_change_also_through_an_lstm():
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.LSTM(6)(keras.layers.Embedding(4, 5)(ids))
    keras.utils.set_random_seed(1)
    model = keras.Model(ids, keras.layers.Dense(2, activation="softmax", kernel_initializer="orthogonal")(x))
    found = interpretability.token_attribution(model, IDS[1:], tolerance=0.01)
    np.testing.assert_allclose(found.total, found.change, atol=0.011)
    assert found.attributions.shape == (1, 4)


def test_leaving_one_out_shows_that_tokens_act_together():
    """In the largest of two equal numbers, neither is missed."""
    ids = keras.Input((2,), dtype="int32")
    model = keras.Model(ids, ops.cast(ops.max(ids, axis=1, keepdims=True), "float32"))
    found = interpretability.token_attribution(model, [[5, 5]], method="leave_one_out")
    assert found.attributions.tolist() == [[0, 0]]
    assert found.error == pytest.approx(1.0)


def test_a_model_without_vectors_is_told_what_fits():
    ids = keras.Input((2,), dtype="int32")
    model = keras.Model(ids, ops.cast(ops.max(ids, axis=1, keepdims=True), "float32"))
    with pytest.raises(UserError, match=r"no embedding layer.*leave_one_out"):
        interpretability.token_attribution(model, [[5, 5]])


X = np.random.default_rng(2).normal(size=(2, 5, 8)).astype("float32")


@pytest.mark.parametrize(
    "layer", [lambda: keras.layers.MultiHeadAttention(2, 4), lambda: layers.MultiHeadAttention(2, 4)]
)
def test_attention_maps_are_the_scores_of_the_layer(layer):
    attention = layer()
    x = keras.Input((5, 8))
    model = keras.Model(x, attention(x, x))
    expected = ops.convert_to_numpy(attention(X, X, return_attention_scores=True)[1])
    before = model.predict(X, verbose=0)
    (found,) = interpretability.attention_maps(model, X)
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)
    np.testing.assert_allclose(found.weights.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_causal_attention_looks_back_only_at_any_depth():
    x = keras.Input((5, 8))
    block = layers.CausalTransformerBlock(16, 2)
    model = keras.Model(x, layers.TransformerEncoder(16, 2)(block(x)))
    causal, encoder = interpretability.attention_maps(model, X)
    assert np.triu(causal.weights[0, 0], 1).max() < 1e-6
    assert causal.weights.shape == encoder.weights.shape == (2, 2, 5, 5)
    np.testing.assert_allclose(causal.weights.sum(-1), 1, rtol=1e-5)
    assert np.triu(encoder.weights[0, 0], 1).max() > 0.01


def test_rollout_is_the_product_of_the_layers_with_the_residual_path():
    random = np.random.default_rng(3)
    first, second = (AttentionMap("a", random.dirichlet(np.ones(4), size=(1, 2, 4))) for _ in range(2))
    rollout = interpretability.attention_rollout([first, second])
    a, b = (0.5 * one.weights[0].mean(0) + 0.5 * np.eye(4) for one in (first, second))
    np.testing.assert_allclose(rollout[0], b @ a)
    np.testing.assert_allclose(rollout.sum(-1), 1)


def test_models_without_attention_and_rollouts_over_other_positions_are_refused(linear):
    with pytest.raises(UserError, match="no attention layer"):
        interpretability.attention_maps(linear(np.ones((4, 1)), (4,)), np.ones((1, 4)))
    with pytest.raises(UserError, match="same positions"):
        interpretability.attention_rollout([AttentionMap("cross", np.ones((1, 1, 2, 3)) / 3)])
