"""Convolution is one matrix product over all windows, the same at every place."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.convolution import Conv2D, im2col


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


EXAMPLES = {
    "Conv2D": lambda: (Conv2D(4, 3, activation="relu"), images(2, 7, 6, 3)),
    "Conv2D same, strided": lambda: (Conv2D(4, 3, strides=2, padding="same", use_bias=False), images(2, 7, 6, 3)),
}

VARIANTS = [
    {},
    {"padding": "same", "activation": "relu"},
    {"strides": (2, 1), "use_bias": False},
    {"padding": "same", "strides": 2},
    {"dilation_rate": 2, "padding": "same"},
    {"groups": 2, "kernel_regularizer": "l2"},
    {"lora_rank": 2},
]


def like_keras(layer, x, seed=1):
    theirs = keras.layers.Conv2D.from_config(layer.get_config())
    layer(x), theirs(x)
    random = np.random.default_rng(seed)
    weights = [random.normal(size=w.shape) for w in layer.get_weights()]
    layer.set_weights(weights)
    theirs.set_weights(weights)
    return theirs


def assert_close(ours, theirs, tolerance=1e-6):
    ours, theirs = (ops.convert_to_numpy(y) for y in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("arguments", VARIANTS)
def test_output_and_gradients_are_those_of_keras(arguments, gradient, weight_gradients):
    x, layer = images(2, 7, 6, 4), Conv2D(4, (3, 2), **arguments)
    theirs = like_keras(layer, x)
    assert_close(layer(x), theirs(x))
    for a, b in zip(weight_gradients(layer, x), weight_gradients(theirs, x), strict=True):
        assert_close(a, b)
    assert_close(gradient(layer, x)[0], gradient(theirs, x)[0])


def test_channels_first_does_what_keras_does():
    x, layer = images(2, 3, 6, 5), Conv2D(4, 3, data_format="channels_first", bias_initializer="ones")
    try:
        theirs = keras.layers.Conv2D.from_config(layer.get_config())(x)
    except Exception as error:
        with pytest.raises(type(error)):
            layer(x)
        pytest.skip("this backend has no channels_first convolution on this device")
    assert layer(x).shape == theirs.shape
    last = Conv2D(4, 3)
    last.build((None, 6, 5, 3))
    last.set_weights(layer.get_weights())
    assert_close(ops.transpose(layer(x), (0, 2, 3, 1)), last(np.transpose(x, (0, 2, 3, 1))))


@given(
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    step=st.integers(1, 2),
    padding=st.sampled_from(["valid", "same"]),
    dilation=st.integers(1, 2),
    seed=st.integers(0, 10**6),
)
def test_it_is_a_matrix_product_over_the_windows(window, step, padding, dilation, seed):
    dilation = dilation if step == 1 else 1
    x = images(2, 6, 5, 3, seed=seed)
    layer = Conv2D(4, window, strides=step, padding=padding, dilation_rate=dilation)
    y = layer(x)
    W = ops.reshape(layer.kernel, (-1, 4))
    assert_close(im2col(x, window, step, padding, dilation) @ W, y, tolerance=2e-6)


def test_im2col_has_the_gradient_of_the_convolution(gradient, weight_gradients):
    x, layer = images(2, 5, 5, 2), Conv2D(3, 3, use_bias=False)
    layer(x)
    W = ops.reshape(layer.kernel, (-1, 3))
    assert_close(gradient(lambda image: im2col(image, 3) @ W, x)[0], gradient(layer, x)[0], tolerance=2e-6)
    by_hand = ops.convert_to_numpy(im2col(x, 3)).reshape(-1, 18).sum(0)
    assert_close(weight_gradients(layer, x)[0].reshape(18, 3), np.stack([by_hand] * 3, 1), tolerance=2e-6)


def test_a_translated_image_gives_a_translated_output():
    x, layer = np.zeros((1, 9, 9, 1), "float32"), Conv2D(2, 3, padding="same")
    x[0, 3:5, 3:5] = 1
    translated = np.roll(x, (1, 2), axis=(1, 2))
    assert_close(layer(translated), np.roll(ops.convert_to_numpy(layer(x)), (1, 2), axis=(1, 2)))


def test_a_window_of_one_pixel_is_dense_at_every_pixel():
    x, layer = images(2, 3, 4, 5), Conv2D(6, 1)
    y, dense = layer(x), keras.layers.Dense(6)
    dense.build(x.shape)
    dense.set_weights([w.reshape(s.shape) for w, s in zip(layer.get_weights(), dense.get_weights(), strict=True)])
    assert_close(y, dense(x))


def test_dynamic_sizes_are_unknown_until_the_call():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, Conv2D(2, 3, strides=2)(inputs))
    assert model.output_shape == (None, None, None, 2)
    for height, width in ((7, 5), (4, 9)):
        assert model(images(1, height, width, 3)).shape == (1, (height - 3) // 2 + 1, (width - 3) // 2 + 1, 2)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("filters", 0), ("kernel_size", 0), ("strides", 0), ("padding", "full"), ("groups", 3), ("data_format", "first")],
)
def test_a_bad_argument_is_named(argument, value):
    with pytest.raises(ValueError, match=argument):
        Conv2D(**({"filters": 4, "kernel_size": 3} | {argument: value}))


def test_im2col_names_a_bad_argument():
    with pytest.raises(ValueError, match="`x`"):
        im2col(images(3, 3), 2)
    with pytest.raises(ValueError, match="`padding`"):
        im2col(images(1, 3, 3, 1), 2, padding="full")
