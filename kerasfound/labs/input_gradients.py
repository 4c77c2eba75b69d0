"""The derivative of a number by the inputs from which it is computed, on TensorFlow and on JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerasfound import _lazy

if TYPE_CHECKING:
    import numpy as np
    from keras import ops

    from kerasfound import autodiff
else:
    np, ops, autodiff = _lazy.module("numpy"), _lazy.module("keras.ops"), _lazy.module("kerasfound.autodiff")


def input_gradient(function: Callable[[Any], Any], x: Any) -> np.ndarray:
    """The derivative of the scalar `function(x)` by each number of `x`, as NumPy.

    Example:
        >>> [float(d) for d in input_gradient(lambda x: ops.sum(x**2), np.array([1.0, 3.0], "float32"))]
        [2.0, 6.0]
    """
    return autodiff.gradients(function, [ops.convert_to_tensor(x)])[0]
