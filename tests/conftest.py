"""What every test may ask for: a quiet backend, gradients on any backend, the prepared data."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "agg")

import numpy as np
import pytest


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

        found = jax.grad(lambda xs: keras.ops.sum(function(*xs)))([jax.numpy.asarray(a) for a in arrays])
    elif keras.backend.backend() == "torch":
        import torch

        tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
        found = torch.autograd.grad(keras.ops.sum(function(*tensors)), tensors)
    else:
        import tensorflow as tf

        tensors = [tf.constant(a) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total = keras.ops.sum(function(*tensors))
        found = tape.gradient(total, tensors, unconnected_gradients="zero")
    return [np.asarray(keras.ops.convert_to_numpy(g)) for g in found]


def _weight_gradients(layer, inputs, **call):
    import keras

    if not layer.built:
        layer(inputs, **call)
    others = [v.value for v in layer.non_trainable_variables]

    def output(*weights):
        outputs, _ = layer.stateless_call(list(weights), others, inputs, **call)
        return sum(keras.ops.sum(keras.ops.cast(y, "float32")) for y in keras.tree.flatten(outputs))

    return _gradient(output, *[keras.ops.convert_to_numpy(v.value) for v in layer.trainable_variables])
