"""Activations: values, derivatives, ranges, kinks, and special values such as NaN."""

import json
import math
from itertools import product

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from kerasfound import activations, gradients

ELEMENTWISE = [
    *("relu", "leaky_relu", "elu", "gelu", "silu", "swish", "softplus", "squared_relu"),
    *("sigmoid", "tanh", "linear", "step", "sign"),
]
ALL = [*ELEMENTWISE, "softmax", "log_softmax"]
CASES = [
    *((name, {}) for name in ALL),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"threshold": 1.5}),
    ("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("elu", {"alpha": 0.5}),
    ("gelu", {"approximate": True}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": (0, 1)}),
    ("softmax", {"axis": None}),
    ("log_softmax", {"axis": 0}),
    ("log_softmax", {"axis": (0, 1)}),
]
OWN_CASES = [("swish", {"beta": 0.3}), ("swish", {"beta": 7.0})]
IN_KERAS = {
    "swish": keras.activations.silu,
    "squared_relu": lambda x: ops.square(ops.relu(x)),
    "step": lambda x: ops.where(x >= 0, 1.0, ops.where(x < 0, 0.0, x)),
    "sign": ops.sign,
}
ORDINARY = np.random.default_rng(0).normal(scale=3, size=(20, 8)).astype("float32")
BOUNDED = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}


def ids(case):
    return f"{case[0]}-{json.dumps(case[1])}" if isinstance(case, tuple) else None


def ours(name, arguments=None):
    return lambda x: getattr(activations, name)(x, **(arguments or {}))


def theirs(name, arguments=None):
    return lambda x: IN_KERAS.get(name, getattr(keras.activations, name, None))(x, **(arguments or {}))


def slope(name, arguments=None):
    return lambda x: getattr(activations, name).derivative(x, **(arguments or {}))


def numpy(x):
    return ops.convert_to_numpy(x)


def assert_same(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids=ids)
@pytest.mark.parametrize("scale", [1.0, 1e-30, 20.0], ids=lambda s: f"x{s:g}")
def test_curve_and_slope_are_those_of_keras(case, scale, gradient):
    x = scale * ORDINARY
    assert_same(numpy(ours(*case)(x)), numpy(theirs(*case)(x)))
    upstream = ops.convert_to_tensor(np.random.default_rng(1).normal(size=x.shape).astype("float32"))
    assert_same(
        gradient(lambda x: upstream * ours(*case)(x), x)[0],
        gradient(lambda x: upstream * theirs(*case)(x), x)[0],
        # the tanh form multiplies 1 - tanh^2 by 5 x: in float32 Keras's slope has this error too
        1e-5 if case == ("gelu", {"approximate": True}) else 1e-6,
    )


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_zero_huge_and_infinite_inputs_as_in_keras(name, gradient):
    # at its kink Keras's leaky ReLU has one slope on TensorFlow, another on JAX; ours is the lower on both
    zero = 1e-30 if name == "leaky_relu" else 0.0
    x = np.array([-np.inf, -1e30, -1e6, -100.0, zero, 100.0, 1e6, 1e30, np.inf, np.nan], "float32")
    if keras.backend.backend() == "torch":  # where Keras has NaN for the GELU of infinity and 0 for the sign of NaN
        x = {"gelu": x[:-2], "sign": x[:-1]}.get(name, x)
    assert_same(numpy(ours(name)(x)), numpy(theirs(name)(x)))
    assert_same(gradient(ours(name), x[:-1])[0], gradient(theirs(name), x[:-1])[0])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    "x",
    [[1e30, 0, -1e30], [3e38, 3e38, 0], [1.0, -np.inf, 2.0], [np.nan, 0.0, 1.0], [np.inf, 0.0, 1.0], [7.0, 7.0, 7.0]],
)
def test_huge_and_infinite_scores_as_in_keras(name, x):
    x = np.array(x, "float32")
    assert_same(numpy(ours(name)(x)), numpy(theirs(name)(x)))


@pytest.mark.parametrize("case", [*CASES, *OWN_CASES], ids=ids)
def test_nan_stays_nan(case):
    y = numpy(ours(*case)(np.array([[1.0, np.nan], [-3.0, 4.0]], "float32")))
    assert np.isnan(y[0, 1])
    assert np.isnan(numpy(slope(*case)(np.array([[np.nan, np.nan]], "float32")))).all() or case[0] == "linear"


def central_difference(f, x, h=1e-5):
    return (f(x + h) - f(x - h)) / (2 * h)


@pytest.fixture
def float64():
    """Double precision, which not every backend uses by default."""
    with gradients.float64():
        yield


ELEMENTWISE_CASES = [case for case in [*CASES, *OWN_CASES] if case[0] in ELEMENTWISE]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", ELEMENTWISE_CASES, ids=ids)
def test_derivative_is_the_slope_of_the_curve(case, gradient):
    x = np.linspace(-5.03, 5.07, 203)
    measured = central_difference(lambda x: numpy(ours(*case)(ops.convert_to_tensor(x))), x)
    for slopes in (numpy(slope(*case)(ops.convert_to_tensor(x))), gradient(ours(*case), x)[0]):
        assert slopes.dtype == "float64"
        np.testing.assert_allclose(slopes, measured, rtol=1e-6, atol=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "case", [case for case in CASES if "softmax" in case[0] and case[1].get("axis", -1) == -1], ids=ids
)
def test_derivative_of_softmax_is_the_diagonal_of_its_jacobian(case, gradient):
    x = np.random.default_rng(0).normal(size=(2, 3))
    diagonal = numpy(slope(*case)(ops.convert_to_tensor(x)))
    for place in np.ndindex(x.shape):

        def output(x, place=place):
            return ours(*case)(x)[place]

        automatic = gradient(output, x)[0][place]
        step = np.zeros_like(x)
        step[place] = 1e-5
        high, low = (float(output(ops.convert_to_tensor(x + s))) for s in (step, -step))
        np.testing.assert_allclose([automatic, (high - low) / 2e-5], diagonal[place], rtol=1e-6, atol=1e-9)


def test_jacobian_of_softmax_is_the_one_in_its_docstring(gradient):
    x, v = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    p = numpy(activations.softmax(x))
    weights = ops.convert_to_tensor(v)
    assert_same(gradient(lambda x: weights * activations.softmax(x), x)[0], (np.diag(p) - np.outer(p, p)) @ v)
    assert_same(gradient(lambda x: weights * activations.log_softmax(x), x)[0], v - p * v.sum())


@pytest.mark.parametrize("name", ALL)
def test_values_lie_in_the_range_and_reach_its_ends(name):
    low, high = getattr(activations, name).range
    x = np.concatenate([np.linspace(-10, 10, 2001), [-1e6, 1e6]]).astype("float32")
    y = numpy(ours(name)(x if name in ELEMENTWISE else np.stack([x, -x], axis=1)))
    assert y.min() >= low - 1e-6
    assert y.max() <= high + 1e-6
    assert y.min() < -9 if low == -math.inf else y.min() == pytest.approx(low, abs=1e-3)
    assert y.max() > 9 if high == math.inf else y.max() == pytest.approx(high, abs=1e-3)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_kinks_are_at_the_jumps_of_the_slope(name):
    def value(x):
        return numpy(ours(name)(ops.convert_to_tensor(x)))

    x, h = np.linspace(-4, 4, 81), 1e-6
    left, right = (value(x) - value(x - h)) / h, (value(x + h) - value(x)) / h
    jumps = (np.abs(left - right) > 1e-3) | (np.abs(left) > 1e3)
    np.testing.assert_allclose(x[jumps], getattr(activations, name).kinks, atol=1e-9)


scores = arrays("float32", (3, 4), elements=st.floats(-50, 50, width=32))


@given(x=scores, shift=st.floats(-50, 50, width=32))
def test_softmax_sums_to_one_keeps_the_order_and_ignores_a_shift(x, shift):
    p = numpy(activations.softmax(x))
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(numpy(activations.softmax(x + shift)), p, atol=1e-5)
    row, order = np.arange(3)[:, None], np.argsort(x, axis=-1)
    assert (np.diff(p[row, order], axis=-1) >= -1e-7).all()


@given(x=scores)
def test_identities_between_activations(x):
    a = activations
    assert_same(np.exp(numpy(a.log_softmax(x))), numpy(a.softmax(x)), 1e-5)
    assert_same(numpy(a.sigmoid(x)) + numpy(a.sigmoid(-x)), np.ones_like(x))
    assert_same(numpy(a.tanh(x)), 2 * numpy(a.sigmoid(2 * x)) - 1)
    assert_same(numpy(a.softplus(x)) - numpy(a.softplus(-x)), x, 1e-5)
    assert_same(numpy(a.swish(x, 0.0)), x / 2)
    assert_same(numpy(a.swish(x)), numpy(a.silu(x)))
    assert_same(numpy(a.leaky_relu(x)), numpy(a.relu(x, negative_slope=0.2)))
    assert_same(numpy(a.gelu(x)), numpy(a.gelu(x, approximate=True)), 5e-4)
    assert_same(numpy(a.squared_relu(x)), x * numpy(a.relu(x)))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [(1, 2), None, 1])
def test_axes_of_unknown_size(name, axis):
    function, x = getattr(activations, name), ORDINARY[:12].reshape(4, 8, 3)
    symbol = keras.Input((None, None))
    model = keras.Model(symbol, keras.layers.Lambda(lambda x: function(x, axis=axis))(symbol))
    for sizes in (3, 8):
        expected = theirs(name, {"axis": axis})(x[:, :sizes])
        assert_same(model.predict(x[:, :sizes], verbose=0), numpy(expected), 1e-5)


def test_relu_above_a_threshold_is_the_formula():
    x = np.array([-np.inf, -2.0, 0.0, 1.0, 1.5, 3.0, np.inf], "float32")
    y = numpy(activations.relu(x, negative_slope=0.5, max_value=2.0, threshold=1.0))
    assert_same(y, [-np.inf, -1.5, -0.5, 0.0, 1.5, 2.0, 2.0])
    assert_same(numpy(activations.relu(x, threshold=1.0)), [0, 0, 0, 0, 1.5, 3.0, np.inf])


def test_approximate_gelu_learns_from_large_inputs_in_half_precision(gradient):
    x = np.array([-300.0, -41.0, 41.0, 300.0], "float16")
    assert_same(gradient(ours("gelu", {"approximate": True}), x)[0], [0, 0, 1, 1])


@pytest.mark.parametrize(("name", "dtype"), product(ALL, ["float16", "bfloat16"]))
def test_half_precision_stays_half_precision_and_close(name, dtype):
    y = ours(name)(ops.convert_to_tensor(ORDINARY, dtype=dtype))
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert_same(numpy(ops.cast(y, "float32")), numpy(ours(name)(ORDINARY)), 10 * BOUNDED[dtype])


@pytest.mark.parametrize("case", [("relu", {}), ("softmax", {}), ("log_softmax", {})], ids=ids)
def test_gradients_check_agrees(case):
    assert gradients.check(getattr(activations, case[0]), [[-1.5, 0.5, 2.0]]).ok


@pytest.mark.parametrize("name", ALL)
def test_a_config_restores_name_and_function(name):
    function = getattr(activations, name)
    config = json.loads(json.dumps(keras.activations.serialize(function)))
    assert keras.activations.deserialize(config) is function
    assert keras.saving.get_registered_name(function) == f"kerasfound>{name}"


@pytest.mark.parametrize("name", ALL)
def test_works_on_lists_integers_scalars_and_symbols(name):
    function = getattr(activations, name)
    assert_same(numpy(function([[1, 2], [-3, 0]])), numpy(function(np.array([[1.0, 2.0], [-3.0, 0.0]], "float32"))))
    if name in ELEMENTWISE:
        assert numpy(function(0.5)).shape == ()
    symbol = keras.Input((None, 3))
    model = keras.Model(symbol, function(symbol))
    x = ORDINARY[:12].reshape(4, 8, 3)
    assert_same(numpy(model(x)), numpy(function(x)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "x", ["one", None, [True, False], 1j, object()], ids=["text", "nothing", "booleans", "complex", "object"]
)
def test_input_that_is_not_real_numbers_is_named(name, x):
    with pytest.raises(ValueError, match="`x` must be"):
        getattr(activations, name)(x)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("relu", "negative_slope", "0.1"),
        ("relu", "threshold", None),
        ("relu", "max_value", "6"),
        ("leaky_relu", "negative_slope", None),
        ("elu", "alpha", [1.0]),
        ("gelu", "approximate", "tanh"),
        ("swish", "beta", "1"),
        ("relu", "negative_slope", -0.1),
        ("relu", "max_value", -1.0),
        ("relu", "threshold", float("nan")),
        ("softmax", "axis", "last"),
        ("softmax", "axis", 2),
        ("log_softmax", "axis", (0, 2)),
        ("log_softmax", "axis", -3),
    ],
)
def test_bad_argument_is_named(name, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        getattr(activations, name)(ORDINARY, **{argument: value})
