"""Keras layers that need static dimensions, or are wrong with dynamic ones, written for dynamic dimensions.

The operations of each stand in a scope of the graph that says what was done, one of `SCOPES`.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from .patching import replace_function

layers = keras.layers

ROWS, WINDOWS, MULTIPLE = "steps_as_rows", "window_by_window", "multiple_of_a_size"
SCOPES = {
    ROWS: "the steps become rows of the batch, because their number is dynamic",
    WINDOWS: "the windows of the dynamic dimension are cut out and pooled one by one",
    MULTIPLE: "the new size is computed from the dynamic size of the image",
}
"""Scope of the graph to what was done."""


@contextlib.contextmanager
def allow_dynamic_shapes() -> Iterator[None]:
    """Trace these layers with dynamic dimensions; with static ones they are Keras's own."""
    with contextlib.ExitStack() as stack:
        for cls, dynamic in DYNAMIC_CALLS.items():
            stack.enter_context(replace_function(cls, "call", functools.partial(_call_by_shape, dynamic)))
        yield


def _call_by_shape(dynamic: Callable, static: Callable) -> Callable:
    def call(self: Any, inputs: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        sizes = [inputs.shape[axis] for axis in _axes(self, inputs)]
        return (dynamic if None in sizes else static)(self, inputs, **kwargs)

    return call


def _axes(layer: keras.layers.Layer, x: tf.Tensor) -> range:
    """The axis of the steps, or the axes of an image's height, width and depth."""
    if isinstance(layer, layers.TimeDistributed):
        return range(1, 2)
    first = 2 if layer.data_format == "channels_first" else 1
    return range(first, first + len(x.shape) - 2)


def _time_distributed(self: Any, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
    """In Keras a dynamic length goes through `vectorized_map`, which fails or computes wrong outputs."""
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


def _adaptive_pooling(reduce: Callable) -> Callable:
    def call(self: Any, inputs: tf.Tensor) -> tf.Tensor:
        with tf.name_scope(WINDOWS):
            y = inputs
            for axis, count in zip(_axes(self, inputs), self.output_size, strict=True):
                size, before = tf.shape(inputs)[axis], (slice(None),) * axis
                windows = [slice(i * size // count, ((i + 1) * size + count - 1) // count) for i in range(count)]
                y = tf.concat([reduce(y[(*before, window)], axis, keepdims=True) for window in windows], axis)
            return y

    return call


def _up_sampling(self: Any, inputs: tf.Tensor) -> tf.Tensor:
    if self.interpolation == "nearest":
        return _nearest_up_sampling(self, inputs)
    with tf.name_scope(MULTIPLE):
        channels_first = self.data_format == "channels_first"
        x = tf.transpose(inputs, (0, 2, 3, 1)) if channels_first else inputs
        y = tf.image.resize(x, tf.shape(x)[1:3] * self.size, self.interpolation)
        y = tf.saturate_cast(tf.round(y) if x.dtype.is_integer else y, x.dtype)
        y.set_shape([x.shape[0], *(n and n * by for n, by in zip(x.shape[1:3], self.size, strict=True)), x.shape[3]])
        return tf.transpose(y, (0, 3, 1, 2)) if channels_first else y


_nearest_up_sampling = layers.UpSampling2D.call
"""Keras repeats pixels, which needs no static size."""
_average_pooling, _max_pooling = _adaptive_pooling(tf.reduce_mean), _adaptive_pooling(tf.reduce_max)
DYNAMIC_CALLS: dict[Any, Callable] = {
    layers.TimeDistributed: _time_distributed,
    layers.AdaptiveAveragePooling1D: _average_pooling,
    layers.AdaptiveAveragePooling2D: _average_pooling,
    layers.AdaptiveAveragePooling3D: _average_pooling,
    layers.AdaptiveMaxPooling1D: _max_pooling,
    layers.AdaptiveMaxPooling2D: _max_pooling,
    layers.AdaptiveMaxPooling3D: _max_pooling,
    layers.UpSampling2D: _up_sampling,
}
"""Layer class to its `call` for dynamic dimensions."""
