"""Embeddings: a table of vectors, a number as a vector, and the interaction of vectors."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.embedding import (
    Embedding,
    FactorizedInteraction,
    PeriodicEmbedding,
    PiecewiseLinearEncoding,
    quantile_edges,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def numpy(x):
    return ops.convert_to_numpy(x)


EXAMPLES = {
    "Embedding": lambda: (Embedding(9, 4), np.array([[1, 2, 0], [8, 0, 0]])),
    "Embedding mask_zero": lambda: (Embedding(9, 4, mask_zero=True), np.array([[1, 2, 0], [8, 0, 0]])),
    "PiecewiseLinearEncoding": lambda: (PiecewiseLinearEncoding([[0, 1, 3], [-1, 1]]), normal(5, 2)),
    "PeriodicEmbedding": lambda: (PeriodicEmbedding(3, seed=1), normal(5, 2)),
    "FactorizedInteraction": lambda: (FactorizedInteraction(), normal(5, 3, 4)),
}


def assert_close(ours, theirs, tolerance=1e-6):
    ours, theirs = numpy(ours), numpy(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, np.abs(theirs).max()))


# A table of vectors


@pytest.mark.parametrize("arguments", [{}, {"mask_zero": True, "embeddings_regularizer": "l2"}, {"lora_rank": 2}])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
def test_rows_and_gradients_are_those_of_keras(arguments, dtype, weight_gradients):
    i = np.array([[1, 2, 0], [8, 2, 0]], dtype)
    layer = Embedding(9, 4, **arguments)
    theirs = keras.layers.Embedding.from_config(layer.get_config())
    layer(i), theirs(i)
    weights = [normal(*w.shape) for w in layer.get_weights()]
    layer.set_weights(weights)
    theirs.set_weights(weights)
    assert_close(layer(i), theirs(i))
    for a, b in zip(weight_gradients(layer, i), weight_gradients(theirs, i), strict=True):
        assert_close(ops.convert_to_tensor(a), ops.convert_to_tensor(b))
    mask, expected = layer.compute_mask(i), theirs.compute_mask(i)
    assert (mask is None) == (expected is None)
    assert mask is None or (numpy(mask) == numpy(expected)).all()


def test_a_lookup_equals_a_product_with_a_one_hot_vector():
    i, layer = np.array([[1, 2, 0], [8, 2, 0]]), Embedding(9, 4)
    y = layer(i)
    assert_close(y, ops.one_hot(i, 9) @ layer.embeddings)


def test_quantized_it_gives_the_rows_of_keras():
    layer, theirs = Embedding(9, 4), keras.layers.Embedding(9, 4)
    layer.build(), theirs.build()
    theirs.set_weights(layer.get_weights())
    layer.quantize("int8"), theirs.quantize("int8")
    assert_close(layer(np.arange(9)), theirs(np.arange(9)))


@pytest.mark.parametrize("argument", ["input_dim", "output_dim"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "3"])
def test_sizes_must_be_positive_integers(argument, value):
    with pytest.raises(ValueError, match=argument):
        Embedding(**({"input_dim": 3, "output_dim": 2} | {argument: value}))


# A number as a vector: piecewise linear


edges = st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True).map(sorted)


@given(st.lists(edges, min_size=1, max_size=3), st.floats(-80, 80, width=32))
def test_bins_below_a_number_are_full_and_bins_above_it_empty(bin_edges, value):
    x = np.full((1, len(bin_edges)), value, "float32")
    encoded = numpy(PiecewiseLinearEncoding(bin_edges)(x))[0]
    for b, e in zip(bin_edges, encoded, strict=True):
        for t in range(1, len(b)):
            expected = (value - b[t - 1]) / (b[t] - b[t - 1])
            if t > 1:
                expected = max(expected, 0)
            if t < len(b) - 1:
                expected = min(expected, 1)
            assert abs(e[t - 1] - expected) <= 1e-5 * max(1, abs(expected))
        assert (e[len(b) - 1 :] == 0).all()


@given(edges, st.floats(-80, 80, width=32))
def test_a_linear_layer_can_restore_the_number(b, value):
    """The sum of e_t (b_t - b_{t-1}) is x - b_0: the encoding loses no information."""
    e = numpy(PiecewiseLinearEncoding([b])(np.array([[value]], "float32")))[0, 0]
    assert abs(e @ np.diff(b) - (value - b[0])) < 1e-3


def test_its_derivative_is_one_over_the_width_of_the_bin(gradient):
    layer = PiecewiseLinearEncoding([[0, 1, 5, 7]])
    x = np.array([[-3], [0.5], [3], [6], [9]], "float32")
    assert_close(gradient(layer, x)[0], [[1], [1], [0.25], [0.5], [0.5]])


def test_all_quantile_bins_have_the_same_number_of_examples():
    x = np.random.default_rng(0).lognormal(size=(1600, 2))
    for column, b in zip(x.T, quantile_edges(x, bins=8), strict=True):
        counts, _ = np.histogram(column, np.array(b) * (1 + 1e-6))
        assert len(b) == 9
        assert abs(counts - 200).max() <= 2


def test_equal_values_make_fewer_bins_and_nan_is_ignored():
    x = np.array([[0.0, 1.0], [0.0, np.nan], [0.0, 2.0], [1.0, 3.0]])
    layer = PiecewiseLinearEncoding.from_data(x, bins=4, name="ple")
    assert [len(b) for b in layer.bin_edges] == [3, 5]
    y = numpy(layer(x.astype("float32")))
    assert y.shape == layer.compute_output_shape(x.shape) == (4, 2, 4)
    assert np.isnan(y[1, 1]).all()
    assert np.isfinite(y[[0, 2, 3]]).all()


def test_raw_values_too_large_for_half_precision_are_encoded_in_it():
    layer = PiecewiseLinearEncoding([[0, 100_000, 200_000]], dtype="mixed_float16")
    y = layer(np.array([[150_000.0]], "float32"))
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    assert_close(ops.cast(y, "float32"), [[[1, 0.5]]])


@pytest.mark.parametrize("bin_edges", [[], [[1.0]], [[1.0, 1.0]], [[2.0, 1.0]], [[0.0, np.nan]], [[0.0, np.inf]]])
def test_bad_edges_are_named(bin_edges):
    with pytest.raises(ValueError, match="bin_edges"):
        PiecewiseLinearEncoding(bin_edges)


def test_data_without_bins_is_named():
    with pytest.raises(ValueError, match="Column 1"):
        quantile_edges(np.array([[1.0, 2.0], [2.0, 2.0]]))
    with pytest.raises(ValueError, match="`x`"):
        quantile_edges(np.ones(3))
    with pytest.raises(ValueError, match="`bins`"):
        quantile_edges(np.ones((3, 1)), bins=0)
    with pytest.raises(ValueError, match="1"):
        PiecewiseLinearEncoding([[0, 1]])(normal(2, 3))


# A number as a vector: periodic


def test_it_is_the_sines_and_cosines_of_its_frequencies(gradient, weight_gradients):
    x, layer = normal(5, 2), PeriodicEmbedding(3, sigma=1.0, seed=1)
    y, c = layer(x), numpy(layer.frequencies)
    v = 2 * np.pi * c * x[..., None]
    assert_close(y, np.concatenate([np.sin(v), np.cos(v)], -1), tolerance=1e-5)
    assert_close(gradient(layer, x)[0], (2 * np.pi * c * (np.cos(v) - np.sin(v))).sum(-1), tolerance=1e-5)
    by_hand = (2 * np.pi * x[..., None] * (np.cos(v) - np.sin(v))).sum(0)
    assert_close(weight_gradients(layer, x)[0], by_hand, tolerance=1e-5)
    assert layer.compute_output_shape(x.shape) == y.shape


@given(st.floats(-100, 100, width=32), st.integers(-5, 5))
def test_it_repeats_after_each_period(value, periods):
    layer = PeriodicEmbedding(1)
    layer.build((None, 1))
    layer.set_weights([np.array([[0.5]])])
    assert_close(layer(np.array([[value]])), layer(np.array([[value + 2 * periods]])), tolerance=1e-3)


def test_sigma_is_the_spread_of_the_first_frequencies():
    layer = PeriodicEmbedding(1000, sigma=0.3, seed=1)
    layer.build((None, 4))
    assert abs(numpy(layer.frequencies).std() - 0.3) < 0.02


@pytest.mark.parametrize(("argument", "value"), [("waves", 0), ("waves", 1.5), ("sigma", 0), ("sigma", -1)])
def test_a_bad_argument_of_the_periodic_embedding_is_named(argument, value):
    with pytest.raises(ValueError, match=argument):
        PeriodicEmbedding(**{argument: value})


# The interaction of vectors


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))
def test_it_is_the_sum_of_the_dot_products_of_all_pairs(fields, dim, seed):
    v = normal(3, fields, dim, seed=seed)
    pairs = sum((v[:, i] * v[:, j]).sum(-1) for i in range(fields) for j in range(i)) + np.zeros(3)
    assert_close(FactorizedInteraction()(v)[:, 0], pairs.astype("float32"), tolerance=1e-5)


def test_two_fields_equal_the_dot_layer_of_keras(gradient):
    user, film = normal(4, 5), normal(4, 5, seed=1)
    interaction, dot = FactorizedInteraction(), keras.layers.Dot(axes=-1)

    def ours(u, f):
        return interaction(ops.stack([u, f], axis=1))

    assert_close(ours(user, film), dot([user, film]), tolerance=2e-6)
    for a, b in zip(gradient(ours, user, film), gradient(lambda u, f: dot([u, f]), user, film), strict=True):
        assert_close(a, b, tolerance=2e-6)


def test_the_order_of_fields_and_masked_fields_have_no_effect():
    v, layer = normal(2, 4, 3), FactorizedInteraction()
    assert_close(layer(v), layer(v[:, ::-1]), tolerance=2e-6)
    mask = np.array([[1, 1, 0, 0]] * 2, bool)
    assert_close(layer(v, mask=mask), layer(v[:, :2]))
    inputs = keras.Input((None,))
    model = keras.Model(inputs, layer(Embedding(9, 3, mask_zero=True)(inputs)))
    assert_close(model(np.array([[1, 2, 0, 0]])), model(np.array([[1, 2]])))


def test_fields_must_be_one_tensor():
    with pytest.raises(ValueError, match="stack"):
        FactorizedInteraction()([normal(2, 3), normal(2, 3)])
    with pytest.raises(ValueError, match="fields"):
        FactorizedInteraction()(normal(2, 3))
