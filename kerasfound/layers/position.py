"""Position encodings: attention alone treats its input as a set and cannot use the order."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class SinusoidalPosition(keras.layers.Layer):
    r"""Adds to each vector a fixed pattern of sines and cosines of its position.

    With position $t = 0, 1, \dots$, feature pair $i$ of a width $d$ and $\lambda$ = `max_wavelength`:

    $$P_{t, 2i} = \sin(t / \lambda^{2i / d}), \qquad P_{t, 2i+1} = \cos(t / \lambda^{2i / d})$$
    $$y_t = x_t + P_t$$

    Each pair is like the hand of a clock: the first is fast, the last is slow. $P_{t+k}$ is $P_t$ rotated by angles
    that depend on $k$ only, so a linear layer can learn to look $k$ steps back.

    Derivative: $\partial y / \partial x = I$.

    Shapes: `(batch, time, features)` to the same; any length, `features` must be known.

    Range: $P$ in [-1, 1].

    Args:
        max_wavelength: $\lambda$, above 1: the slowest pair takes about $2 \pi \lambda$ steps. Defaults to `10000`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `max_wavelength` is not above 1, or the input is not of rank 3 with known features.

    Example:
        >>> y = SinusoidalPosition()(ops.zeros((1, 2, 4)))
        >>> [[round(float(v), 2) for v in step] for step in y[0]]
        [[0.0, 1.0, 0.0, 1.0], [0.84, 0.54, 0.01, 1.0]]

    In practice: Keras's embeddings start within 0.05 of zero, which is small compared with $P$: multiply them by
    $\sqrt{d}$ first, as the paper does.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
    """

    def __init__(self, max_wavelength=10000, **kwargs):
        if not max_wavelength > 1:
            raise ValueError(f"`max_wavelength` must be above 1, got {max_wavelength!r}.")
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 3 or input_shape[-1] is None:
            raise ValueError(f"The input must have shape (batch, time, features), features known, got {input_shape}.")

    def call(self, x, start=0):
        d = x.shape[-1]
        steps = ops.arange(ops.shape(x)[1], dtype="float32")  # float16 has no whole numbers beyond 2048
        t = (ops.cast(start, "float32") + steps)[:, None]
        i = ops.arange((d + 1) // 2, dtype="float32")[None, :]
        angle = t * ops.exp(-math.log(self.max_wavelength) * 2 * i / d)
        P = ops.reshape(ops.stack([ops.sin(angle), ops.cos(angle)], axis=-1), (-1, 2 * ((d + 1) // 2)))[:, :d]
        return x + ops.cast(P, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"max_wavelength": self.max_wavelength}


@keras.saving.register_keras_serializable(package="kerasfound")
class LearnedPosition(keras.layers.Layer):
    r"""Adds to each vector a learned vector for its position.

    With position $t = 0, 1, \dots$ and the weight $P$ = `position_embeddings`:

    $$y_t = x_t + P_t$$

    Derivative: $\partial y_t / \partial P_t = I$: a row learns only from sequences that are long enough.

    Shapes: `(batch, time, features)` to the same, with time at most `sequence_length`;
        $P$ `(sequence_length, features)`.

    Args:
        sequence_length: the longest sequence, at least 1.
        initializer: of $P$. Defaults to `"uniform"`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `sequence_length` is below 1, the input is not of rank 3 with known features, or it is longer
            than `sequence_length`.

    Example:
        >>> y = LearnedPosition(8, initializer="ones")(ops.zeros((1, 3, 2)))
        >>> [[float(v) for v in step] for step in y[0]]
        [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]

    In practice: it has no vectors for positions beyond `sequence_length`; the sinusoidal and the rotary form work
    there, though seldom well. Pad at the end, not at the start, or the positions shift.

    Source: Gehring et al., "Convolutional Sequence to Sequence Learning", 2017; used by BERT and GPT-2.
    """

    def __init__(self, sequence_length, initializer="uniform", **kwargs):
        if not isinstance(sequence_length, int) or sequence_length < 1:
            raise ValueError(f"`sequence_length` must be an integer of at least 1, got {sequence_length!r}.")
        super().__init__(**kwargs)
        self.sequence_length = sequence_length
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 3 or input_shape[-1] is None:
            raise ValueError(f"The input must have shape (batch, time, features), features known, got {input_shape}.")
        self.position_embeddings = self.add_weight(
            name="position_embeddings", shape=(self.sequence_length, input_shape[-1]), initializer=self.initializer
        )

    def call(self, x):
        # a dynamic length is not an int: it is None, or a symbol when JAX exports
        if isinstance(x.shape[1], int) and x.shape[1] > self.sequence_length:
            raise ValueError(
                f"The input must have at most `sequence_length` = {self.sequence_length} steps, got {x.shape}."
            )
        t = ops.arange(ops.shape(x)[1])
        return x + ops.take(self.position_embeddings, t, axis=0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return super().get_config() | {"sequence_length": self.sequence_length, "initializer": initializer}


@keras.saving.register_keras_serializable(package="kerasfound")
class RotaryPosition(keras.layers.Layer):
    r"""Rotates queries and keys by an angle that grows with their position.

    With position $t = 0, 1, \dots$, width $d$, feature pair $i < d / 2$ and $\lambda$ = `max_wavelength`:

    $$\theta_i = \lambda^{-2i / d}$$
    $$(y_{t,i},\, y_{t,i+d/2}) = (x_{t,i} \cos t\theta_i - x_{t,i+d/2} \sin t\theta_i,\;
                                  x_{t,i} \sin t\theta_i + x_{t,i+d/2} \cos t\theta_i)$$

    The dot product of a query rotated by $t\theta$ and a key rotated by $s\theta$ depends on $t - s$ only: positions
    become relative, and lengths do not change.

    Derivative: $\partial y_t / \partial x_t$ is the rotation itself; its inverse is the rotation by $-t\theta$.

    Shapes: `(batch, time, features)` or `(batch, time, heads, features)` to the same, with `features` even. Called
        with `start`, the first step is at that position instead of 0.

    Args:
        max_wavelength: $\lambda$, above 1: the slowest pair takes about $2 \pi \lambda$ steps. Defaults to `10000`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `max_wavelength` is not above 1, or the input is not of rank 3 or 4 with an even, known width.

    Example:
        >>> y = RotaryPosition()(ops.ones((1, 2, 2)))
        >>> [[round(float(v), 2) for v in step] for step in y[0]]  # rotated by 0, then by 1 radian
        [[1.0, 1.0], [-0.3, 1.38]]

    In practice: for queries and keys only, not for values and not added to embeddings:
    `MultiHeadAttention(..., rotary=True)` does it. The paper rotates neighbours $(2i, 2i+1)$; this layer rotates halves
    $(i, i+d/2)$, as GPT-NeoX and Llama do. Both are the same up to the order of features, but weights of one form do
    not fit the other.

    Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021.
    """

    def __init__(self, max_wavelength=10000, **kwargs):
        if not max_wavelength > 1:
            raise ValueError(f"`max_wavelength` must be above 1, got {max_wavelength!r}.")
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) not in (3, 4) or input_shape[-1] is None or input_shape[-1] % 2:
            raise ValueError(
                f"The input must have shape (batch, time, [heads,] features), features even, got {input_shape}."
            )

    def call(self, x, start=0):
        d = x.shape[-1]
        steps = ops.arange(ops.shape(x)[1], dtype="float32")  # float16 has no whole numbers beyond 2048
        t = (ops.cast(start, "float32") + steps)[:, None]
        theta = ops.exp(-math.log(self.max_wavelength) * 2 * ops.arange(d // 2, dtype="float32") / d)
        if len(x.shape) == 4:  # broadcast to every head: otherwise ONNX Runtime multiplies only d/2 numbers at a time
            t, theta = t[:, None], ops.broadcast_to(theta, (ops.shape(x)[2], d // 2))
        angle = t * theta
        cos, sin = ops.cast(ops.cos(angle), x.dtype), ops.cast(ops.sin(angle), x.dtype)

        a, b = ops.split(x, 2, axis=-1)
        return ops.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"max_wavelength": self.max_wavelength}
