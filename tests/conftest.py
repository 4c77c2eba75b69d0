"""Fixtures of all tests: a backend without log messages, gradients on any backend, prepared data, a finished run."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "agg")
if os.environ["KERAS_BACKEND"] == "jax":  # in these tests compiling takes longer than computing
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
    # share compiled code between workers and between test runs
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import numpy as np
import pytest

# JAX compiles again for every new shape that hypothesis generates
hypothesis.settings.register_profile(
    "blocks", deadline=None, max_examples=5 if os.environ["KERAS_BACKEND"] == "jax" else 20
)
hypothesis.settings.load_profile("blocks")

if os.environ["KERAS_BACKEND"] == "torch":
    import torch

    # NumPy converts tensors with this method, which fails in torch for tensors that require gradients
    _to_array = torch.Tensor.__array__
    torch.Tensor.__array__ = lambda tensor, *args, **kwargs: _to_array(tensor.detach(), *args, **kwargs)


@pytest.fixture(scope="session")
def gradient():
    """`gradient(f, *arrays)`: the derivative of sum(f(*arrays)) with respect to each array, as NumPy."""
    return _gradient


@pytest.fixture(scope="session")
def weight_gradients():
    """`weight_gradients(layer, inputs, **call)`: the derivative of sum(layer(inputs)) for each trainable weight."""
    return _weight_gradients


def _gradient(function, *arrays):
    import keras

    if keras.backend.backend() == "jax":
        import jax

        gradients = jax.grad(lambda xs: keras.ops.sum(function(*xs)))([jax.numpy.asarray(a) for a in arrays])
    elif keras.backend.backend() == "torch":
        import torch

        tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
        total = keras.ops.sum(function(*tensors))
        gradients = [torch.zeros_like(t) for t in tensors]
        if tensors and total.requires_grad:
            gradients = torch.autograd.grad(total, tensors, materialize_grads=True)
    else:
        import tensorflow as tf

        tensors = [tf.constant(a) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total = keras.ops.sum(function(*tensors))
        gradients = tape.gradient(total, tensors, unconnected_gradients="zero")
    return [np.asarray(keras.ops.convert_to_numpy(g)) for g in gradients]


def _as_tensor(x):
    import keras

    return keras.ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x


def _weight_gradients(layer, inputs, **call):
    import keras

    # `stateless_call` skips the conversion of the layer's `__call__`
    inputs, call = keras.tree.map_structure(_as_tensor, (inputs, call))
    if not layer.built:
        layer(inputs, **call)
    non_trainable = [v.value for v in layer.non_trainable_variables]

    def output(*weights):
        outputs, _ = layer.stateless_call(list(weights), non_trainable, inputs, **call)
        return sum(keras.ops.sum(keras.ops.cast(y, "float32")) for y in keras.tree.flatten(outputs))

    return _gradient(output, *[keras.ops.convert_to_numpy(v.value) for v in layer.trainable_variables])


@pytest.fixture(scope="session")
def tfds_dir():
    """A folder of prepared TFDS data that contains MNIST."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if not os.path.isdir(os.path.join(folder, "mnist")):
        reason = "TFDS_DATA_DIR does not contain a prepared mnist"
        if os.environ.get("KERASFOUND_REQUIRE_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory):
    """A separate cache folder, so that tests do not use or change the cache of the user."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["KERASFOUND_CACHE_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A finished run of the MNIST recipe on the built-in digits."""
    import kerasfound as kf
    from kerasfound.recipes import mnist_cnn

    out = str(tmp_path_factory.mktemp("runs") / "digits")
    return kf.training.execute(mnist_cnn, mnist_cnn.Config(data="digits", epochs=6, batch_size=64, out=out))


@pytest.fixture
def kerasfound():
    """`kerasfound("run", "mnist_cnn", ...)` runs the command line in a new process and returns the finished process."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "kerasfound", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | environment,
        )

    return run
