"""`keras.ops.scan` in a form that tf2onnx reads: the carry of a step is a variable of the loop.

Keras keeps the carry in a list of one element, and tf2onnx reads every list that a loop writes as one element per step.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend import core  # `keras.ops.scan` calls it and has no public hook; a test notices when it moves

from ..tracing.patching import replace_function

SCOPE = "scan_of_variables"
REASON = "the carry of its scan is a variable of the loop"


@contextlib.contextmanager
def scan_with_loop_variables() -> Iterator[None]:
    """Trace `keras.ops.scan` to a loop that tf2onnx reads."""
    with replace_function(core, "scan", lambda original: _scan):
        yield


def _scan(
    f: Callable, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: int | bool = 1
) -> tuple[Any, Any]:
    """Return the same as Keras's scan on TensorFlow, where the output of a step has the shape of its carry."""
    with tf.name_scope(SCOPE):
        carry, inputs = _to_tensors(init), [] if xs is None else _to_tensors(xs)
        steps = tf.shape(inputs[0])[0] if length is None else int(length)

        def in_order(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
            return [tf.reverse(x, [0]) for x in tensors] if reverse else tensors

        arrays = [tf.TensorArray(x.dtype, steps, element_shape=x.shape[1:]).unstack(x) for x in in_order(inputs)]
        outputs = [tf.TensorArray(x.dtype, steps, element_shape=x.shape) for x in carry]

        def step(i: tf.Tensor, carry: list[tf.Tensor], outputs: list[tf.TensorArray]) -> tuple:
            new_carry, y = f(_pack_like(init, carry), _pack_like(xs, [x.read(i) for x in arrays]) if arrays else None)
            if y is not None:
                outputs = [ys.write(i, y) for ys, y in zip(outputs, keras.tree.flatten(y), strict=False)]
            return i + 1, carry if new_carry is None else keras.tree.flatten(new_carry), outputs

        _, carry, outputs = tf.while_loop(lambda i, *_: i < steps, step, (0, carry, outputs))
        return _pack_like(init, carry), _pack_like(init, in_order([ys.stack() for ys in outputs]))


def _to_tensors(structure: Any) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(x) for x in keras.tree.flatten(structure)]


def _pack_like(structure: Any, tensors: list[tf.Tensor]) -> Any:
    return keras.tree.pack_sequence_as(structure, tensors) if keras.tree.is_nested(structure) else tensors[0]
