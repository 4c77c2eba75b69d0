"""Activation layers: the functions of `kerasfound.activations`, with their arguments and with masks."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from kerasfound import activations, layers

X = np.random.default_rng(0).normal(scale=2, size=(3, 4)).astype("float32")
EXAMPLES = {
    "ReLU": lambda: (layers.ReLU(), X),
    "ReLU with all": lambda: (layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.5), X),
    "LeakyReLU": lambda: (layers.LeakyReLU(0.1), X),
    "ELU": lambda: (layers.ELU(alpha=0.5), X),
    "Softmax": lambda: (layers.Softmax(), X),
    "Softmax axes": lambda: (layers.Softmax(axis=[1, 2]), X.reshape(3, 2, 2)),
    "LogSoftmax": lambda: (layers.LogSoftmax(), X),
    "GELU": lambda: (layers.GELU(), X),
    "GELU tanh": lambda: (layers.GELU(approximate=True), X),
    "SiLU": lambda: (layers.SiLU(), X),
    "Swish": lambda: (layers.Swish(beta=0.5), X),
    "Sigmoid": lambda: (layers.Sigmoid(), X),
    "Tanh": lambda: (layers.Tanh(), X),
    "Softplus": lambda: (layers.Softplus(), X),
    "SquaredReLU": lambda: (layers.SquaredReLU(), X),
    "Step": lambda: (layers.Step(), X),
    "Sign": lambda: (layers.Sign(), X),
    "Linear": lambda: (layers.Linear(), X),
}
IN_KERAS = [
    ("ReLU", {}),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.5}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.1}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.5}),
    ("Softmax", {}),
    ("Softmax", {"axis": 0}),
    ("Softmax", {"axis": [0, 1]}),
]
FUNCTION = {
    "LogSoftmax": activations.log_softmax,
    "GELU": activations.gelu,
    "GELU tanh": lambda x: activations.gelu(x, approximate=True),
    "SiLU": activations.silu,
    "Swish": lambda x: activations.swish(x, 0.5),
    "Sigmoid": activations.sigmoid,
    "Tanh": activations.tanh,
    "Softplus": activations.softplus,
    "SquaredReLU": activations.squared_relu,
    "Step": activations.step,
    "Sign": activations.sign,
    "Linear": activations.linear,
}


def numpy(x):
    return ops.convert_to_numpy(x)


def assert_same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "arguments"), IN_KERAS)
def test_output_and_gradient_are_those_of_keras(name, arguments, gradient):
    ours, theirs = (getattr(module, name)(**arguments) for module in (layers, keras.layers))
    assert_same(numpy(ours(X)), numpy(theirs(X)))
    upstream = ops.convert_to_tensor(np.random.default_rng(1).normal(size=X.shape).astype("float32"))
    assert_same(gradient(lambda x: upstream * ours(x), X)[0], gradient(lambda x: upstream * theirs(x), X)[0])


@pytest.mark.parametrize("name", FUNCTION)
def test_layer_is_the_function(name):
    layer, x = EXAMPLES[name]()
    assert_same(numpy(layer(x)), numpy(FUNCTION[name](x)))


@pytest.mark.parametrize("name", EXAMPLES)
def test_config_restores_the_layer_and_shape_and_mask_are_kept(name):
    layer, x = EXAMPLES[name]()
    again = type(layer).from_config(layer.get_config())
    assert_same(numpy(again(x)), numpy(layer(x)))
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *x.shape[1:])
    if "Softmax" not in name:
        sequence = keras.layers.Masking()(ops.concatenate([ops.ones((2, 2, 4)), ops.zeros((2, 1, 4))], axis=1))
        assert numpy(layer(sequence)._keras_mask).tolist() == [[True, True, False]] * 2


MASKS = [
    np.array([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]], bool),
    np.array([[1.0, 0.4, 0.6, 0.0]] * 3, "float32"),
    np.array([1, 0, 1, 1], "int32"),
    np.array([[True], [False], [True]]),
]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("axis", [-1, 0, [0, 1]])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_masked_softmax_is_the_one_of_keras(mask, axis, dtype):
    ours, theirs = (module.Softmax(axis=axis, dtype=dtype) for module in (layers, keras.layers))
    mask = ops.convert_to_tensor(mask)
    tolerance = 1e-6 if dtype == "float32" else 2e-3
    np.testing.assert_allclose(numpy(ours(X, mask=mask)), numpy(theirs(X, mask=mask)), rtol=tolerance, atol=tolerance)


def test_masked_softmax_sums_to_one_over_unmasked_entries_and_ignores_the_others(gradient):
    mask = ops.convert_to_tensor(MASKS[0])
    p = numpy(layers.Softmax()(X, mask=mask))
    np.testing.assert_allclose(p.sum(axis=-1), [1, 1, 0], atol=1e-6)
    changed = np.where(MASKS[0], X, 1e4).astype("float32")
    assert_same(numpy(layers.Softmax()(changed, mask=mask)), p)
    slope = gradient(lambda x: ops.convert_to_tensor(X) * layers.Softmax()(x, mask=mask), X)[0]
    assert (slope[~MASKS[0]] == 0).all()


def test_swish_learns_its_beta(weight_gradients):
    layer = layers.Swish(beta=0.5)
    s = 1 / (1 + np.exp(-0.5 * X))
    np.testing.assert_allclose(weight_gradients(layer, X)[0], (X**2 * s * (1 - s)).sum(), rtol=1e-5)
    assert [w.name for w in layer.trainable_weights] == ["beta"]
    frozen = layers.Swish(trainable=False)
    assert_same(numpy(frozen(X)), numpy(keras.activations.silu(X)))
    assert not frozen.trainable_weights


def test_swish_keeps_a_learned_beta_in_a_file(tmp_path):
    layer = layers.Swish()
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.beta.assign(2.5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(numpy(again(X)), numpy(activations.swish(X, 2.5)))


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "swish", "softmax", "squared_relu"])
def test_function_in_a_saved_layer_is_restored_as_ours(name, tmp_path):
    """It is saved as `kerasfound>swish`; Keras's function of that name has no beta."""
    function = getattr(activations, name)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation=function)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[0].activation is function
    assert keras.activations.deserialize(keras.activations.serialize(function)) is function
    assert_same(numpy(again(X)), numpy(model(X)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_half_precision_input_gives_half_precision_output(name, policy):
    layer, x = EXAMPLES[name]()
    half = type(layer).from_config(layer.get_config() | {"dtype": policy})
    y = half(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    if name not in ("Step", "Sign"):
        np.testing.assert_allclose(numpy(ops.cast(y, "float32")), numpy(layer(x)), rtol=0.03, atol=0.03)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("ReLU", "max_value", -1.0),
        ("ReLU", "negative_slope", None),
        ("ReLU", "threshold", "0"),
        ("LeakyReLU", "negative_slope", -0.1),
        ("LeakyReLU", "negative_slope", "0.1"),
        ("ELU", "alpha", None),
        ("GELU", "approximate", "tanh"),
        ("Swish", "beta", "1"),
        ("Swish", "beta", math.nan),
        ("Softmax", "axis", "last"),
        ("LogSoftmax", "axis", 3),
    ],
)
def test_bad_argument_is_named(name, argument, value):
    with pytest.raises(ValueError, match=argument):
        getattr(layers, name)(**{argument: value})(X)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 4), (5, 1)])
def test_mask_that_does_not_fit_is_refused(shape):
    with pytest.raises(ValueError, match="`mask` must broadcast to the shape"):
        layers.Softmax()(X, mask=ops.ones(shape, "bool"))
