"""Pooling: the largest value or the mean of each window."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasfound.layers.pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


EXAMPLES = {
    "MaxPooling2D": lambda: (MaxPooling2D(), images(2, 6, 5, 3)),
    "MaxPooling2D same": lambda: (MaxPooling2D(3, strides=2, padding="same"), images(2, 6, 5, 3)),
    "AveragePooling2D": lambda: (AveragePooling2D(2), images(2, 6, 5, 3)),
    "AveragePooling2D same": lambda: (AveragePooling2D((3, 2), strides=1, padding="same"), images(2, 6, 5, 3)),
    "GlobalAveragePooling2D": lambda: (GlobalAveragePooling2D(), images(2, 6, 5, 3)),
    "GlobalMaxPooling2D": lambda: (GlobalMaxPooling2D(keepdims=True), images(2, 6, 5, 3)),
}

WINDOWED = [(MaxPooling2D, np.max), (AveragePooling2D, np.mean)]
GLOBAL = [(GlobalMaxPooling2D, np.max), (GlobalAveragePooling2D, np.mean)]


def assert_close(ours, theirs):
    ours, theirs = (ops.convert_to_numpy(y) for y in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * max(1.0, np.abs(theirs).max()))


def assert_like_keras(layer, x, gradient):
    theirs = getattr(keras.layers, type(layer).__name__).from_config(layer.get_config())
    assert_close(layer(x), theirs(x))
    assert_close(gradient(layer, x)[0], gradient(theirs, x)[0])
    assert layer.compute_output_shape(x.shape) == layer(x).shape == theirs(x).shape


@pytest.mark.parametrize("layer", [cls for cls, _ in WINDOWED])
@pytest.mark.parametrize("strides", [None, 1, (2, 3)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_windows_are_those_of_keras(layer, strides, padding, gradient):
    assert_like_keras(layer((2, 3), strides, padding), images(2, 7, 6, 3), gradient)


@pytest.mark.parametrize("layer", [cls for cls, _ in WINDOWED])
def test_channels_first_is_that_of_keras(layer, gradient):
    assert_like_keras(layer(2, data_format="channels_first"), images(2, 3, 7, 6), gradient)


@pytest.mark.parametrize("layer", [cls for cls, _ in GLOBAL])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_whole_images_are_those_of_keras(layer, keepdims, data_format, gradient):
    assert_like_keras(layer(data_format, keepdims), images(2, 7, 6, 3), gradient)


@pytest.mark.parametrize(("layer", "summary"), WINDOWED)
def test_each_number_is_the_summary_of_its_window(layer, summary):
    x = images(2, 6, 9, 3)
    windows = x.reshape(2, 3, 2, 3, 3, 3)  # batch, row, in window, column, in window, channel
    assert_close(layer((2, 3))(x), summary(windows, axis=(2, 4)))


@pytest.mark.parametrize(("layer", "summary"), GLOBAL)
def test_a_whole_image_is_one_window(layer, summary):
    x = images(2, 6, 5, 3)
    assert_close(layer()(x), summary(x, axis=(1, 2)))


def test_padding_changes_neither_the_maximum_nor_the_mean():
    x = -np.ones((1, 3, 3, 1), "float32")
    for layer in (MaxPooling2D, AveragePooling2D):
        assert_close(layer(2, padding="same")(x), -np.ones((1, 2, 2, 1), "float32"))


def test_the_gradient_goes_to_the_largest_pixel_or_equally_to_all(gradient):
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    largest = np.zeros((4, 4), "float32")
    largest[1::2, 1::2] = 1
    assert_close(gradient(MaxPooling2D(), x)[0][0, :, :, 0], largest)
    assert_close(gradient(AveragePooling2D(2), x)[0], np.full_like(x, 1 / 4))
    assert_close(gradient(GlobalAveragePooling2D(), x)[0], np.full_like(x, 1 / 16))


@pytest.mark.parametrize("layer", [MaxPooling2D(2), AveragePooling2D(2)])
def test_images_of_any_size(layer):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, GlobalMaxPooling2D()(layer(inputs)))
    for shape in ((1, 4, 6, 3), (2, 9, 5, 3)):
        assert model(images(*shape)).shape == (shape[0], 3)


@pytest.mark.parametrize("layer", [MaxPooling2D, AveragePooling2D])
@pytest.mark.parametrize(
    ("argument", "value"), [("pool_size", 0), ("padding", "full"), ("data_format", "first"), ("strides", -1)]
)
def test_a_bad_argument_is_named(layer, argument, value):
    with pytest.raises(ValueError, match=argument):
        layer(**({"pool_size": 2} | {argument: value}))
