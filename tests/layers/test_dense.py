"""Dense is activation(x W + b), with Keras's weights, numbers and quantization."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.dense import Dense


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


EXAMPLES = {
    "Dense": lambda: (Dense(3, activation="tanh"), normal(2, 4)),
    "Dense on sequences": lambda: (Dense(3, use_bias=False), normal(2, 5, 4)),
}

VARIANTS = [
    {},
    {"activation": "relu", "use_bias": False},
    {"activation": "softmax", "kernel_constraint": "non_neg"},
    {"kernel_regularizer": "l2", "bias_initializer": "ones", "activity_regularizer": "l1"},
    {"lora_rank": 2},
]


def like_keras(layer, x, seed=1):
    theirs = getattr(keras.layers, type(layer).__name__).from_config(layer.get_config())
    layer(x), theirs(x)
    random = np.random.default_rng(seed)
    weights = [random.normal(size=w.shape) for w in layer.get_weights()]
    layer.set_weights(weights)
    theirs.set_weights(weights)
    return theirs


def assert_close(ours, theirs):
    ours, theirs = (ops.convert_to_numpy(y) for y in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("arguments", VARIANTS)
@pytest.mark.parametrize("shape", [(2, 4), (2, 5, 4), (2, 3, 5, 4)])
def test_output_weights_and_gradients_are_those_of_keras(arguments, shape, gradient, weight_gradients):
    x, layer = normal(*shape), Dense(3, **arguments)
    theirs = like_keras(layer, x)
    assert_close(layer(x), theirs(x))
    assert_close(sum(layer.losses), sum(theirs.losses))
    assert [(w.name, w.shape) for w in layer.weights] == [(w.name, w.shape) for w in theirs.weights]
    for a, b in zip(weight_gradients(layer, x), weight_gradients(theirs, x), strict=True):
        assert_close(a, b)
    assert_close(gradient(layer, x)[0], gradient(theirs, x)[0])


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 10**6))
def test_a_layer_without_activation_is_an_affine_map(batch, features, units, seed):
    x, y = normal(2, batch, features, seed=seed)
    layer = Dense(units, bias_initializer="ones")
    assert_close(layer(x + y), layer(x) + layer(y) - 1)


def test_a_stack_without_activation_is_one_matrix():
    x, first, second = normal(2, 4), Dense(5, use_bias=False), Dense(3, use_bias=False)
    y = second(first(x))
    assert_close(y, x @ (ops.convert_to_numpy(first.kernel) @ ops.convert_to_numpy(second.kernel)))


def test_the_derivative_is_the_one_of_the_docstring(gradient, weight_gradients):
    x, layer = normal(2, 4), Dense(3, activation="tanh")
    delta = 1 - np.square(ops.convert_to_numpy(layer(x)))
    dW, db = weight_gradients(layer, x)
    assert_close(dW, x.T @ delta)
    assert_close(db, delta.sum(0))
    assert_close(gradient(layer, x)[0], delta @ ops.convert_to_numpy(layer.kernel).T)


def test_a_mask_passes_through():
    inputs = keras.Input((None,))
    masked = keras.layers.Embedding(4, 2, mask_zero=True)(inputs)
    assert getattr(Dense(3)(masked), "_keras_mask", None) is not None


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_the_quantized_layer_equals_keras(mode):
    x, layer = normal(2, 4), Dense(3, activation="relu")
    theirs = like_keras(layer, x)
    layer.quantize(mode)
    theirs.quantize(mode)
    assert_close(layer(x), theirs(x))


@pytest.mark.parametrize("units", [0, -1, 2.5, "3", None])
def test_units_must_be_a_positive_integer(units):
    with pytest.raises(ValueError, match="units"):
        Dense(units)
