"""`keras.ops.scan` as tf2onnx can read it: what a step hands on is a variable of the loop.

Keras keeps it in a list of one element, and tf2onnx takes every list that a loop writes for one element of each step.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import tensorflow as tf
from keras.src.backend import core  # `keras.ops.scan` has no other end; a test notices when it moves

SCOPE = "scan_of_variables"
REASON = "what a step of its scan hands on is a variable of the loop"


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """While this is open, a scan is traced to a loop that tf2onnx reads."""
    with mock.patch.object(core, "scan", _scan):
        yield


def _scan(
    f: Callable, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: int | bool = 1
) -> tuple[Any, Any]:
    """As Keras's for TensorFlow: what a step makes is of the shape of what it hands on."""
    with tf.name_scope(SCOPE):
        carry, given = _tensors(init), [] if xs is None else _tensors(xs)
        steps = tf.shape(given[0])[0] if length is None else int(length)

        def turned(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
            return [tf.reverse(x, [0]) for x in tensors] if reverse else tensors

        given = [tf.TensorArray(x.dtype, steps, element_shape=x.shape[1:]).unstack(x) for x in turned(given)]
        made = [tf.TensorArray(x.dtype, steps, element_shape=x.shape) for x in carry]

        def step(i: tf.Tensor, carry: list[tf.Tensor], made: list[tf.TensorArray]) -> tuple:
            handed_on, y = f(_packed(init, carry), _packed(xs, [x.read(i) for x in given]) if given else None)
            if y is not None:
                made = [ys.write(i, y) for ys, y in zip(made, keras.tree.flatten(y), strict=False)]
            return i + 1, carry if handed_on is None else keras.tree.flatten(handed_on), made

        _, carry, made = tf.while_loop(lambda i, *_: i < steps, step, (0, carry, made))
        return _packed(init, carry), _packed(init, turned([ys.stack() for ys in made]))


def _tensors(structure: Any) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(x) for x in keras.tree.flatten(structure)]


def _packed(structure: Any, tensors: list[tf.Tensor]) -> Any:
    return keras.tree.pack_sequence_as(structure, tensors) if keras.tree.is_nested(structure) else tensors[0]
