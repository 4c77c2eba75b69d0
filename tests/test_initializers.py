"""Initializers: the documented variance, and a signal that keeps its size through many layers."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound import activations, initializers

EXAMPLES = {
    "GlorotUniform": lambda: initializers.GlorotUniform(seed=1),
    "GlorotNormal": lambda: initializers.GlorotNormal(seed=1),
    "HeUniform": lambda: initializers.HeUniform(seed=1),
    "HeNormal": lambda: initializers.HeNormal(seed=1, input_axes=[0], output_axes=[1]),
    "LecunUniform": lambda: initializers.LecunUniform(),
    "LecunNormal": lambda: initializers.LecunNormal(seed=1),
    "Orthogonal": lambda: initializers.Orthogonal(gain=2.0, seed=1),
}
SCALED = [name for name in EXAMPLES if name != "Orthogonal"]
VARIANCE = {"Glorot": lambda i, o: 2 / (i + o), "He": lambda i, o: 2 / i, "Lecun": lambda i, o: 1 / i}
SHAPES = [(7, 5), (5, 7), (3, 3, 4, 6), (2, 9, 4), (8,), ()]


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_same_seed_same_numbers_as_keras(name, shape):
    if name == "Orthogonal" and len(shape) < 2:
        pytest.skip("there is no orthogonal vector")
    ours, theirs = (getattr(module, name)(seed=42)(shape) for module in (initializers, keras.initializers))
    np.testing.assert_allclose(numpy(ours), numpy(theirs), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", SCALED)
def test_axes_of_inputs_and_outputs_as_in_keras(name):
    axes = {"input_axes": [0, 1], "output_axes": [2]}
    ours, theirs = (getattr(module, name)(seed=42, **axes)((4, 5, 6)) for module in (initializers, keras.initializers))
    np.testing.assert_allclose(numpy(ours), numpy(theirs), rtol=1e-6)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtype_is_the_requested_one_as_in_keras(name, dtype):
    if (name, dtype) in [("Orthogonal", "float16"), ("Orthogonal", "bfloat16")]:
        pytest.skip("no backend factorizes in half precision, nor does Keras")
    ours, theirs = (getattr(module, name)(seed=42)((7, 5), dtype) for module in (initializers, keras.initializers))
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(numpy(ops.cast(ours, "float32")), numpy(ops.cast(theirs, "float32")))


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("shape", [(600, 200), (200, 600), (3, 3, 60, 200)], ids=str)
def test_variance_is_the_documented_one_and_the_mean_is_zero(name, shape):
    w = numpy(EXAMPLES[name]().__class__(seed=0)(shape))
    taps = np.prod(shape[:-2], initial=1)
    expected = VARIANCE[name.removesuffix("Uniform").removesuffix("Normal")](taps * shape[-2], taps * shape[-1])
    assert w.var() == pytest.approx(expected, rel=0.02)
    assert abs(w.mean()) < 5 * np.sqrt(expected / w.size)


def growth(initializer, activation, depth=20, width=512, stacks=3):
    """The variance after the last of `depth` layers, divided by the variance after the first."""
    seed = keras.random.SeedGenerator(0)
    logarithms = []
    for _ in range(stacks):
        x = ops.cast(np.random.default_rng(0).normal(size=(64, width)), "float32")
        variances = []
        for _ in range(depth):
            x = x @ initializer(seed=seed)((width, width))
            variances.append(float(ops.var(x)))
            x = activation(x)
        logarithms.append(np.log(variances[-1] / variances[0]))
    return np.exp(np.mean(logarithms))


@pytest.mark.parametrize("name", ["GlorotUniform", "GlorotNormal", "LecunUniform", "LecunNormal"])
def test_deep_linear_stack_keeps_its_variance(name):
    initializer = getattr(initializers, name)
    assert 0.4 < growth(initializer, activations.linear) < 2.5
    assert growth(initializer, activations.relu) < 1e-3  # each ReLU removes half of the mean square


def test_deep_orthogonal_stack_keeps_every_length():
    x = signal = np.random.default_rng(0).normal(size=(8, 32)).astype("float32")
    seed = keras.random.SeedGenerator(0)
    for _ in range(50):
        signal = signal @ numpy(initializers.Orthogonal(seed=seed)((32, 32)))
    np.testing.assert_allclose(np.linalg.norm(signal, axis=1), np.linalg.norm(x, axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", ["HeUniform", "HeNormal"])
def test_deep_relu_stack_keeps_its_variance(name):
    initializer = getattr(initializers, name)
    assert 0.4 < growth(initializer, activations.relu) < 2.5
    assert growth(initializer, activations.linear) > 1e4  # without ReLU it doubles in each layer


def test_glorot_keeps_the_gradient_as_well_as_the_signal(gradient):
    """For as many outputs as inputs; LeCun's variance is the same there, but differs for fewer outputs."""
    rng = np.random.default_rng(0)

    def ways(initializer, inputs, outputs):
        w = ops.convert_to_tensor(initializer(seed=0)((inputs, outputs)))
        x, upstream = (rng.normal(size=(500, n)).astype("float32") for n in (inputs, outputs))
        upstream = ops.convert_to_tensor(upstream)
        return np.var(numpy(ops.matmul(x, w))), np.var(gradient(lambda x: upstream * ops.matmul(x, w), x)[0])

    assert ways(initializers.GlorotNormal, 200, 200) == pytest.approx((1, 1), rel=0.1)
    assert ways(initializers.GlorotNormal, 300, 100) == pytest.approx((1.5, 0.5), rel=0.1)
    assert ways(initializers.LecunNormal, 300, 100) == pytest.approx((1, 1 / 3), rel=0.1)


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), gain=st.floats(0.25, 4), seed=st.integers(0, 1000))
def test_orthogonal_has_one_singular_value_the_gain(rows, columns, gain, seed):
    w = numpy(initializers.Orthogonal(gain=gain, seed=seed)((rows, columns)))
    np.testing.assert_allclose(np.linalg.svd(w, compute_uv=False), gain, rtol=1e-5)


@pytest.mark.parametrize("name", EXAMPLES)
def test_config_restores_it_and_it_initializes_a_layer(name):
    initializer = EXAMPLES[name]()
    again = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    assert type(again) is type(initializer)
    assert again.get_config() == initializer.get_config()
    layer = keras.layers.Dense(4, kernel_initializer=initializer)
    layer.build((None, 3))
    if initializer.get_config()["seed"] is not None:
        np.testing.assert_array_equal(numpy(layer.kernel), numpy(again((3, 4))))
        assert type(initializer.clone()) is type(initializer)


@pytest.mark.parametrize("name", EXAMPLES)
def test_arguments_and_config_are_those_of_keras(name):
    ours, theirs = (getattr(module, name)(seed=3) for module in (initializers, keras.initializers))
    assert ours.get_config() == theirs.get_config()


@pytest.mark.parametrize("name", EXAMPLES)
def test_seed_decides_whether_numbers_repeat(name):
    initializer = getattr(initializers, name)
    fixed, running = initializer(seed=5), initializer(seed=keras.random.SeedGenerator(5))
    np.testing.assert_array_equal(numpy(fixed((4, 4))), numpy(fixed((4, 4))))
    assert (numpy(running((4, 4))) != numpy(running((4, 4)))).any()
    assert (numpy(initializer()((4, 4))) != numpy(initializer()((4, 4)))).any()


@pytest.mark.parametrize("name", EXAMPLES)
def test_bad_seed_is_named(name):
    with pytest.raises(ValueError, match="`seed`"):
        getattr(initializers, name)(seed="seven")


def test_other_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`gain`"):
        initializers.Orthogonal(gain="2")
    with pytest.raises(ValueError, match="`shape`"):
        initializers.Orthogonal()((3,))
