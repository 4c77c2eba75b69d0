"""Regularization inside a network: noise while learning, none afterwards."""

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
