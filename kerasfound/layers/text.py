"""Layers for texts as numbers of words."""

import numbers

import keras
from keras import ops

MULTIPLIER = 1_000_003
"""An odd prime: each word of an n-gram moves all bits of its bucket."""


@keras.saving.register_keras_serializable(package="kerasfound")
class HashedNGrams(keras.layers.Layer):
    r"""Which words, pairs of words, ... occur in a text, each by the number of its bucket.

    With words $w_t$, of which 0 is padding, $B$ = `buckets` and the prime $p$ = 1,000,003, for $n \le N$ = `orders`:

    $$h_{n,t} = h_{n-1,t}\, p + w_{t+n-1}, \quad h_{0,t} = 0, \qquad
      y_{n,t} = 1 + \left( h_{n,t} \;\mathrm{mod}\; (B - 1) \right)$$

    in 32-bit integers, whose overflow is part of the hash. $y_{n,t}$ is 0 where the n-gram would reach beyond the text,
    and for all but one of the times that it occurs; the others are sorted: a set, not a sequence.

    Derivative: none; the numbers are whole.

    Shapes: $w$ `(batch, time)`, whole numbers from 0; $y$ `(batch, orders * time)`, `int32` in $[0, B)$.

    Args:
        orders: the longest n-grams $N$, at least 1.
        buckets: different numbers $B$, at least 2. Words alone share none as long as there are more buckets.
        **kwargs: `name`.

    Raises:
        ValueError: if `orders` or `buckets` is too small, or the input is not `(batch, time)`.

    Example:
        >>> y = HashedNGrams(orders=1, buckets=100)(ops.array([[7, 3, 7, 0]]))
        >>> [int(bucket) for bucket in y[0]]  # a word twice counts once
        [0, 4, 8, 0]
        >>> pairs = HashedNGrams(orders=2, buckets=100)
        >>> bool(ops.all(pairs(ops.array([[1, 2]])) == pairs(ops.array([[2, 1]]))))  # the order of words tells
        False

    In practice: with an `Embedding(buckets, 1)` of weights behind it, the sum over a text is a linear classifier that
    is hard to beat on topics and opinions. Different n-grams share a bucket now and then; four million buckets are
    enough for 25,000 reviews with n-grams of up to three words.

    Source: Weinberger, Dasgupta, Langford, Smola and Attenberg, "Feature Hashing for Large Scale Multitask Learning",
        2009.
    """

    def __init__(self, orders, buckets, **kwargs):
        super().__init__(**kwargs)
        for argument, value, least in (("orders", orders, 1), ("buckets", buckets, 2)):
            if not isinstance(value, numbers.Integral) or value < least:
                raise ValueError(f"`{argument}` must be an integer of at least {least}, got {value!r}.")
        self.orders = orders
        self.buckets = buckets
        self.autocast = False  # float16 has no whole numbers above 2048 one by one

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(f"The input must be (batch, time), got {tuple(input_shape)}.")

    def call(self, inputs):
        N = self.orders
        words = ops.pad(ops.cast(inputs, "int32"), [[0, 0], [0, N - 1]])
        h, whole, found = 0, True, []
        for n in range(N):
            w = words[:, n : n - (N - 1) or None]
            h = h * MULTIPLIER + w
            whole = ops.logical_and(whole, w > 0)
            bucket = ops.mod(h, self.buckets - 1)
            bucket = ops.where(bucket < 0, bucket + self.buckets - 1, bucket)  # ONNX keeps the sign of h
            found.append(ops.where(whole, 1 + bucket, 0))
        y = ops.sort(ops.concatenate(found, axis=1), axis=1)
        before = ops.pad(y, [[0, 0], [1, 0]])[:, :-1]
        return ops.where(y == before, 0, y)

    def compute_output_spec(self, inputs):
        batch, time = inputs.shape
        return keras.KerasTensor((batch, time and time * self.orders), "int32")

    def get_config(self):
        return super().get_config() | {"orders": self.orders, "buckets": self.buckets}
