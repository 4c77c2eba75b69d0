"""Convolution: one small set of weights, applied at every place of an image."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class Conv2D(keras.layers.Conv2D):
    r"""The same neurons applied to a small window at every place of an image.

    With image $x$, weights $W$ = `kernel` over a window of `kernel_size` $K \times L$, stride $s$ = `strides`,
    dilation $d$ = `dilation_rate`, $b$ = `bias` and $\phi$ = `activation`, filter $f$ at row $i$, column $j$ gives:

    $$y_{ijf} = \phi\Big(b_f + \sum_{k<K} \sum_{l<L} \sum_c W_{klcf}\; x_{s i + d k,\; s j + d l,\; c}\Big)$$

    Two assumptions about images are built in: pixels that matter to each other are near (the window), and a feature
    looks the same everywhere (shared weights). A layer has $K L C F + F$ weights, whatever the size of the image.

    Derivative: with $\delta = \partial L / \partial z$ at the sum $z$ before $\phi$:
        $\partial L / \partial W_{klcf} = \sum_{ij} \delta_{ijf}\, x_{si+dk,\,sj+dl,\,c}$, summed over the batch;
        $\partial L / \partial x$ is $\delta$ convolved with the flipped window.

    Shapes: $x$ `(batch, height, width, channels)`; $W$ `(K, L, channels / groups, filters)`; $y$
        `(batch, rows, columns, filters)`. `padding="valid"`: rows are $\lfloor (H - d(K-1) - 1) / s \rfloor + 1$;
        `"same"` pads with zeros: $\lceil H / s \rceil$.

    Args:
        filters: number of filters $F$, at least 1.
        kernel_size: the window, an integer or two.
        strides: step of the window, an integer or two. Defaults to `(1, 1)`.
        padding: `"valid"` or `"same"`. Defaults to `"valid"`.
        **kwargs: as for `keras.layers.Conv2D`: `data_format` (defaults to Keras's `image_data_format`),
            `dilation_rate` (`(1, 1)`), `groups` (`1`), `activation` (`None`), `use_bias` (`True`), initializers,
            regularizers, constraints, ...

    Raises:
        ValueError: if a size is not positive, `padding` is unknown, `groups` does not divide both the channels and
            `filters`, strides and dilation are both above 1, or the window is larger than the image.

    Example:
        >>> edge = ops.reshape(ops.array([-1.0, 1.0]), (1, 2, 1, 1))  # right pixel minus left pixel
        >>> layer = Conv2D(1, (1, 2), kernel_initializer=lambda shape, dtype: edge)
        >>> image = ops.reshape(ops.array([0.0, 0.0, 1.0, 1.0]), (1, 1, 4, 1))
        >>> [float(y) for y in ops.reshape(layer(image), (-1,))]
        [0.0, 1.0, 0.0]

    In practice: two 3x3 layers have the receptive field of one 5x5 layer, with fewer weights and one more activation.
    It is a cross-correlation: the window is not flipped. `channels_first` is as in Keras: slower on a CPU, and
    TensorFlow supports it there only in part.

    Source: LeCun et al., "Backpropagation Applied to Handwritten Zip Code Recognition", 1989.
    """

    def call(self, inputs):
        z = ops.conv(
            inputs,
            self.kernel,
            strides=list(self.strides),
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        if self.use_bias:
            b = self.bias if self.data_format == "channels_last" else ops.reshape(self.bias, (1, self.filters, 1, 1))
            z = z + b
        return z if self.activation is None else self.activation(z)


def im2col(x, kernel_size, strides=1, padding="valid", dilation_rate=1):
    r"""An image as a matrix with one row for each window, so that convolution is a matrix product.

    Row $(i, j)$ of the result holds the window of $x$ at row $i$, column $j$, in the order row, column, channel:

    $$\mathrm{col}_{ij,\,(kLC + lC + c)} = x_{s i + d k,\; s j + d l,\; c}$$
    $$\mathrm{conv}(x, W)_{ijf} = \sum_n \mathrm{col}_{ijn}\, W_{nf} \quad\text{with}\quad W\ \text{as}\ (K L C, F)$$

    Shapes: $x$ `(batch, height, width, channels)`; the result `(batch, rows, columns, K * L * channels)`.

    Args:
        x: images, channels last.
        kernel_size: the window, an integer or two.
        strides: step of the window, an integer or two. Defaults to `1`.
        padding: `"valid"` or `"same"`. Defaults to `"valid"`.
        dilation_rate: gap between the pixels of a window, an integer. Defaults to `1`.

    Raises:
        ValueError: if `x` is not of rank 4 or `padding` is unknown.

    Example:
        >>> image = ops.reshape(ops.arange(6), (1, 2, 3, 1))  # 0 1 2 above 3 4 5
        >>> [[int(p) for p in window] for window in im2col(image, 2)[0, 0]]
        [[0, 1, 3, 4], [1, 2, 4, 5]]

    In practice: every pixel is copied $KL$ times, and `Conv2D` trains 4 to 6 times faster on a CPU. Use this form to
    understand and to check a convolution.

    Source: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for Document
    Processing", 2006.
    """
    if len(x.shape) != 4:
        raise ValueError(f"`x` must have the shape (batch, height, width, channels), got {tuple(x.shape)}.")
    if padding not in ("valid", "same"):
        raise ValueError(f'`padding` must be "valid" or "same", got {padding!r}.')
    return ops.image.extract_patches(
        x, kernel_size, strides=strides, dilation_rate=dilation_rate, padding=padding, data_format="channels_last"
    )
