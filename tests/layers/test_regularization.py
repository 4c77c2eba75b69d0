"""Random changes in training, none afterwards: dropout keeps the mean, a translation changes no pixel value."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.regularization import Dropout, RandomTranslation

EXAMPLES = {
    "Dropout": lambda: (Dropout(0.5, seed=1), np.ones((2, 4), "float32")),
    "Dropout noise_shape": lambda: (Dropout(0.2, noise_shape=(None, 1, 4)), np.ones((2, 3, 4), "float32")),
    "RandomTranslation": lambda: (RandomTranslation(1, seed=1), np.arange(40, dtype="float32").reshape(2, 4, 5, 1)),
}


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("noise_shape", [None, (None, 1, 5), (4, 3, 1)])
@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 0.9, 1])
def test_the_same_seed_drops_what_keras_drops(rate, noise_shape, gradient):
    x = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("float32")
    ours, theirs = (layer(rate, noise_shape=noise_shape, seed=7) for layer in (Dropout, keras.layers.Dropout))
    for _ in range(2):  # two calls, two masks
        np.testing.assert_allclose(numpy(ours(x, training=True)), numpy(theirs(x, training=True)), atol=1e-6, rtol=1e-6)
    a, b = (gradient(lambda v, layer=layer: layer(v, training=True), x)[0] for layer in (ours, theirs))
    np.testing.assert_allclose(a, b, atol=1e-6)


@given(st.floats(0.05, 0.95), st.integers(0, 10**6))
def test_dropout_keeps_the_mean_and_drops_the_share_rate(rate, seed):
    y = numpy(Dropout(rate, seed=seed)(np.ones((100, 100), "float32"), training=True))
    deviation = np.sqrt(rate / (1 - rate) / y.size)  # of the mean of y
    assert abs(y.mean() - 1) < 6 * deviation
    assert np.unique(y).size == 2
    np.testing.assert_allclose(y.max(), 1 / (1 - rate), rtol=1e-6)


def test_each_call_in_training_draws_a_new_mask():
    x, layer = np.ones((8, 8), "float32"), Dropout(0.5, seed=3)
    assert not np.array_equal(numpy(layer(x, training=True)), numpy(layer(x, training=True)))
    np.testing.assert_array_equal(numpy(layer(x)), x)


def test_a_1_in_the_noise_shape_shares_one_draw_along_the_axis():
    y = numpy(Dropout(0.5, noise_shape=(None, 1, 1, None), seed=1)(np.ones((8, 3, 3, 8), "float32"), training=True))
    assert (y == y[:, :1, :1]).all()
    assert np.unique(y).size == 2


def test_dropout_does_not_hide_nan():
    """Keras replaces a dropped NaN by 0, which hides that training has failed."""
    assert np.isnan(numpy(Dropout(0.5, seed=1)(np.full((8, 8), np.nan, "float32"), training=True))).all()


def test_it_trains_inside_a_model_of_unknown_batch_size():
    model = keras.Sequential([keras.Input((4,)), Dropout(0.5, noise_shape=(None, 4)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((7, 4), "float32")
    assert np.isfinite(model.fit(x, x[:, :1], batch_size=3, verbose=0).history["loss"][0])


@pytest.mark.parametrize(
    ("argument", "value"), [("rate", 1.5), ("rate", -0.1), ("noise_shape", (0, 2)), ("noise_shape", 3)]
)
def test_a_bad_argument_is_named(argument, value):
    with pytest.raises(ValueError, match=argument):
        Dropout(**({"rate": 0.5} | {argument: value}))


def test_a_translation_moves_the_image_and_changes_no_pixel_value():
    images = np.zeros((50, 9, 7, 2), "float32")
    images[:, 4, 3] = np.stack([np.arange(1, 51), np.arange(51, 101)], axis=1)
    translated = numpy(RandomTranslation(2, seed=0)(images, training=True))
    assert np.array_equal(translated.sum(axis=(1, 2)), images[:, 4, 3])
    down, right = (axis - middle for axis, middle in zip(translated[..., 0].nonzero()[1:], (4, 3), strict=True))
    assert (min(down), max(down), min(right), max(right)) == (-2, 2, -2, 2)
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.5
    still = numpy(RandomTranslation(2, seed=0)(images))
    assert np.array_equal(still, images)


@given(st.integers(0, 3), st.integers(4, 6), st.integers(4, 6), st.integers(0, 99))
def test_a_translated_image_is_a_crop_of_the_padded_one(pixels, height, width, seed):
    x = 1 + np.random.default_rng(seed).random((1, height, width, 1), "float32")
    y = numpy(RandomTranslation(pixels, seed=seed)(x, training=True))
    padded = np.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    cuttings = [padded[:, i : i + height, k : k + width] for i in range(2 * pixels + 1) for k in range(2 * pixels + 1)]
    assert any(np.array_equal(y, cutting) for cutting in cuttings)


@pytest.mark.parametrize(
    ("pixels", "shape", "message"),
    [
        (-1, (1, 8, 8, 1), "`pixels` must be a whole number of at least 0, got -1"),
        (1.5, (1, 8, 8, 1), "`pixels` must be a whole number of at least 0, got 1.5"),
        (8, (1, 9, 8, 1), r"height and width known and above `pixels` = 8, got \(1, 9, 8, 1\)"),
        (1, (8, 8, 1), r"must be \(batch, height, width, channels\)"),
    ],
)
def test_bad_pixels_and_shapes_are_refused(pixels, shape, message):
    with pytest.raises(ValueError, match=message):
        RandomTranslation(pixels)(np.zeros(shape, "float32"))
