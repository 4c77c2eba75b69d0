"""Attention: rows sum to 1, causal masks, padding has no effect, and the numbers equal Keras."""

import warnings

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.attention import (
    CausalSelfAttention,
    DotProductAttention,
    MultiHeadAttention,
    attention_weights,
    combine_masks,
    scaled_dot_product_attention,
)


def sequences(batch=2, time=5, features=8, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, time, features)).astype("float32")


EXAMPLES = {
    "CausalSelfAttention": lambda: (CausalSelfAttention(2, output_initializer="glorot_uniform"), sequences()),
    "DotProductAttention": lambda: (DotProductAttention(), [sequences(), sequences(seed=1)]),
    "MultiHeadAttention": lambda: (MultiHeadAttention(2, 4), [sequences(), sequences(seed=1)]),
    "MultiHeadAttention rotary": lambda: (MultiHeadAttention(2, 4, rotary=True), [sequences(), sequences(seed=1)]),
}

MASKS = {
    "none": {},
    "causal": {"use_causal_mask": True},
    "attention mask": {"attention_mask": np.tril(np.ones((2, 5, 5), "bool"), 1)},
    "value": {"value_mask": np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], "bool")},
    "all": {
        "use_causal_mask": True,
        "attention_mask": np.ones((2, 5, 5), "int32"),
        "value_mask": np.array([[1, 1, 0, 0, 1], [1, 1, 1, 1, 1]], "bool"),
        "key_mask": np.array([[1, 1, 1, 1, 1], [1, 0, 1, 1, 1]], "bool"),
    },
}


def numpy(x):
    return ops.convert_to_numpy(x)


def assert_equal(ours, theirs):
    for a, b in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        a, b = numpy(a), numpy(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * max(1.0, np.abs(b).max()))


def like_keras(layer, *inputs):
    """Keras's layer with the same arguments, and both with the same random weights, biases too."""
    config = layer.get_config()
    config.pop("rotary")
    theirs = keras.layers.MultiHeadAttention.from_config(config)
    layer.build(*(x.shape for x in inputs)), theirs.build(*(x.shape for x in inputs))
    random = np.random.default_rng(1)
    weights = [random.normal(size=w.shape, scale=0.5).astype("float32") for w in layer.get_weights()]
    layer.set_weights(weights)
    theirs.set_weights(weights)
    return theirs


@given(
    T=st.integers(1, 6),
    S=st.integers(1, 6),
    size=st.sampled_from([0.0, 1e-20, 1.0, 1e3, 1e18]),
    mask=st.none() | st.integers(0, 2**36 - 1),
)
@pytest.mark.filterwarnings("ignore:You are using a softmax")  # over a single key it is rightly 1
def test_rows_sum_to_one(T, S, size, mask):
    if mask is not None:
        mask = (mask >> np.arange(36) & 1).astype("bool").reshape(6, 6)[:T, :S]
    A = numpy(attention_weights(size * sequences(2, T), sequences(2, S, seed=1), mask))
    np.testing.assert_allclose(A.sum(-1), 1.0, rtol=1e-5)
    assert A.min() >= 0
    if mask is not None:
        seen = mask.any(-1)
        assert not A[:, seen][:, ~mask[seen]].any()


@given(t=st.integers(1, 4), by=st.floats(-1e3, 1e3, width=32))
def test_causal_attention_does_not_depend_on_later_steps(t, by):
    layer, x = MultiHeadAttention(2, 4, rotary=True, seed=0), sequences()
    changed = x.copy()
    changed[:, t:] += by
    past = [numpy(layer(s, s, use_causal_mask=True))[:, :t] for s in (x, changed)]
    np.testing.assert_array_equal(*past)


@given(padding=st.integers(1, 3), junk=st.floats(-1e3, 1e3, width=32))
@pytest.mark.parametrize("block", [DotProductAttention, lambda: MultiHeadAttention(2, 4)])
def test_masked_padding_has_no_effect(block, padding, junk):
    layer, x = block(), sequences()
    padded = np.concatenate([x, np.full((2, padding, 8), junk, "float32")], axis=1)
    mask = np.arange(5 + padding)[None].repeat(2, 0) < 5
    np.testing.assert_allclose(layer(padded, padded, value_mask=mask)[:, :5], layer(x, x), atol=2e-6)


@given(order=st.permutations(range(5)))
def test_attention_treats_its_input_as_a_set(order):
    layer, x, order = MultiHeadAttention(2, 4), sequences(), list(order)
    y = numpy(layer(x, x))
    np.testing.assert_allclose(layer(x, x[:, order]), y, atol=2e-6)  # keys and values in any order
    np.testing.assert_allclose(layer(x[:, order], x), y[:, order], atol=2e-6)


def test_rotary_attention_does_not_treat_its_input_as_a_set():
    layer, x = MultiHeadAttention(2, 4, rotary=True), sequences()
    assert np.abs(numpy(layer(x, x[:, ::-1]) - layer(x, x))).max() > 1e-3


def test_rotary_attention_depends_on_distances_only():
    layer, x = MultiHeadAttention(2, 4, rotary=True), sequences()
    later = np.concatenate([sequences(2, 3, seed=3), x], axis=1)
    mask = np.arange(8)[None].repeat(2, 0) >= 3
    np.testing.assert_allclose(layer(later, later, value_mask=mask)[:, 3:], layer(x, x), atol=2e-6)


def test_the_formula_equals_kerass_fused_operation():
    Q, K, V = (np.random.default_rng(i).normal(size=(2, 5, 3, 4)).astype("float32") for i in range(3))
    mask = np.tril(np.ones((5, 5), "bool"))
    ours = scaled_dot_product_attention(*(ops.swapaxes(x, 1, 2) for x in (Q, K, V)), mask=mask)
    assert_equal(ops.swapaxes(ours, 1, 2), ops.dot_product_attention(Q, K, V, is_causal=True))


@pytest.mark.parametrize("mask", ["none", "causal", "value"])
def test_dot_product_layer_equals_kerass_attention_of_scaled_queries(mask):
    query, value = sequences(), sequences(seed=1)
    masks = MASKS[mask]
    value_mask, causal = masks.get("value_mask"), masks.get("use_causal_mask", False)
    ours = DotProductAttention()(query, value, return_attention_scores=True, **masks)
    masks = None if value_mask is None else [None, value_mask]
    theirs = keras.layers.Attention()
    query = query / np.sqrt(np.float32(8))
    assert_equal(ours, theirs([query, value], mask=masks, return_attention_scores=True, use_causal_mask=causal))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("scores", [False, True])
def test_outputs_and_weight_gradients_equal_keras(mask, scores, weight_gradients):
    query, value = sequences(), sequences(seed=1)
    layer = MultiHeadAttention(2, 4)
    theirs = like_keras(layer, query, value)
    call = {"value": value, "return_attention_scores": scores, **MASKS[mask]}
    assert_equal(layer(query, **call), theirs(query, **call))
    assert_equal(weight_gradients(layer, query, **call), weight_gradients(theirs, query, **call))


@pytest.mark.parametrize(
    "variant",
    [
        {"value_dim": 3, "use_bias": False, "output_shape": 6},
        {"sliding_window": 2},
        {"use_gate": True},
        {"attention_axes": (1,)},
        {"kernel_regularizer": "l2", "kernel_initializer": "he_normal"},
    ],
)
def test_arguments_equal_keras(variant):
    query, value, key = sequences(), sequences(time=4, seed=1), sequences(time=4, features=3, seed=2)
    layer = MultiHeadAttention(2, 4, **variant)
    theirs = like_keras(layer, query, value, key)
    assert [w.path.split("/")[1:] for w in layer.weights] == [w.path.split("/")[1:] for w in theirs.weights]
    # with the scores: without them Keras fails on JAX when `value_dim` is not `key_dim`
    ours = layer(query, value, key, return_attention_scores=True)
    assert_equal(ours, theirs(query, value, key, return_attention_scores=True))
    assert_equal(layer(query, value, key), ours[0])
    assert_equal(layer.losses, theirs.losses)


@pytest.mark.parametrize("axes", [None, (2,), (1, 2)])
def test_more_axes_equal_keras(axes):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 8)).astype("float32")
    layer = MultiHeadAttention(2, 4, attention_axes=axes)
    theirs = like_keras(layer, x, x)
    assert_equal(layer(x, x, return_attention_scores=True), theirs(x, x, return_attention_scores=True))


def test_dropout_draws_what_keras_draws():
    x = sequences()
    layer, theirs = (kind(2, 4, dropout=0.5, seed=7) for kind in (MultiHeadAttention, keras.layers.MultiHeadAttention))
    layer.build(x.shape, x.shape), theirs.build(x.shape, x.shape)
    theirs.set_weights(layer.get_weights())
    assert_equal(layer(x, x, training=True), theirs(x, x, training=True))


@pytest.mark.parametrize("scores", [False, True])
def test_masks_of_the_inputs_equal_keras(scores):
    """At all positions, also at padded queries, whose keys are all masked."""
    tokens = np.array([[3, 1, 2, 0, 0], [1, 2, 3, 4, 5]])
    embed = keras.layers.Embedding(9, 8, mask_zero=True)
    layer = MultiHeadAttention(2, 4)
    theirs = like_keras(layer, sequences(), sequences())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = layer(x := embed(tokens), x, use_causal_mask=True, return_attention_scores=scores)
    assert_equal(ours, theirs(x := embed(tokens), x, use_causal_mask=True, return_attention_scores=scores))
    mask = keras.tree.flatten(ours)[0]._keras_mask
    np.testing.assert_array_equal(numpy(mask), tokens != 0)


@pytest.mark.parametrize("block", [MultiHeadAttention, keras.layers.MultiHeadAttention])
def test_flash_attention_has_no_scores_to_return(block):
    x = sequences()
    with pytest.raises(ValueError, match="flash"):
        block(2, 4, flash_attention=True)(x, x, return_attention_scores=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_half_precision_uses_the_fused_kernel_and_equals_keras(dtype):
    x = sequences()
    layer = MultiHeadAttention(2, 4, dtype=dtype)
    theirs = like_keras(layer, x, x)
    for call in ({}, {"use_causal_mask": True}, MASKS["all"]):
        np.testing.assert_array_equal(numpy(layer(x, x, **call)), numpy(theirs(x, x, **call)))


def test_unknown_batch_and_time():
    query, value = keras.Input((None, 8)), keras.Input((None, 8))
    layer = MultiHeadAttention(2, 4, rotary=True)
    model = keras.Model([query, value], layer(query, value, use_causal_mask=True))
    for batch, T, S in ((1, 2, 3), (3, 5, 4)):
        x, z = sequences(batch, T), sequences(batch, S, seed=1)
        y = model.predict([x, z], verbose=0)
        np.testing.assert_allclose(y, layer(x, z, use_causal_mask=True), atol=1e-6)


def test_settings_survive_the_config():
    layer = MultiHeadAttention.from_config(MultiHeadAttention(2, 4, rotary=True, dropout=0.1).get_config())
    assert layer.rotary
    assert layer.dropout == 0.1


def test_no_mask_at_all_is_none():
    assert combine_masks(sequences(), sequences()) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiHeadAttention(0, 4), "num_heads"),
        (lambda: MultiHeadAttention(2, 0), "key_dim"),
        (lambda: MultiHeadAttention(2, 4, dropout=1.5), r"`dropout` must be in \[0, 1\), got 1.5"),
        (lambda: MultiHeadAttention(2, 3, rotary=True), "`key_dim` must be even with `rotary`, got 3"),
        (
            lambda: MultiHeadAttention(2, 4, rotary=True)(np.ones((1, 2, 3, 4)), np.ones((1, 2, 3, 4))),
            "`query` must have",
        ),
        (lambda: DotProductAttention(-1), r"`dropout` must be in \[0, 1\), got -1"),
        (lambda: DotProductAttention()(np.ones((2, 3)), np.ones((2, 3))), r"`query` must have shape"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def turned(x):
    """The feature pairs of each step as complex numbers, times exp(i t theta)."""
    d = x.shape[-1]
    angle = np.arange(x.shape[1])[:, None, None] * 10000.0 ** (-2 * np.arange(d // 2) / d)
    z = (x[..., : d // 2] + 1j * x[..., d // 2 :]) * np.exp(1j * angle)
    return np.concatenate([z.real, z.imag], axis=-1)


def test_causal_self_attention_equals_its_equation():
    attention, x = CausalSelfAttention(2, output_initializer="orthogonal"), sequences()
    y = numpy(attention(x))

    def heads(name):
        return (x @ numpy(getattr(attention, f"{name}_dense").kernel)).reshape(2, 5, 2, 4)

    q, k = (turned(h / np.sqrt((h**2).mean(-1, keepdims=True))) for h in (heads("query"), heads("key")))
    scores = np.einsum("bthd,bshd->bhts", q, k) / np.sqrt(4)
    A = np.where(np.tril(np.ones((5, 5), bool)), np.exp(scores), 0)
    A /= A.sum(-1, keepdims=True)
    expected = np.einsum("bhts,bshd->bthd", A, heads("value")).reshape(2, 5, 8) @ numpy(attention.output_dense.kernel)
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("features", [7, 6])
def test_causal_self_attention_needs_an_even_width_for_each_head(features):
    with pytest.raises(ValueError, match="features an even number times 2 heads"):
        CausalSelfAttention(2)(np.ones((1, 3, features), "float32"))
