"""Normalization: mean 0 and variance 1 over batch or features, equal to Keras, in half precision too."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.normalization import BatchNormalization, LayerNormalization, RMSNormalization


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(3, 2, size=shape).astype("float32")


EXAMPLES = {
    "BatchNormalization": lambda: (BatchNormalization(), normal(4, 3)),
    "BatchNormalization of images": lambda: (BatchNormalization(momentum=0.9, scale=False), normal(2, 4, 4, 3)),
    "LayerNormalization": lambda: (LayerNormalization(), normal(4, 3)),
    "LayerNormalization two axes": lambda: (LayerNormalization(axis=[1, 2], center=False), normal(4, 3, 5)),
    "RMSNormalization": lambda: (RMSNormalization(), normal(4, 3)),
}

VARIANTS = [
    (LayerNormalization, {}),
    (LayerNormalization, {"axis": [1, 2], "epsilon": 1e-6, "gamma_regularizer": "l2"}),
    (LayerNormalization, {"axis": 1, "scale": False}),
    (LayerNormalization, {"axis": (-1,), "center": False}),
    (RMSNormalization, {}),
    (RMSNormalization, {"axis": [1, 2], "epsilon": 1e-2}),
    (BatchNormalization, {}),
    (BatchNormalization, {"axis": 1, "momentum": 0.5, "epsilon": 1e-5}),
    (BatchNormalization, {"scale": False, "center": False}),
    (BatchNormalization, {"renorm": True, "renorm_clipping": {"rmax": 3.0}}),
]


def numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def like_keras(layer, x, seed=1):
    theirs = getattr(keras.layers, type(layer).__name__).from_config(layer.get_config())
    layer(x), theirs(x)
    random = np.random.default_rng(seed)
    weights = [random.uniform(0.5, 2, size=w.shape) for w in layer.get_weights()]
    layer.set_weights(weights)
    theirs.set_weights(weights)
    return theirs


def assert_close(ours, theirs, tolerance=1e-6):
    ours, theirs = numpy(ours), numpy(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize(("layer", "arguments"), VARIANTS)
@pytest.mark.parametrize("training", [False, True])
def test_output_gradients_and_running_means_are_those_of_keras(layer, arguments, training, gradient, weight_gradients):
    call = {"training": training} if layer is BatchNormalization else {}
    if keras.backend.backend() == "torch" and layer is LayerNormalization and arguments.get("axis") == 1:
        pytest.skip("Keras's own layer fails on torch over an axis that is not the last")
    x, ours = normal(6, 4, 5), layer(**arguments)
    theirs = like_keras(ours, x)
    slopes = ops.convert_to_tensor(normal(6, 4, 5, seed=2))  # the gradient of a plain sum is 0 through a normalization
    for a, b in zip(weight_gradients(ours, x, **call), weight_gradients(theirs, x, **call), strict=True):
        assert_close(
            a, b, tolerance=1e-6 if keras.backend.backend() != "torch" else 1e-5
        )  # Keras's sum is less precise there
    if not ours.trainable_weights or "renorm" not in arguments:
        results = [
            gradient(
                lambda v, f=f: (
                    f.stateless_call(f.trainable_variables, f.non_trainable_variables, v, **call)[0] * slopes
                ),
                x,
            )[0]
            for f in (ours, theirs)
        ]
        assert_close(*results, tolerance=2e-6)
    assert_close(ours(x, **call), theirs(x, **call))
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        assert (a.name, a.dtype, a.trainable) == (b.name, b.dtype, b.trainable)
        assert_close(a, b)


@given(st.integers(2, 8), st.floats(-100, 100), st.floats(0.5, 100), st.integers(0, 10**6))
def test_the_result_has_mean_0_and_variance_1_for_any_shift_and_scale(features, shift, scale, seed):
    x = shift + scale * normal(16, features, seed=seed)
    over_batch = numpy(BatchNormalization(epsilon=0.0)(x, training=True))
    over_features = numpy(LayerNormalization(epsilon=0.0)(x))
    for y, axis in ((over_batch, 0), (over_features, 1)):
        np.testing.assert_allclose(y.mean(axis), 0, atol=1e-2)
        np.testing.assert_allclose(y.var(axis), 1, atol=1e-2)
    length = numpy(RMSNormalization()(x))
    np.testing.assert_allclose(np.square(length).mean(1), 1, atol=1e-3)


def test_layer_and_rms_normalization_act_on_each_example_alone():
    x = normal(6, 5)
    for layer in (LayerNormalization(), RMSNormalization()):
        assert_close(layer(x)[2:3], layer(x[2:3]))


def test_the_weight_is_along_its_axis():
    """Keras's RMSNormalization puts it along the last axis for any `axis`: an error, or a different result."""
    x, layer = normal(2, 4, 3), RMSNormalization(axis=1)
    layer(x)
    layer.set_weights([np.arange(4)])
    over_last = RMSNormalization()
    over_last(np.swapaxes(x, 1, 2))
    over_last.set_weights([np.arange(4)])
    assert_close(layer(x), np.swapaxes(numpy(over_last(np.swapaxes(x, 1, 2))), 1, 2))


def test_running_means_converge_and_are_used_afterwards():
    layer, x = BatchNormalization(momentum=0.5), normal(64, 3)
    for _ in range(30):
        layer(x, training=True)
    assert_close(layer.moving_mean, x.mean(0))
    assert_close(layer.moving_variance, x.var(0))
    assert_close(layer(x), layer(x, training=True))


def test_a_frozen_layer_uses_and_keeps_its_running_means():
    layer, x = BatchNormalization(), normal(4, 3)
    layer(x)
    layer.trainable = False
    assert_close(layer(x, training=True), x / np.sqrt(1 + 1e-3))
    assert_close(layer.moving_mean, np.zeros(3))


@pytest.mark.parametrize("axis", [-1, 2])
def test_masked_positions_do_not_count(axis):
    x, mask = normal(3, 4, 5), np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], bool)
    ours, theirs = BatchNormalization(axis, momentum=0.0), keras.layers.BatchNormalization(axis, momentum=0.0)
    assert_close(ours(x, training=True, mask=mask), theirs(x, training=True, mask=mask))
    assert_close(ours.moving_mean, x[mask].mean(0), tolerance=1e-5)
    other = np.where(mask[..., None], x, 1e6).astype("float32")
    seen = mask[..., None] * numpy(BatchNormalization()(other, training=True, mask=mask))
    assert_close(seen, mask[..., None] * numpy(BatchNormalization()(x, training=True, mask=mask)))


def test_a_mask_from_an_embedding_reaches_it_in_a_sequence_of_unknown_length():
    inputs = keras.Input((None,))
    embedded = keras.layers.Embedding(9, 3, mask_zero=True)(inputs)
    model = keras.Model(inputs, BatchNormalization(momentum=0.0)(embedded))
    model(np.array([[1, 2, 0, 0]]), training=True)
    rows = numpy(model.layers[1].embeddings)[[1, 2]]
    norm = next(layer for layer in model.layers if isinstance(layer, BatchNormalization))
    assert_close(norm.moving_mean, rows.mean(0))


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("layer", [LayerNormalization, RMSNormalization, BatchNormalization])
def test_half_precision_keeps_its_digits_far_from_0(layer, dtype):
    call = {"training": True} if layer is BatchNormalization else {}
    x = ops.cast(1000 + 8 * normal(32, 32), dtype.removeprefix("mixed_"))
    half, full = layer(dtype=dtype), layer()
    y = half(x, **call)
    assert keras.backend.standardize_dtype(y.dtype) == dtype.removeprefix("mixed_")
    assert_close(y, full(ops.cast(x, "float32"), **call), tolerance=1e-2)
    assert_close(y, getattr(keras.layers, layer.__name__)(dtype=dtype)(x, **call), tolerance=1e-2)


def test_nan_stays_nan():
    x = normal(4, 3)
    x[1, 1] = np.nan
    for layer in (LayerNormalization(), RMSNormalization()):
        assert np.isnan(numpy(layer(x))[1]).all()
    assert np.isnan(numpy(BatchNormalization()(x, training=True))[:, 1]).all()


@pytest.mark.parametrize("layer", [BatchNormalization, LayerNormalization, RMSNormalization])
@pytest.mark.parametrize(("argument", "value"), [("axis", "last"), ("axis", 1.5), ("epsilon", -1e-3)])
def test_a_bad_argument_is_named(layer, argument, value):
    with pytest.raises(ValueError, match=argument):
        layer(**{argument: value})


def test_a_bad_momentum_or_mask_is_named():
    with pytest.raises(ValueError, match="momentum"):
        BatchNormalization(momentum=1.1)
    with pytest.raises(ValueError, match="mask"):
        BatchNormalization()(normal(2, 3, 4), training=True, mask=np.ones((2,), bool))
