"""Attention: the output for a query is a mean of the values, weighted by how well their keys match."""

import functools

import keras
from keras import ops

from .dense import Dense
from .position import RotaryPosition
from .regularization import Dropout


def attention_weights(query, key, mask=None):
    r"""The weight of each key for each query.

    With queries $Q$ = `query` and keys $K$ = `key` of width $d$:

    $$A = \mathrm{softmax}(Q K^\top / \sqrt{d})$$

    Where `mask` is false the score counts as $-\infty$. Each row sums to 1. If a query may attend to no key at all, its
    weights are all equal. The scale keeps the scores' variance at 1 when $Q$ and $K$ have variance 1, so that the
    softmax does not saturate.

    Derivative: for a row $a$ of $A$ and its scores $s$, $\partial a / \partial s = \mathrm{diag}(a) - a a^\top$.

    Shapes: `query` `(..., T, d)`, `key` `(..., S, d)`, `mask` broadcastable to the result, `(..., T, S)`.

    Range: [0, 1].

    Args:
        query: the tensor $Q$.
        key: the tensor $K$.
        mask: boolean, true where a query may attend to a key. Defaults to `None`: everywhere.

    Example:
        >>> A = attention_weights(ops.ones((1, 4)), ops.ones((2, 4)), mask=ops.array([[True, False]]))
        >>> [float(a) for a in A[0]]
        [1.0, 0.0]

    In practice: the softmax runs in float32 at least; sums of many float16 numbers lose digits.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1.
    """
    scores = ops.matmul(query / query.shape[-1] ** 0.5, ops.swapaxes(key, -1, -2))
    scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
    if mask is not None:
        scores = ops.where(mask, scores, -1e38)
    return ops.cast(ops.softmax(scores), query.dtype)


def scaled_dot_product_attention(query, key, value, mask=None):
    r"""For each query, the mean of the values, weighted by how well their keys match.

    With queries $Q$ = `query` and keys $K$ = `key` of width $d$, and values $V$ = `value`:

    $$Y = \mathrm{softmax}(Q K^\top / \sqrt{d})\, V$$

    It is a soft lookup in a dictionary: every entry contributes, and a better match has a larger weight.

    Derivative: $\partial Y / \partial V = A$, the weights; through $Q$ and $K$ by the softmax (`attention_weights`).

    Shapes: `query` `(..., T, d)`, `key` `(..., S, d)`, `value` `(..., S, e)` to `(..., T, e)`.

    Range: each row lies in the convex hull of the values that are not masked.

    Args:
        query: the tensor $Q$.
        key: the tensor $K$.
        value: the tensor $V$.
        mask: boolean, broadcastable to `(..., T, S)`, true where a query may attend to a key. Defaults to `None`:
            everywhere.

    Example:
        >>> y = scaled_dot_product_attention(ops.zeros((1, 4)), ops.ones((2, 4)), ops.array([[1.0], [3.0]]))
        >>> float(y[0, 0])  # equal weights: the mean
        2.0

    In practice: time and memory grow with $T \cdot S$; `keras.ops.dot_product_attention` computes the same with fused
    kernels.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1.
    """
    return ops.matmul(attention_weights(query, key, mask), value)


def combine_masks(
    query,
    value,
    query_mask=None,
    value_mask=None,
    key_mask=None,
    attention_mask=None,
    use_causal_mask=False,
    sliding_window=None,
):
    r"""Combine all masks into one: true where a query may attend to a key.

    $$M_{ts} = m^q_t \wedge m^v_s \wedge m^k_s \wedge M'_{ts} \wedge (s \le t) \wedge (|t - s| < w)$$

    Shapes: `query` `(batch, T, ...)`, `value` `(batch, S, ...)`, the result broadcastable to `(batch, T, S)`, or
        `None` where there is no mask.

    Args:
        query: the queries, for their length.
        value: the values, for their length.
        query_mask: $m^q$, `(batch, T)`, false at padding. Defaults to `None`.
        value_mask: $m^v$, `(batch, S)`, false at padding. Defaults to `None`.
        key_mask: $m^k$, `(batch, S)`, false at padding. Defaults to `None`.
        attention_mask: $M'$, `(batch, T, S)`. Defaults to `None`.
        use_causal_mask: whether position $t$ may attend to positions $s \le t$ only. Defaults to `False`.
        sliding_window: $w$; only keys nearer than $w$ steps are allowed. Defaults to `None`: any distance.

    Example:
        >>> x = ops.zeros((1, 2, 4))
        >>> [[bool(m) for m in row] for row in combine_masks(x, x, use_causal_mask=True)[0]]
        [[True, False], [True, True]]

    In practice: padding is masked as a key; the outputs for padded queries have no meaning and are ignored later.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.3.
    """
    masks = [] if query_mask is None else [ops.cast(query_mask, "bool")[:, :, None]]
    masks += [ops.cast(mask, "bool")[:, None, :] for mask in (value_mask, key_mask) if mask is not None]
    masks += [] if attention_mask is None else [ops.cast(attention_mask, "bool")]
    t, s = ops.arange(ops.shape(query)[1])[None, :, None], ops.arange(ops.shape(value)[1])[None, None, :]
    masks += [s <= t] if use_causal_mask else []
    masks += [ops.abs(t - s) < sliding_window] if sliding_window else []
    return functools.reduce(ops.logical_and, masks) if masks else None


@keras.saving.register_keras_serializable(package="kerasfound")
class DotProductAttention(keras.layers.Layer):
    r"""Scaled dot-product attention as a layer: masks and dropout, no weights.

    With queries $Q$ = `query` and keys $K$ = `key` of width $d$, and values $V$ = `value`:

    $$Y = \mathrm{dropout}(\mathrm{softmax}(Q K^\top / \sqrt{d}))\, V$$

    Derivative: as for `scaled_dot_product_attention`.

    Shapes: `query` `(batch, T, d)`, `value` `(batch, S, e)`, `key` `(batch, S, d)` to `(batch, T, e)`;
        the weights, with `return_attention_scores`, `(batch, T, S)`.

    Args:
        dropout: share of the weights that is dropped in training, in [0, 1). Defaults to `0.0`.
        seed: of the dropout. Defaults to `None`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `dropout` is outside [0, 1) or the inputs are not of rank 3.

    Example:
        >>> query, value = ops.zeros((1, 1, 2)), ops.array([[[1.0, 0.0], [0.0, 1.0]]])
        >>> y, A = DotProductAttention()(query, value, return_attention_scores=True)
        >>> [float(v) for v in y[0, 0]], [float(a) for a in A[0, 0]]
        ([0.5, 0.5], [0.5, 0.5])

    In practice: the call takes what `MultiHeadAttention` takes; without `key` the values are their own keys.
    `keras.layers.Attention` is the same without $1 / \sqrt{d}$.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1.
    """

    def __init__(self, dropout=0.0, seed=None, **kwargs):
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {dropout!r}.")
        super().__init__(**kwargs)
        self.dropout = dropout
        self.seed = seed
        self.drop = Dropout(dropout, seed=seed, dtype=self.dtype_policy)
        self.supports_masking = True

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        key = value if key is None else key
        for argument, x in (("query", query), ("value", value), ("key", key)):
            if len(x.shape) != 3:
                raise ValueError(f"`{argument}` must have shape (batch, time, features), got {x.shape}.")
        mask = combine_masks(query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask)

        A = attention_weights(query, key, mask)
        Y = self.drop(A, training=training) @ value
        return (Y, A) if return_attention_scores else Y

    def get_config(self):
        return super().get_config() | {"dropout": self.dropout, "seed": self.seed}


@keras.saving.register_keras_serializable(package="kerasfound")
class MultiHeadAttention(keras.layers.MultiHeadAttention):
    r"""Several attentions in parallel, each with its own projections.

    With $X$ = `query`, $Z_k$ = `key`, $Z_v$ = `value` and, for head $h$, projections $W$ and $b$ to width
    $d$ = `key_dim`:

    $$Q_h = X W^Q_h + b^Q_h, \quad K_h = Z_k W^K_h + b^K_h, \quad V_h = Z_v W^V_h + b^V_h$$
    $$A_h = \mathrm{softmax}(Q_h K_h^\top / \sqrt{d})$$
    $$Y = \sum_h \mathrm{dropout}(A_h)\, V_h\, W^O_h + b^O$$

    The sum over heads is the concatenation of the heads times one matrix. Each head can attend to different features.

    Derivative: as for `scaled_dot_product_attention`, through four linear maps.

    Shapes: `query` `(batch, T, features)`, `value` and `key` `(batch, S, features)` to `(batch, T, features)`;
        $W^Q, W^K, W^V$ `(features, heads, width)`, $W^O$ `(heads, width, features)`;
        the scores, with `return_attention_scores`, $A$ `(batch, heads, T, S)`.

    Args:
        num_heads: number of heads, at least 1.
        key_dim: $d$, the width of each head's queries and keys.
        rotary: whether `RotaryPosition` rotates queries and keys. Defaults to `False`.
        **kwargs: as for `keras.layers.MultiHeadAttention`: `value_dim` (defaults to `key_dim`), `dropout` (`0.0`),
            `use_bias` (`True`), `output_shape` (that of `query`), `attention_axes`, `sliding_window`,
            `flash_attention`, `use_gate`, initializers, regularizers, constraints, `seed`.

    Raises:
        ValueError: if `num_heads` or `key_dim` is below 1, `dropout` is outside [0, 1), or with `rotary` if `key_dim`
            is odd or there is more than one axis to attend over. In a call, if `return_attention_scores` is set with
            `flash_attention`, whose kernel never holds the scores.

    Example:
        >>> attention = MultiHeadAttention(num_heads=2, key_dim=4)
        >>> x = ops.ones((1, 3, 8))
        >>> y, A = attention(x, x, use_causal_mask=True, return_attention_scores=True)
        >>> y.shape == (1, 3, 8), [[round(float(a), 2) for a in row] for row in A[0, 0]]
        (True, [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.33, 0.33, 0.33]])

    In practice: `key_dim * num_heads` is commonly the width of the input. Masks of the inputs (`mask_zero`) apply
    automatically. In half precision, without dropout and returned scores, it uses the backend's fused kernel (flash
    attention on a GPU with JAX), as Keras does. If all keys of a query are masked, the output is as in Keras: the mean
    of all values, or 0 where weights are dropped or returned.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2.
    """

    def __init__(self, num_heads, key_dim, *args, rotary=False, **kwargs):
        super().__init__(num_heads, key_dim, *args, **kwargs)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {self.dropout!r}.")
        if rotary and key_dim % 2:
            raise ValueError(f"`key_dim` must be even with `rotary`, got {key_dim}.")
        self.rotary = rotary
        self.turn = RotaryPosition(dtype=self.dtype_policy) if rotary else None

    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        if self.rotary and len(query_shape) != 3:
            raise ValueError(f"`query` must have shape (batch, time, features) with `rotary`, got {query_shape}.")
        for projection in (self.query_dense, self.key_dense, self.value_dense, getattr(self, "_gate_dense", None)):
            if projection is not None:
                projection.supports_masking = True  # it acts on each step alone, so Keras need not warn of a lost mask

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        if return_attention_scores and self._flash_attention:
            raise ValueError(
                "`return_attention_scores`: flash attention has no scores; build the layer with flash_attention=False."
            )
        key = value if key is None else key
        masks = (query_mask, value_mask, key_mask, attention_mask)
        if len(query.shape) != 3:  # attention over several axes, of images or videos: Keras's general einsum
            return super().call(query, value, key, *masks, return_attention_scores, training, use_causal_mask)
        # The names with an underscore are Keras's: its arguments have no public name.
        needs_weights = self.dropout or return_attention_scores
        fused = not needs_weights and (self.compute_dtype in ("float16", "bfloat16") or self._flash_attention)
        fused = fused and self.value_dim == self.key_dim  # JAX's kernel supports one width only
        mask = combine_masks(
            query, value, *masks, use_causal_mask and not fused, getattr(self, "_sliding_window", None)
        )
        while mask is not None and len(mask.shape) < 4:
            mask = ops.expand_dims(mask, axis=-3)  # the same for every head

        Q, K, V = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        if self.turn is not None:
            Q, K = self.turn(Q), self.turn(K)
        if fused:
            A, flash = None, self._flash_attention
            Y = ops.dot_product_attention(Q, K, V, mask=mask, is_causal=use_causal_mask, flash_attention=flash)
        else:
            Q, K, V = (ops.swapaxes(x, 1, 2) for x in (Q, K, V))  # heads before time
            A = attention_weights(Q, K, mask)
            if needs_weights and mask is not None:
                A = ops.where(mask, A, 0.0)  # all keys masked: Keras has 0 in this branch, and the mean in the other
            Y = ops.swapaxes(self._dropout_layer(A, training=training) @ V, 1, 2)
        if getattr(self, "_use_gate", False):
            Y = Y * self._gate_dense(query)
        Y = self.output_dense(Y)
        return (Y, A) if return_attention_scores else Y

    def get_config(self):
        return super().get_config() | {"rotary": self.rotary}


@keras.saving.register_keras_serializable(package="kerasfound")
class CausalSelfAttention(keras.layers.Layer):
    r"""Attention of each step to itself and to earlier steps, with a cache of their keys and values.

    For head $h$ of `num_heads`, each $d$ wide, $\rho_t$ a rotation by the position (`RotaryPosition`) and
    $\mathrm{rms}(u) = u / \sqrt{\mathrm{mean}(u^2)}$:

    $$q_t = \rho_t\, \mathrm{rms}(x_t W^Q_h), \quad k_t = \rho_t\, \mathrm{rms}(x_t W^K_h), \quad v_t = x_t W^V_h$$
    $$a_{ts} = \frac{\exp(q_t \cdot k_s / \sqrt d)}{\sum_{r \le t} \exp(q_t \cdot k_r / \sqrt d)}, \qquad
      y_t = \sum_h \sum_{s \le t} a_{ts} v_s W^O_h$$

    The normalization keeps large queries and keys from saturating the softmax. For the next step only $q_t$, $k_t$ and
    $v_t$ are new: with a `cache` of earlier keys and values a step costs $t$ products instead of $t^2$.

    Derivative: $\partial y_t / \partial x_s = 0$ for $s > t$.

    Shapes: `(batch, T, features)` to the same; all four $W$ `(features, features)`; the cache
        `(batch, 2, length, num_heads, d)`, keys then values, zero for steps to come.

    Args:
        num_heads: number of heads, at least 1; `features / num_heads` is $d$, an even number.
        kernel_initializer: of $W^Q, W^K, W^V$. Defaults to `"glorot_uniform"`.
        output_initializer: of $W^O$. Defaults to `"zeros"`: at the start the layer adds 0 to a residual path.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `num_heads` is below 1, or the input's width is not an even number times `num_heads`.

    Example:
        >>> attention = CausalSelfAttention(2, output_initializer="orthogonal")
        >>> x = keras.random.normal((1, 3, 8), seed=0)
        >>> y = attention(x)
        >>> first, cache = attention(x[:, :2], cache=ops.zeros((1, 2, 3, 2, 4)))
        >>> last, cache = attention(x[:, 2:], cache=cache, start=2)  # the third step alone, with the cache
        >>> float(ops.max(ops.abs(last - y[:, 2:]))) < 1e-6
        True

    In practice: for training on whole sequences, then generating one step at a time. For masks, cross-attention,
    dropout or returned scores use `MultiHeadAttention`.

    Source: Vaswani et al., "Attention Is All You Need", 2017; normalized queries and keys: Henry et al., "Query-Key
    Normalization for Transformers", 2020; the cache: Shazeer, "Fast Transformer Decoding", 2019.
    """

    def __init__(self, num_heads, kernel_initializer="glorot_uniform", output_initializer="zeros", **kwargs):
        if not isinstance(num_heads, int) or num_heads < 1:
            raise ValueError(f"`num_heads` must be an integer of at least 1, got {num_heads!r}.")
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.turn = RotaryPosition(dtype=self.dtype_policy)

    def build(self, input_shape):
        features = input_shape[-1]
        if len(input_shape) != 3 or features is None or features % (2 * self.num_heads):
            raise ValueError(
                "The input must have shape (batch, time, features), features an even number times "
                f"{self.num_heads} heads, got {input_shape}."
            )
        for name in ("query", "key", "value", "output"):
            initializer = self.output_initializer if name == "output" else self.kernel_initializer
            # Serialized, so that each layer makes its own initializer: one object would draw the same numbers twice.
            initializer = keras.initializers.serialize(initializer)
            dense = Dense(features, use_bias=False, kernel_initializer=initializer, dtype=self.dtype_policy, name=name)
            dense.build(input_shape)
            setattr(self, f"{name}_dense", dense)

    def call(self, x, cache=None, start=0):
        T, H = ops.shape(x)[1], self.num_heads
        q, k, v = (
            ops.reshape(dense(x), (-1, T, H, x.shape[-1] // H))
            for dense in (self.query_dense, self.key_dense, self.value_dense)
        )
        q, k = self.turn(_rms(q), start=start), self.turn(_rms(k), start=start)

        t, s = start + ops.arange(T), ops.arange(T)
        if cache is not None:
            s = ops.arange(cache.shape[2])
            is_slot = ops.cast(t[:, None] == s, x.dtype)  # (T, length): the slot of each new step
            new = ops.einsum("ts,bcthd->bcshd", is_slot, ops.stack([k, v], axis=1))
            cache = ops.where(ops.any(t[:, None] == s, axis=0)[:, None, None], new, cache)
            k, v = cache[:, 0], cache[:, 1]
        q, k, v = (ops.swapaxes(a, 1, 2) for a in (q, k, v))  # heads before time
        y = ops.swapaxes(attention_weights(q, k, s <= t[:, None]) @ v, 1, 2)
        y = self.output_dense(ops.reshape(y, (-1, T, x.shape[-1])))
        return y if cache is None else (y, cache)

    def get_config(self):
        return super().get_config() | {
            "num_heads": self.num_heads,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
        }


def _rms(x):
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + keras.config.epsilon())
