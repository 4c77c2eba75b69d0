"""Layers for texts as token ids, and for other whole numbers that are codes."""

import numbers

import keras
from keras import ops

MULTIPLIER = 1_000_003
"""An odd prime: each token of an n-gram changes all bits of its hash."""


@keras.saving.register_keras_serializable(package="kerasfound")
class HashedNGrams(keras.layers.Layer):
    r"""The set of n-grams of a text, each as the number of its hash bucket.

    With token ids $w_t$, where 0 is padding, $B$ = `buckets` and the prime $p$ = 1,000,003, for $n \le N$ = `orders`:

    $$h_{n,t} = h_{n-1,t}\, p + w_{t+n-1}, \quad h_{0,t} = 0, \qquad
      y_{n,t} = 1 + \left( h_{n,t} \;\mathrm{mod}\; (B - 1) \right)$$

    in 32-bit integers, whose overflow is part of the hash. $y_{n,t}$ is 0 where the n-gram would reach beyond the text.
    Of equal buckets all but one become 0, and the result is sorted: it is a set, not a sequence.

    Derivative: none; the output is whole numbers.

    Shapes: $w$ `(batch, time)`, whole numbers of at least 0; $y$ `(batch, orders * time)`, `int32` in $[0, B)$.

    Args:
        orders: the length $N$ of the longest n-grams, at least 1.
        buckets: number of buckets $B$, at least 2. Single tokens never collide if their ids are below `buckets`.
        **kwargs: `name`.

    Raises:
        ValueError: if `orders` or `buckets` is too small, or the input is not `(batch, time)`.

    Example:
        >>> y = HashedNGrams(orders=1, buckets=100)(ops.array([[7, 3, 7, 0]]))
        >>> [int(bucket) for bucket in y[0]]  # a token that occurs twice counts once
        [0, 4, 8, 0]
        >>> pairs = HashedNGrams(orders=2, buckets=100)
        >>> bool(ops.all(pairs(ops.array([[1, 2]])) == pairs(ops.array([[2, 1]]))))  # the order of tokens matters
        False

    In practice: with an `Embedding(buckets, 1)` of weights after it, the sum over a text is a linear classifier that is
    hard to beat on topics and opinions. Different n-grams may share a bucket: 25,000 reviews have five million words,
    pairs and triples, and with four million buckets these collisions cost accuracy. With $2^{31}$ buckets collisions
    are rare; a `SortedLookup` then numbers the n-grams that get a weight.

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
        self.autocast = False  # float16 cannot represent all whole numbers above 2048

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(f"The input must be (batch, time), got {tuple(input_shape)}.")

    def call(self, inputs):
        N = self.orders
        tokens = ops.pad(ops.cast(inputs, "int32"), [[0, 0], [0, N - 1]])
        h, is_inside, buckets = 0, True, []
        for n in range(N):
            w = tokens[:, n : n - (N - 1) or None]
            h = h * MULTIPLIER + w
            is_inside = ops.logical_and(is_inside, w > 0)
            bucket = ops.mod(h, self.buckets - 1)
            bucket = ops.where(bucket < 0, bucket + self.buckets - 1, bucket)  # ONNX keeps the sign of h
            buckets.append(ops.where(is_inside, 1 + bucket, 0))
        y = ops.sort(ops.concatenate(buckets, axis=1), axis=1)
        before = ops.pad(y, [[0, 0], [1, 0]])[:, :-1]
        return ops.where(y == before, 0, y)

    def compute_output_spec(self, inputs):
        batch, time = inputs.shape
        return keras.KerasTensor((batch, time and time * self.orders), "int32")

    def get_config(self):
        return super().get_config() | {"orders": self.orders, "buckets": self.buckets}


@keras.saving.register_keras_serializable(package="kerasfound")
class SortedLookup(keras.layers.Layer):
    r"""The position of each input in a sorted list of keys, from 1; 0 for inputs that are not in the list.

    With the keys $v_1 < v_2 < \dots < v_n$, the weight of the layer, and $n$ = `size`:

    $$y = \begin{cases} 1 + |\{i : v_i < x\}| & \text{if}\ x \in \{v_1, \dots, v_n\} \\ 0 & \text{otherwise}
      \end{cases}$$

    A binary search builds the count from its highest binary digit to its lowest: $\log_2 n$ comparisons for any $x$,
    and no memory besides the keys.

    Derivative: none; the output is whole numbers.

    Shapes: $x$ any, 32-bit whole numbers; $y$ the same, `int32` in $[0, n]$.

    Args:
        size: number of keys $n$, at least 1. Set them with `set_weights([keys])`, in ascending order.
        **kwargs: `name`.

    Raises:
        ValueError: if `size` is too small.

    Example:
        >>> lookup = SortedLookup(size=3)
        >>> lookup.set_weights([ops.array([10, 20, 40])])
        >>> [int(position) for position in lookup(ops.array([20, 30, 40, 10]))]
        [2, 0, 3, 1]

    In practice: it does what `keras.layers.IntegerLookup` does, but inside the graph on any backend and in ONNX. With
    an `Embedding(size + 1, ...)` after it, each of a sparse set of large numbers, such as hashes, has its own weights.

    Source: Knuth, "The Art of Computer Programming", volume 3, section 6.2.1, 1973.
    """

    def __init__(self, size, **kwargs):
        if not isinstance(size, numbers.Integral) or size < 1:
            raise ValueError(f"`size` must be an integer of at least 1, got {size!r}.")
        super().__init__(**kwargs)
        self.size = size
        self.autocast = False
        self.sorted_keys = self.add_weight(
            name="sorted_keys", shape=(size,), dtype="int32", initializer=self._distinct, trainable=False
        )

    def _distinct(self, shape, dtype=None):
        return ops.arange(1, shape[0] + 1, dtype=dtype)

    def call(self, inputs):
        x, v, n = ops.cast(inputs, "int32"), self.sorted_keys, self.size
        below = ops.zeros_like(x)
        for digit in reversed(range(n.bit_length())):
            candidate = below + 2**digit
            fits = ops.logical_and(candidate <= n, ops.take(v, ops.minimum(candidate, n) - 1) < x)
            below = ops.where(fits, candidate, below)
        is_key = ops.equal(ops.take(v, ops.minimum(below, n - 1)), x)
        return ops.where(is_key, below + 1, 0)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, "int32")

    def get_config(self):
        return super().get_config() | {"size": self.size}
