"""The gradient check passes right gradients, fails wrong ones, and lists kinks, which have none."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound import gradients

LAYERS = {
    "Dense": lambda: (keras.layers.Dense(3, activation="gelu"), (2, 4)),
    "Conv2D": lambda: (keras.layers.Conv2D(2, 3), (1, 5, 5, 2)),
    "LSTM": lambda: (keras.layers.LSTM(3), (2, 4, 5)),
    "Bidirectional": lambda: (keras.layers.Bidirectional(keras.layers.GRU(2)), (2, 3, 2)),
    "LayerNormalization": lambda: (keras.layers.LayerNormalization(), (2, 4)),
    "MaxPooling2D": lambda: (keras.layers.MaxPooling2D(), (1, 4, 4, 2)),
    "Sequential": lambda: (
        keras.Sequential([keras.layers.Dense(3, activation="relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1)]),
        (2, 4),
    ),
}


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_keras_layers_pass(name):
    layer, shape = LAYERS[name]()
    result = gradients.check(layer, normal(*shape))
    assert result.ok, str(result)
    assert not result.kinks
    assert len(result.comparisons) >= np.prod(shape)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_layer_of_any_precision_is_checked_in_float64(dtype):
    assert gradients.check(keras.layers.Dense(3, activation="tanh", dtype=dtype), normal(2, 4)).ok


def test_a_built_layer_is_checked_with_its_weights():
    layer = keras.layers.Dense(1, activation="relu", bias_initializer="ones")
    layer(np.zeros((1, 2), "float32"))
    layer.set_weights([np.array([[1.0], [2.0]]), np.array([-3.0])])
    kinks = gradients.check(layer, np.array([[1.0, 1.0]])).kinks  # 1 + 2 - 3 = 0
    assert {kink.place for kink in kinks} == {"x[0, 0]", "x[0, 1]", "kernel[0, 0]", "kernel[1, 0]", "bias[0]"}
    assert layer.compute_dtype == "float32"


def test_whole_numbers_are_inputs_without_a_gradient():
    result = gradients.check(keras.layers.Embedding(5, 2), np.array([[1, 2, 2]]))
    assert result.ok
    assert {entry.place.split("[")[0] for entry in result.comparisons} == {"embeddings"}


def test_several_inputs():
    two = [normal(2, 3), normal(2, 3) + 1]
    for result in (gradients.check(keras.layers.Multiply(), two), gradients.check(ops.multiply, two)):
        assert result.ok
        assert {entry.place.split("[")[0] for entry in result.comparisons} == {"x0", "x1"}


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_smooth_functions_have_no_kinks(x):
    def smooth(x):
        return ops.stack([ops.tanh(x), ops.gelu(x), ops.softplus(x), ops.square(x)])

    result = gradients.check(smooth, x)
    assert result.ok, str(result)
    assert not result.kinks, str(result)


@given(factor=st.floats(-3, 3).filter(lambda f: abs(f - 1) > 1e-5), x=st.floats(-3, 3))
def test_a_wrong_derivative_fails(factor, x):
    assert gradients.check(ops.sigmoid, [x], lambda x: ops.sigmoid(x) * (1 - ops.sigmoid(x))).ok
    wrong = gradients.check(ops.sigmoid, [x], lambda x: factor * ops.sigmoid(x) * (1 - ops.sigmoid(x)))
    assert not wrong.ok
    assert wrong.comparisons[0].by == "analytic"
    assert wrong.comparisons[-1].by == "automatic"


def test_a_wrong_automatic_gradient_fails():
    def forgets_half(x):
        return x * ops.stop_gradient(x)

    result = gradients.check(forgets_half, [1.0, 2.0])
    assert result.largest_error == pytest.approx(0.5)
    assert "WRONG" in str(result)


def test_the_constant_sum_of_softmax_does_not_hide_an_error():
    def wrong(x):
        return x * ops.stop_gradient(ops.softmax(x) / x)

    assert not gradients.check(wrong, normal(2, 3)).ok


def test_an_analytic_derivative_is_a_diagonal_or_a_whole_jacobian():
    def diagonal(x):
        return ops.softmax(x) * (1 - ops.softmax(x))

    def jacobian(x):
        p = ops.softmax(x)
        return ops.expand_dims(p, -1) * (ops.eye(3, dtype=x.dtype) - ops.expand_dims(p, -2))

    for derivative in (diagonal, jacobian):
        assert gradients.check(ops.softmax, normal(2, 3), derivative).ok
        assert not gradients.check(ops.softmax, normal(2, 3), lambda x, right=derivative: 1.01 * right(x)).ok


@pytest.mark.parametrize(
    ("function", "x", "kinks"),
    [
        (ops.relu, [-1.0, 0.0, 1.0], ["x[1]"]),
        (ops.abs, [0.0, 1e-3], ["x[0]"]),
        (ops.sign, [0.0, 2.0], ["x[0]"]),
        (ops.max, [1.0, 1.0, 0.0], ["x[0]", "x[1]"]),
        (ops.square, [0.0, 1e-9], []),
        (ops.gelu, [-0.7517916], []),  # where its slope is zero
        (lambda x: ops.sigmoid(1e4 * x), [0.0, 1e-4], []),  # steep, but smooth
    ],
)
def test_kinks_are_listed_and_do_not_fail(function, x, kinks):
    result = gradients.check(function, x)
    assert result.ok, str(result)
    assert [kink.place for kink in result.kinks] == kinks


def test_the_table_shows_the_largest_error_first_and_both_slopes_of_a_kink():
    lines = str(gradients.check(ops.relu, [-1.0, 0.0, 1.0])).splitlines()
    assert lines[0].startswith("gradients right")
    assert lines[-1].split()[:3] == ["x[1]", "automatic", lines[-1].split()[2]]
    assert [float(lines[-1].split()[3]), float(lines[-1].split()[4]) > 0] == [0.0, True]
    errors = [entry.error for entry in gradients.check(ops.tanh, normal(5)).comparisons]
    assert errors == sorted(errors, reverse=True)


def test_a_large_array_is_sampled():
    assert len(gradients.check(ops.tanh, normal(50, 50), entries=30).comparisons) == 30


def test_a_gradient_that_is_nan_fails():
    assert not gradients.check(ops.log, [-1.0]).ok


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gradients.check(ops.tanh, [1, 2]), "`x` must hold floating-point numbers"),
        (lambda: gradients.check(lambda x: ops.cast(x, "float32"), [1.0]), "must compute in float64"),
        (
            lambda: gradients.check(lambda x: ops.cast(ops.cast(x, "float32"), "float64"), [1 / 3]),
            "a step of lower precision",
        ),
        (lambda: gradients.check(ops.tanh, [1.0, 2.0], derivative=ops.sum), r"`derivative\(x\)` must have shape"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_float64_context_restores_all_settings():
    with gradients.float64():
        assert keras.backend.standardize_dtype(ops.tanh(ops.ones(2)).dtype) == "float64"
    with pytest.raises(ValueError, match="one"), gradients.float64():
        float("one")
    assert keras.config.floatx() == "float32"
    assert keras.config.dtype_policy().name == "float32"
    assert keras.backend.standardize_dtype(ops.tanh(ops.ones(2)).dtype) == "float32"
    assert keras.backend.standardize_dtype(keras.layers.Dense(1)(np.ones((1, 1))).dtype) == "float32"


def test_other_threads_keep_their_dtypes():
    """The default dtype policy and the dtype of results stay as they are."""

    def result_dtype():
        x = ops.convert_to_tensor(np.ones(2))
        return keras.backend.standardize_dtype(ops.tanh(ops.cast(x, "float64")).dtype)

    with ThreadPoolExecutor(1) as other_thread:
        before = result_dtype()
        assert other_thread.submit(keras.config.dtype_policy).result().name == "float32"
        with gradients.float64():
            assert result_dtype() == "float64"
            assert other_thread.submit(result_dtype).result() == before
            assert other_thread.submit(keras.config.dtype_policy).result().name == "float32"
        assert result_dtype() == before
