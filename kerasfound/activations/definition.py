"""The decorator that defines an activation, and the checks of its arguments."""

import functools
import math
import numbers

import keras
from keras import ops


def activation(derivative, range, kinks=(), equation=None):
    r"""Register a function for saving, accept any real numbers, and attach its theory as attributes.

    Args:
        derivative: a function of the same arguments, $\partial y_i / \partial x_i$ for every element. For softmax
            and log-softmax, whose outputs depend on all inputs, this is the diagonal of the Jacobian.
        range: the infimum and the supremum of the values, for the default arguments.
        kinks: where the derivative jumps, for the default arguments. Defaults to `()`.
        equation: for a function that calls one operation of Keras: the same in elementary operations, for the reader.
            Defaults to `None`: the function itself is written out.
    """

    def decorate(function):
        @functools.wraps(function)
        def on_tensor(x, *args, **kwargs):
            return function(_as_floats(x), *args, **kwargs)

        on_tensor.derivative = lambda x, *args, **kwargs: derivative(_as_floats(x), *args, **kwargs)
        on_tensor.range, on_tensor.kinks, on_tensor.equation = range, kinks, equation
        return keras.saving.register_keras_serializable(package="kerasfound")(on_tensor)

    return decorate


def _as_floats(x):
    if not keras.utils.is_keras_tensor(x):
        try:
            x = ops.convert_to_tensor(x)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`x` must be a tensor of real numbers, got {x!r}.") from error
    dtype = keras.backend.standardize_dtype(x.dtype)
    if "int" in dtype:
        return ops.cast(x, keras.config.floatx())
    if "float" not in dtype:
        raise ValueError(f"`x` must be a tensor of real numbers, got dtype {dtype}.")
    return x


def check_number(at_least=-math.inf, **arguments):
    for name, value in arguments.items():
        if not isinstance(value, numbers.Real) or not value >= at_least:
            limit = "" if at_least == -math.inf else f" of at least {at_least}"
            raise ValueError(f"`{name}` must be a number{limit}, got {value!r}.")


def check_axis(x, axis):
    axes = () if axis is None else axis if isinstance(axis, tuple) else (axis,)
    rank = len(x.shape)
    if not all(isinstance(a, numbers.Integral) and -rank <= a < rank for a in axes):
        raise ValueError(f"`axis` must be one or more of the {rank} axes of `x`, or None for all, got {axis!r}.")
