"""Regularization inside a network: noise while learning, none afterwards."""

import numbers

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class Dropout(keras.layers.Dropout):
    r"""While training, each value is dropped with probability $p$ and the others are raised to make up for it.

    With $p$ = `rate` and a fresh mask $m$ for every call:

    $$m_i = \begin{cases} 0 & \text{with probability}\ p \\ 1 / (1 - p) & \text{otherwise} \end{cases}
      \qquad y_i = m_i\, x_i$$

    This is "inverted" dropout: $\mathrm{E}[y] = x$, so that the trained network is used as it is, with $y = x$.
    No neuron can rely on a particular other one; each call trains another thinned network with shared weights.

    Derivative: $m_i$ while training, 1 otherwise.

    Shapes: any; the result has the shape of the input.

    Args:
        rate: probability of being dropped, in [0, 1].
        noise_shape: shape of $m$, with 1 where one draw is to hold for a whole axis and `None` for the input's own
            size; `None` is one draw for each value. Defaults to `None`.
        seed: an integer for the same masks every time. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `rate` is outside [0, 1] or `noise_shape` holds anything but positive integers and `None`.

    Example:
        >>> y = Dropout(0.5, seed=1)(ops.ones((1, 1000)), training=True)
        >>> sorted({float(v) for v in y[0]})  # dropped, or doubled
        [0.0, 2.0]

    In practice: 0.5 on wide dense layers, 0.1 to 0.3 elsewhere; it slows learning down, so train longer. After
    convolutions drop whole maps, `noise_shape=(None, 1, 1, None)`. The training loss is measured with the
    noise: it may stand above the validation loss. Not in front of a batch normalization: the variance differs between
    training and use.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.
    """

    def call(self, inputs, training=False):
        x, p = inputs, self.rate
        if not training or p == 0:
            return x
        # each backend turns a seed into a mask its own way: ask Keras for it, so that we drop what Keras would drop
        m = keras.random.dropout(ops.ones_like(x), p, noise_shape=self.noise_shape, seed=self.seed_generator)
        return m * x


@keras.saving.register_keras_serializable(package="kerasfound")
class RandomTranslation(keras.layers.Layer):
    r"""While training, each image moves by a few whole pixels up or down and left or right; what comes in is black.

    With $p$ = `pixels` and, for every image of every call, fresh whole numbers $d, r$ from $-p$ to $p$:

    $$y_{i,k} = \begin{cases} x_{i - d,\, k - r} & \text{inside the image} \\ 0 & \text{otherwise} \end{cases}$$
    $$y = D x R, \qquad D_{i,j} = [\,j = i - d\,], \quad R_{j,k} = [\,j = k - r\,]$$

    What an image shows does not depend on where it stands; a convolution knows that of its filters, the dense layer
    behind them has to be shown.

    Derivative: $\partial y / \partial x$ moves back by $d$ and $r$; 1 when not training.

    Shapes: `(batch, height, width, channels)`, known height and width; the result has the shape of the input.

    Args:
        pixels: the furthest that an image moves each way, a whole number from 0, less than its sides.
        seed: an integer for the same moves every time. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `pixels` is no whole number from 0, or an image would move out of sight.

    Example:
        >>> dot = ops.reshape(ops.one_hot(12, 25), (1, 5, 5, 1))  # in the middle of 5 x 5 pixels
        >>> seen = sum(RandomTranslation(1)(dot, training=True) for _ in range(200))
        >>> ops.convert_to_numpy(seen[0, :, :, 0] > 0).sum(axis=0).tolist()  # it has been on all nine places around
        [0, 3, 3, 3, 0]

    In practice: one or two pixels for digits of 28 x 28; more where objects stand anywhere. Only for images whose
    border is empty: 0 has to be the background.

    Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks Applied to Visual Document
        Analysis", 2003.
    """

    def __init__(self, pixels, seed=None, **kwargs):
        if not isinstance(pixels, numbers.Integral) or pixels < 0:
            raise ValueError(f"`pixels` must be a whole number from 0, got {pixels!r}.")
        super().__init__(**kwargs)
        self.pixels = pixels
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:3] or self.pixels >= min(input_shape[1:3]):
            raise ValueError(
                f"The input must be (batch, height, width, channels), larger than {self.pixels} `pixels` each way, "
                f"got {tuple(input_shape)}."
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
            ops.cast(self._behind(size) == moved, x.dtype) for size, moved in zip(x.shape[1:3], (d, r), strict=True)
        )
        return ops.einsum("blk,bikc->bilc", R, ops.einsum("bij,bjkc->bikc", D, x))

    def _behind(self, size):
        """How far place $i$ lies behind place $j$, `(1, size, size)`."""
        i = ops.arange(size, dtype="int32")
        return ops.reshape(i, (1, -1, 1)) - ops.reshape(i, (1, 1, -1))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"pixels": self.pixels, "seed": self.seed}
