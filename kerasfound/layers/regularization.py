"""Regularization inside a network: random changes in training, none afterwards."""

import numbers

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class Dropout(keras.layers.Dropout):
    r"""In training, set each value to 0 with probability $p$ and scale up the rest, so that the mean stays.

    With $p$ = `rate` and a fresh mask $m$ for every call:

    $$m_i = \begin{cases} 0 & \text{with probability}\ p \\ 1 / (1 - p) & \text{otherwise} \end{cases}
      \qquad y_i = m_i\, x_i$$

    This is "inverted" dropout: $\mathrm{E}[y] = x$, so the trained network needs no correction: $y = x$. No neuron can
    rely on one other neuron; each call trains a different thinned network with shared weights.

    Derivative: $m_i$ in training, 1 otherwise.

    Shapes: any; the result has the shape of the input.

    Args:
        rate: probability that a value is dropped, in [0, 1].
        noise_shape: shape of $m$: 1 for an axis that shares one draw, `None` for the size of the input. `None` instead
            of a shape draws for each value. Defaults to `None`.
        seed: an integer for the same masks every time. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `rate` is outside [0, 1] or `noise_shape` holds anything but positive integers and `None`.

    Example:
        >>> y = Dropout(0.5, seed=1)(ops.ones((1, 1000)), training=True)
        >>> sorted({float(v) for v in y[0]})  # dropped, or doubled
        [0.0, 2.0]

    In practice: 0.5 on wide dense layers, 0.1 to 0.3 elsewhere; it slows learning down, so train longer. After
    convolutions drop whole maps, `noise_shape=(None, 1, 1, None)`. The training loss includes the noise, so it may be
    above the validation loss. Do not put it before a batch normalization: the variance differs between training and
    inference.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.
    """

    def call(self, inputs, training=False):
        x, p = inputs, self.rate
        if not training or p == 0:
            return x
        # each backend makes its own mask from a seed: Keras's function gives the mask of Keras's layer
        m = keras.random.dropout(ops.ones_like(x), p, noise_shape=self.noise_shape, seed=self.seed_generator)
        return m * x


@keras.saving.register_keras_serializable(package="kerasfound")
class RandomTranslation(keras.layers.Layer):
    r"""In training, translate each image by a random number of whole pixels; pixels that move in are 0.

    With $p$ = `pixels` and random whole numbers $d, r$ from $-p$ to $p$, new ones for each image in each call:

    $$y_{i,k} = \begin{cases} x_{i - d,\, k - r} & \text{inside the image} \\ 0 & \text{otherwise} \end{cases}$$
    $$y = D x R, \qquad D_{i,j} = [\,j = i - d\,], \quad R_{j,k} = [\,j = k - r\,]$$

    The class of an image does not depend on the position of the object. Convolutions share weights over positions, but
    a dense layer after them has to learn each position from examples.

    Derivative: the gradient is translated by $-d$ and $-r$; outside training it is unchanged.

    Shapes: `(batch, height, width, channels)`, known height and width; the result has the shape of the input.

    Args:
        pixels: the largest translation in each direction, a whole number of at least 0, below height and width.
        seed: an integer for the same translations every time. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `pixels` is not a whole number of at least 0, or not below the height and width of the images.

    Example:
        >>> dot = ops.reshape(ops.one_hot(12, 25), (1, 5, 5, 1))  # the middle of 5 x 5 pixels
        >>> total = sum(RandomTranslation(1)(dot, training=True) for _ in range(200))
        >>> ops.convert_to_numpy(total[0, :, :, 0] > 0).sum(axis=0).tolist()  # each of the nine positions occurs
        [0, 3, 3, 3, 0]

    In practice: one or two pixels for digits of 28 x 28, more if objects can be anywhere. Use it only for images with
    an empty border, whose background is 0. `keras.layers.RandomTranslation` also moves by parts of a pixel.

    Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks Applied to Visual Document
        Analysis", 2003.
    """

    def __init__(self, pixels, seed=None, **kwargs):
        if not isinstance(pixels, numbers.Integral) or pixels < 0:
            raise ValueError(f"`pixels` must be a whole number of at least 0, got {pixels!r}.")
        super().__init__(**kwargs)
        self.pixels = pixels
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:3] or self.pixels >= min(input_shape[1:3]):
            raise ValueError(
                "The input must be (batch, height, width, channels), height and width known and above `pixels` = "
                f"{self.pixels}, got {tuple(input_shape)}."
            )

    def call(self, inputs, training=False):
        x, p = inputs, self.pixels
        if not training or p == 0:
            return x
        d, r = (
            keras.random.randint((ops.shape(x)[0], 1, 1), -p, p + 1, seed=self.seed_generator)
            for _ in ("down", "right")
        )
        D, R = (
            ops.cast(self._offsets(size) == shift, x.dtype) for size, shift in zip(x.shape[1:3], (d, r), strict=True)
        )
        return ops.einsum("blk,bikc->bilc", R, ops.einsum("bij,bjkc->bikc", D, x))

    def _offsets(self, size):
        """Return $i - j$ for all positions $i$ and $j$, `(1, size, size)`."""
        i = ops.arange(size, dtype="int32")
        return ops.reshape(i, (1, -1, 1)) - ops.reshape(i, (1, 1, -1))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"pixels": self.pixels, "seed": self.seed}
