"""Pooling: one number for each channel summarizes a window or the whole image."""

import keras
from keras import ops


def _check(padding):
    if padding not in ("valid", "same"):
        raise ValueError(f'`padding` must be "valid" or "same", got {padding!r}.')


@keras.saving.register_keras_serializable(package="kerasfound")
class MaxPooling2D(keras.layers.MaxPooling2D):
    r"""The largest value in each window: it tells whether a feature is in the window, not where.

    With image $x$, window `pool_size` $K \times L$ and stride $s$ = `strides`, for each channel $c$:

    $$y_{ijc} = \max_{k<K,\; l<L}\; x_{s i + k,\; s j + l,\; c}$$

    Derivative: 1 for the largest pixel in its window, 0 for other pixels: only the largest one gets a gradient.

    Shapes: $x$ `(batch, height, width, channels)`; $y$ `(batch, rows, columns, channels)`, rows are
        $\lfloor (H - K) / s \rfloor + 1$ with `padding="valid"` and $\lceil H / s \rceil$ with `"same"`.

    Args:
        pool_size: the window, an integer or two. Defaults to `(2, 2)`.
        strides: step of the window; `None` is the window itself. Defaults to `None`.
        padding: `"valid"` drops pixels that no whole window covers, `"same"` keeps them. Defaults to `"valid"`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for Keras's setting. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if a size is not positive or `padding` or `data_format` is unknown.

    Example:
        >>> image = ops.reshape(ops.array([1.0, 5.0, 2.0, 3.0]), (1, 2, 2, 1))
        >>> float(MaxPooling2D()(image)[0, 0, 0, 0])
        5.0

    In practice: it halves height and width, so later layers cost a quarter; a shift by one pixel often changes little.
    It loses positions: for segmentation or boxes use strides in the convolution instead.

    Source: Riesenhuber and Poggio, "Hierarchical models of object recognition in cortex", 1999.
    """

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        _check(padding)
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, inputs):
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


@keras.saving.register_keras_serializable(package="kerasfound")
class AveragePooling2D(keras.layers.AveragePooling2D):
    r"""The mean of each window: an image, smaller and smoother.

    With image $x$, window `pool_size` $K \times L$ and stride $s$ = `strides`, for each channel $c$:

    $$y_{ijc} = \frac{1}{K L} \sum_{k<K} \sum_{l<L} x_{s i + k,\; s j + l,\; c}$$

    Derivative: $1 / (K L)$ for each pixel of the window: all pixels get the same gradient.

    Shapes: $x$ `(batch, height, width, channels)`; $y$ `(batch, rows, columns, channels)`, rows are
        $\lfloor (H - K) / s \rfloor + 1$ with `padding="valid"` and $\lceil H / s \rceil$ with `"same"`.

    Args:
        pool_size: the window, an integer or two.
        strides: step of the window; `None` is the window itself. Defaults to `None`.
        padding: `"valid"` or `"same"`. Defaults to `"valid"`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for Keras's setting. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if a size is not positive or `padding` or `data_format` is unknown.

    Example:
        >>> image = ops.reshape(ops.array([1.0, 5.0, 2.0, 4.0]), (1, 2, 2, 1))
        >>> float(AveragePooling2D(2)(image)[0, 0, 0, 0])
        3.0

    In practice: `padding="same"` divides by the number of real pixels in the window, so that borders do not get darker.
    Between layers `MaxPooling2D` is usually better; at the end of a network, `GlobalAveragePooling2D`.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998 (its subsampling layers).
    """

    def __init__(self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        _check(padding)
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, inputs):
        return ops.average_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


@keras.saving.register_keras_serializable(package="kerasfound")
class GlobalAveragePooling2D(keras.layers.GlobalAveragePooling2D):
    r"""One number for each channel: its mean over the whole image.

    $$y_c = \frac{1}{H W} \sum_{i<H} \sum_{j<W} x_{ijc}$$

    A network with this layer at its end takes images of any size, and its last convolution is a map of evidence for
    each class.

    Derivative: $1 / (H W)$ everywhere.

    Shapes: $x$ `(batch, height, width, channels)`; $y$ `(batch, channels)`, with `keepdims` `(batch, 1, 1, channels)`.

    Args:
        data_format: `"channels_last"`, `"channels_first"` or `None` for Keras's setting. Defaults to `None`.
        keepdims: whether height and width stay, with size 1. Defaults to `False`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `data_format` is unknown or the input is not of rank 4.

    Example:
        >>> image = ops.reshape(ops.array([1.0, 5.0, 2.0, 4.0]), (1, 2, 2, 1))
        >>> float(GlobalAveragePooling2D()(image)[0, 0])
        3.0

    In practice: it replaces `Flatten` and a large `Dense`, often most of a network's weights. The background dilutes
    small objects: use `GlobalMaxPooling2D` for them.

    Source: Lin, Chen and Yan, "Network In Network", 2014.
    """

    def call(self, inputs):
        height_and_width = (1, 2) if self.data_format == "channels_last" else (2, 3)
        return ops.mean(inputs, axis=height_and_width, keepdims=self.keepdims)


@keras.saving.register_keras_serializable(package="kerasfound")
class GlobalMaxPooling2D(keras.layers.GlobalMaxPooling2D):
    r"""One number for each channel: its largest value in the whole image.

    $$y_c = \max_{i<H,\; j<W} x_{ijc}$$

    Derivative: 1 where the largest value stands (shared where several are equal), 0 elsewhere.

    Shapes: $x$ `(batch, height, width, channels)`; $y$ `(batch, channels)`, with `keepdims` `(batch, 1, 1, channels)`.

    Args:
        data_format: `"channels_last"`, `"channels_first"` or `None` for Keras's setting. Defaults to `None`.
        keepdims: whether height and width stay, with size 1. Defaults to `False`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `data_format` is unknown or the input is not of rank 4.

    Example:
        >>> image = ops.reshape(ops.array([1.0, 5.0, 2.0, 4.0]), (1, 2, 2, 1))
        >>> float(GlobalMaxPooling2D()(image)[0, 0])
        5.0

    In practice: it detects whether a feature is anywhere in the image. One pixel of each channel gets a gradient, so it
    learns more slowly and more noisily than the mean.

    Source: Oquab et al., "Is object localization for free?", 2015.
    """

    def call(self, inputs):
        height_and_width = (1, 2) if self.data_format == "channels_last" else (2, 3)
        return ops.max(inputs, axis=height_and_width, keepdims=self.keepdims)
