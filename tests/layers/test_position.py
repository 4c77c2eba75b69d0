"""Position encodings: the formulas, relative positions, and any length."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.position import LearnedPosition, RotaryPosition, SinusoidalPosition


def sequences(batch=2, time=5, features=4, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, time, features)).astype("float32")


EXAMPLES = {
    "SinusoidalPosition": lambda: (SinusoidalPosition(), sequences()),
    "LearnedPosition": lambda: (LearnedPosition(8), sequences()),
    "RotaryPosition": lambda: (RotaryPosition(), sequences()),
    "RotaryPosition heads": lambda: (RotaryPosition(100), sequences()[:, :, None].repeat(2, axis=2)),
}


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("features", [4, 5])
def test_sinusoid_is_the_papers_formula(features):
    P = numpy(SinusoidalPosition()(np.zeros((1, 50, features), "float32")))[0]
    for t in (0, 1, 49):
        for j in range(features):
            angle = t / 10000 ** (2 * (j // 2) / features)
            assert P[t, j] == pytest.approx(np.cos(angle) if j % 2 else np.sin(angle), abs=1e-5)


@given(t=st.integers(0, 90), k=st.integers(0, 9))
def test_sinusoids_k_apart_have_the_same_product_everywhere(t, k):
    P = numpy(SinusoidalPosition()(np.zeros((1, 100, 8), "float32")))[0]
    assert P[t] @ P[t + k] == pytest.approx(P[0] @ P[k], abs=1e-4)


@given(t=st.integers(0, 90), s=st.integers(0, 90), shift=st.integers(0, 9), seed=st.integers(0, 99))
def test_rotary_scores_depend_on_the_distance_only(t, s, shift, seed):
    query, key = sequences(2, 1, 8, seed)[:, None, 0].repeat(100, axis=1)
    Q, K = numpy(RotaryPosition()(np.stack([query, key])))
    assert Q[t] @ K[s] == pytest.approx(Q[t + shift] @ K[s + shift], abs=2e-4)


def test_rotary_scores_do_depend_on_the_distance():
    Q = numpy(RotaryPosition()(np.ones((1, 3, 2), "float32")))[0]
    assert abs(Q[0] @ Q[1] - Q[0] @ Q[2]) > 0.1


def test_rotary_keeps_lengths_and_is_the_identity_at_position_zero():
    x = sequences()
    y = numpy(RotaryPosition()(x))
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)
    np.testing.assert_allclose(y[:, 0], x[:, 0], atol=1e-6)


def test_rotary_rotates_every_head_equally():
    x = sequences()
    heads = numpy(RotaryPosition()(np.stack([x, x], axis=2)))
    np.testing.assert_allclose(heads[:, :, 1], numpy(RotaryPosition()(x)), atol=1e-6)


def test_rotary_gradient_is_the_inverse_rotation(gradient):
    x, layer = sequences(), RotaryPosition()
    (g,) = gradient(lambda t: layer(t) * layer(x), x)  # d (y . Rx) / dx at y = Rx is R^T R x
    np.testing.assert_allclose(g, x, atol=1e-5)


def test_learned_positions_equal_an_embedding_of_the_position(weight_gradients):
    x, layer, table = sequences(), LearnedPosition(8), keras.layers.Embedding(8, 4)
    y = layer(x)
    table.build((None,))
    table.set_weights(layer.get_weights())
    np.testing.assert_allclose(y, x + numpy(table(np.arange(5))), atol=1e-6)
    (g,) = weight_gradients(layer, x)
    np.testing.assert_allclose(
        g, np.repeat([2.0] * 5 + [0.0] * 3, 4).reshape(8, 4)
    )  # only rows of occurring positions have a gradient


@pytest.mark.parametrize("layer", [SinusoidalPosition, lambda: LearnedPosition(8), RotaryPosition])
def test_unknown_time_masks_and_half_precision(layer):
    layer = layer()
    inputs = keras.Input((None,), dtype="int32")
    hidden = keras.layers.Embedding(9, 4, mask_zero=True)(inputs)
    model = keras.Model(inputs, layer(hidden))
    for time in (1, 3, 8):
        assert model.predict(np.ones((2, time), "int32"), verbose=0).shape == (2, time, 4)
    mask = np.array([[True, False]])
    assert np.array_equal(numpy(layer.compute_mask(hidden, mask)), mask)
    half = type(layer).from_config(layer.get_config() | {"dtype": "mixed_float16"})
    half.build((1, 8, 4))
    half.set_weights(layer.get_weights())
    y = numpy(half(sequences(1, 8)))
    assert y.dtype == "float16"
    np.testing.assert_allclose(y.astype("float32"), layer(sequences(1, 8)), atol=5e-3)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: SinusoidalPosition(1), "`max_wavelength` must be above 1, got 1"),
        (lambda: RotaryPosition(0), "`max_wavelength` must be above 1, got 0"),
        (lambda: LearnedPosition(0), "`sequence_length` must be an integer of at least 1, got 0"),
        (lambda: LearnedPosition(4)(sequences()), r"at most `sequence_length` = 4 steps, got"),
        (lambda: RotaryPosition()(sequences(features=3)), "features even, got"),
        (lambda: SinusoidalPosition()(sequences()[0]), "must have shape"),
        (lambda: LearnedPosition(4)(sequences()[0]), "must have shape"),
    ],
)
def test_bad_arguments_are_named(make, argument):
    with pytest.raises(ValueError, match=argument):
        make()
