"""Keras's layers that ask for a size, or go wrong where it is free: the same answer from the size that there is.

What is written here stands in a scope of the graph that says how, one of `SCOPES`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import tensorflow as tf

layers = keras.layers

ROWS, WINDOWS, MULTIPLE = "steps_as_rows", "window_by_window", "multiple_of_a_size"
SCOPES = {
    ROWS: "its free number of steps become rows of the batch",
    WINDOWS: "the windows of its free size are cut out and pooled one by one",
    MULTIPLE: "it resizes to a multiple of the size that an image has",
}
"""Scope of the graph to what was done."""


@contextlib.contextmanager
def allow_dynamic_shapes() -> Iterator[None]:
    """While this is open, these layers can be traced with a free size; with known ones they are Keras's own."""
    with contextlib.ExitStack() as stack:
        for cls, written in WRITTEN.items():
            stack.enter_context(mock.patch.object(cls, "call", _where_free(cls.call, written)))
        yield


def _where_free(known: Callable, free: Callable) -> Callable:
    def call(self: Any, inputs: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        sizes = [inputs.shape[axis] for axis in _axes(self, inputs)]
        return (free if None in sizes else known)(self, inputs, **kwargs)

    return call


def _axes(layer: keras.layers.Layer, x: tf.Tensor) -> range:
    """Of steps, or of the sizes of an image."""
    if isinstance(layer, layers.TimeDistributed):
        return range(1, 2)
    first = 2 if layer.data_format == "channels_first" else 1
    return range(first, first + len(x.shape) - 2)


def _time_distributed(self: Any, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
    """In Keras an unknown length goes through `vectorized_map`, which answers wrong or not at all."""
    with tf.name_scope(ROWS):
        kwargs: dict[str, Any] = {"training": training} if self.layer._call_has_training_arg else {}
        if self.layer._call_has_mask_arg and mask is not None:
            kwargs["mask"] = tf.reshape(mask, tf.concat([[-1], tf.shape(mask)[2:]], 0))
        rows = tf.reshape(inputs, tf.concat([[-1], tf.shape(inputs)[2:]], 0))
        rows.set_shape([None, *inputs.shape[2:]])
        y = self.layer.call(rows, **kwargs)
        steps = tf.reshape(y, tf.concat([tf.shape(inputs)[:2], tf.shape(y)[1:]], 0))
        steps.set_shape([*inputs.shape[:2], *y.shape[1:]])
        return steps


def _pooled(reduce: Callable) -> Callable:
    def call(self: Any, inputs: tf.Tensor) -> tf.Tensor:
        with tf.name_scope(WINDOWS):
            y = inputs
            for axis, wanted in zip(_axes(self, inputs), self.output_size, strict=True):
                size, before = tf.shape(inputs)[axis], (slice(None),) * axis
                windows = [slice(i * size // wanted, ((i + 1) * size + wanted - 1) // wanted) for i in range(wanted)]
                y = tf.concat([reduce(y[(*before, window)], axis, keepdims=True) for window in windows], axis)
            return y

    return call


def _up_sampled(self: Any, inputs: tf.Tensor) -> tf.Tensor:
    if self.interpolation == "nearest":
        return _repeated(self, inputs)
    with tf.name_scope(MULTIPLE):
        first = self.data_format == "channels_first"
        x = tf.transpose(inputs, (0, 2, 3, 1)) if first else inputs
        y = tf.image.resize(x, tf.shape(x)[1:3] * self.size, self.interpolation)
        y = tf.saturate_cast(tf.round(y) if x.dtype.is_integer else y, x.dtype)
        y.set_shape([x.shape[0], *(n and n * by for n, by in zip(x.shape[1:3], self.size, strict=True)), x.shape[3]])
        return tf.transpose(y, (0, 3, 1, 2)) if first else y


_repeated = layers.UpSampling2D.call
_average, _largest = _pooled(tf.reduce_mean), _pooled(tf.reduce_max)
WRITTEN: dict[Any, Callable] = {
    layers.TimeDistributed: _time_distributed,
    layers.AdaptiveAveragePooling1D: _average,
    layers.AdaptiveAveragePooling2D: _average,
    layers.AdaptiveAveragePooling3D: _average,
    layers.AdaptiveMaxPooling1D: _largest,
    layers.AdaptiveMaxPooling2D: _largest,
    layers.AdaptiveMaxPooling3D: _largest,
    layers.UpSampling2D: _up_sampled,
}
"""Layer to what it calls where a size is free."""
