"""Automatic differentiation on any backend: the gradient of a function of arrays."""

import keras
import numpy as np
from keras import ops


def gradients(function, arrays):
    r"""Differentiate a scalar function of arrays with the backend's automatic differentiation.

    $$g_k = \frac{\partial f(x_1, \dots, x_n)}{\partial x_k}$$

    Shapes: each $g_k$ has the shape of $x_k$.

    Args:
        function: $f$, called with a tensor for each array; returns one number.
        arrays: $x_1, \dots, x_n$, arrays or tensors of floating-point numbers.

    Returns:
        $g_1, \dots, g_n$ as NumPy arrays; zeros for an array that the result does not depend on.

    Example:
        >>> gradients(lambda x, y: ops.sum(x * y), [np.array([1.0, 2.0]), np.array([3.0, 5.0])])[0].tolist()
        [3.0, 5.0]

    In practice: a whole number has no gradient, and a cast to whole numbers ends it: the result is zero.

    Source: Griewank and Walther, "Evaluating Derivatives", 2008.
    """
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        found = jax.grad(lambda xs: function(*xs))([jax.numpy.asarray(a) for a in arrays])
    elif backend == "torch":
        import torch

        tensors = [torch.tensor(np.asarray(a), requires_grad=True) for a in arrays]
        found = torch.autograd.grad(function(*tensors), tensors, allow_unused=True, materialize_grads=True)
    else:
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(a) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            result = function(*tensors)
        found = tape.gradient(result, tensors, unconnected_gradients="zero")
    return [np.asarray(ops.convert_to_numpy(g)) for g in found]
