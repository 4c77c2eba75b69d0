"""Transformer blocks: attention over the steps, then a small network on each step, both with a residual path."""

import numbers

import keras

from kerasfound.activations import squared_relu

from .attention import CausalSelfAttention, MultiHeadAttention
from .dense import Dense
from .normalization import LayerNormalization, RMSNormalization
from .regularization import Dropout


def _check(intermediate_dim, num_heads=1, dropout=0.0):
    for argument, value in (("intermediate_dim", intermediate_dim), ("num_heads", num_heads)):
        if not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(f"`{argument}` must be an integer of at least 1, got {value!r}.")
    if not isinstance(dropout, numbers.Real) or not 0 <= float(dropout) < 1:
        raise ValueError(f"`dropout` must be a number in [0, 1), got {dropout!r}.")


@keras.saving.register_keras_serializable(package="kerasfound")
class FeedForward(keras.layers.Layer):
    r"""Two dense layers on each step: widen, apply the activation, narrow.

    With $\phi$ = `activation` and a hidden width of `intermediate_dim`:

    $$y_t = \phi(x_t W_1 + b_1)\, W_2 + b_2$$

    Derivative: $\partial y_t / \partial x_t = W_1\, \mathrm{diag}(\phi'(\cdot))\, W_2$ in row vectors; a step does not
        depend on other steps.

    Shapes: `(..., features)` to the same; $W_1$ `(features, intermediate_dim)`, $W_2$ `(intermediate_dim, features)`.

    Args:
        intermediate_dim: the hidden width, at least 1; commonly four times `features`.
        activation: $\phi$. Defaults to `"relu"`.
        kernel_initializer: of $W_1$ and $W_2$. Defaults to `"glorot_uniform"`.
        bias_initializer: of $b_1$ and $b_2$. Defaults to `"zeros"`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `intermediate_dim` is below 1.

    Example:
        >>> x = keras.ops.array([[1.0, 1.0], [-1.0, -1.0]])
        >>> y = FeedForward(3, kernel_initializer="ones")(x)
        >>> [[float(v) for v in row] for row in y]  # relu keeps three times 2, and sets -2 to 0
        [[6.0, 6.0], [0.0, 0.0]]

    In practice: it holds two thirds of the weights of a transformer block.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.3.
    """

    def __init__(
        self,
        intermediate_dim,
        activation="relu",
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        _check(intermediate_dim)
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        # Serialized, so that each layer makes its own initializer: one object would draw the same numbers twice.
        settings = {
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "dtype": self.dtype_policy,
        }
        self.widen = Dense(self.intermediate_dim, self.activation, name="widen", **settings)
        self.narrow = Dense(input_shape[-1], name="narrow", **settings)
        self.widen.build(input_shape)
        self.narrow.build((*input_shape[:-1], self.intermediate_dim))

    def call(self, x):
        return self.narrow(self.widen(x))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "intermediate_dim": self.intermediate_dim,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


class _Block(keras.layers.Layer):
    """The base class of encoder and decoder: the arguments, and the residual path with its normalization."""

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        dropout=0.0,
        activation="relu",
        layer_norm_epsilon=1e-5,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        normalize_first=False,
        rotary=False,
        **kwargs,
    ):
        _check(intermediate_dim, num_heads, dropout)
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.rotary = rotary
        self.drop = Dropout(dropout, dtype=self.dtype_policy)
        self.supports_masking = True

    def _attention(self, name, x_shape, context_shape, **settings):
        features = x_shape[-1]
        if len(x_shape) != 3 or features is None or features % self.num_heads:
            raise ValueError(
                f"The input must have shape (batch, time, features), features a multiple of `num_heads` = "
                f"{self.num_heads}, got {x_shape}."
            )
        settings |= self._initializers() | {"name": name, "dropout": self.dropout, "dtype": self.dtype_policy}
        attention = MultiHeadAttention(self.num_heads, features // self.num_heads, **settings)
        attention.build(x_shape, context_shape)
        return attention

    def _norm(self, name, x_shape):
        norm = LayerNormalization(epsilon=self.layer_norm_epsilon, name=name, dtype=self.dtype_policy)
        norm.build(x_shape)
        return norm

    def _feed_forward(self, x_shape):
        settings = self._initializers() | {"name": "feed_forward", "dtype": self.dtype_policy}
        feed_forward = FeedForward(self.intermediate_dim, self.activation, **settings)
        feed_forward.build(x_shape)
        return feed_forward

    def _initializers(self):
        # Serialized, so that each layer makes its own initializer: one object would draw the same numbers twice.
        return {
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }

    def before(self, norm, x):
        return norm(x) if self.normalize_first else x

    def after(self, norm, x, y, training):
        x = x + self.drop(y, training=training)
        return x if self.normalize_first else norm(x)

    def get_config(self):
        return super().get_config() | {
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            **self._initializers(),
            "normalize_first": self.normalize_first,
            "rotary": self.rotary,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class TransformerEncoder(_Block):
    r"""A transformer block over the whole sequence: self-attention, then a feed-forward network on each step.

    With $\mathrm{Att}$ a `MultiHeadAttention` of `num_heads` heads, $\mathrm{FF}$ a `FeedForward` of width
    `intermediate_dim` and $\mathrm{LN}$ a layer normalization:

    $$a = \mathrm{LN}(x + \mathrm{Att}(x)), \qquad y = \mathrm{LN}(a + \mathrm{FF}(a))$$

    or, with `normalize_first`,

    $$a = x + \mathrm{Att}(\mathrm{LN}(x)), \qquad y = a + \mathrm{FF}(\mathrm{LN}(a))$$

    In training, dropout acts on the output of each sublayer and on the attention weights.

    Derivative: with `normalize_first`, $\partial y / \partial x = I + \dots$: the residual path carries the gradient
        through any number of blocks unchanged.

    Shapes: `(batch, time, features)` to the same, `features` a multiple of `num_heads`; time may be unknown.

    Args:
        intermediate_dim: width of the feed-forward network, at least 1.
        num_heads: number of heads; each is `features / num_heads` wide.
        dropout: rate, in [0, 1). Defaults to `0.0`.
        activation: of the feed-forward network. Defaults to `"relu"`.
        layer_norm_epsilon: added to the variance. Defaults to `1e-5`.
        kernel_initializer: of all kernels. Defaults to `"glorot_uniform"`.
        bias_initializer: of all biases. Defaults to `"zeros"`.
        normalize_first: whether to normalize before each sublayer instead of after it. Defaults to `False`.
        rotary: whether `RotaryPosition` rotates queries and keys. Defaults to `False`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `intermediate_dim` or `num_heads` is below 1, `dropout` is outside [0, 1), or the input's width
            is not a multiple of `num_heads`.

    Example:
        >>> block = TransformerEncoder(intermediate_dim=16, num_heads=2)
        >>> x = keras.random.normal((1, 3, 8), seed=0)
        >>> block(x).shape == (1, 3, 8), block.count_params()  # 4 * 8 * 9 + 8 * 16 + 16 + 16 * 8 + 8 + 2 * 2 * 8
        (True, 600)

    In practice: without positions the block treats its input as a set. With `normalize_first` deep stacks train without
    a warm-up, but need one more normalization after the last block. Arguments and defaults are those of
    `keras_hub.layers.TransformerEncoder`. Call it with `mask` (or on a masked input), `attention_mask`,
    `return_attention_scores`.

    Source: Vaswani et al., "Attention Is All You Need", 2017; the order, Xiong et al., "On Layer Normalization in the
    Transformer Architecture", 2020.
    """

    def build(self, input_shape):
        self.attention = self._attention("attention", input_shape, input_shape, rotary=self.rotary)
        self.attention_norm = self._norm("attention_norm", input_shape)
        self.feed_forward = self._feed_forward(input_shape)
        self.feed_forward_norm = self._norm("feed_forward_norm", input_shape)

    def call(self, x, mask=None, attention_mask=None, training=None, return_attention_scores=False):
        y = self.before(self.attention_norm, x)
        y, *A = keras.tree.flatten(
            self.attention(
                y,
                y,
                query_mask=mask,
                value_mask=mask,
                attention_mask=attention_mask,
                return_attention_scores=return_attention_scores,
                training=training,
            )
        )
        x = self.after(self.attention_norm, x, y, training)
        y = self.feed_forward(self.before(self.feed_forward_norm, x))
        x = self.after(self.feed_forward_norm, x, y, training)
        return (x, *A) if return_attention_scores else x


@keras.saving.register_keras_serializable(package="kerasfound")
class TransformerDecoder(_Block):
    r"""A transformer block for generation: causal self-attention, optional cross-attention, a feed-forward network.

    With $\mathrm{Att}$, $\mathrm{Att}'$ two `MultiHeadAttention`s of `num_heads` heads, the first causal (step $t$
    attends to $s \le t$), the second from $x$ to the encoder's output $z$ = `context`; $\mathrm{FF}$ a `FeedForward` of
    width `intermediate_dim`; $\mathrm{LN}$ a layer normalization:

    $$a = \mathrm{LN}(x + \mathrm{Att}(x)), \qquad b = \mathrm{LN}(a + \mathrm{Att}'(a, z)), \qquad
      y = \mathrm{LN}(b + \mathrm{FF}(b))$$

    or, with `normalize_first`,

    $$a = x + \mathrm{Att}(\mathrm{LN}(x)), \qquad b = a + \mathrm{Att}'(\mathrm{LN}(a), z), \qquad
      y = b + \mathrm{FF}(\mathrm{LN}(b))$$

    Without a context $b = a$: the block of GPT. In training, dropout acts on the output of each sublayer and on the
    attention weights.

    Derivative: $\partial y_t / \partial x_s = 0$ for $s > t$: all steps train at once, and no step has access to its
        target.

    Shapes: $x$ `(batch, T, features)`, `context` `(batch, S, context features)` to `(batch, T, features)`,
        `features` a multiple of `num_heads`; $T$ and $S$ may be unknown.

    Args:
        intermediate_dim: width of the feed-forward network, at least 1.
        num_heads: number of heads; each is `features / num_heads` wide.
        dropout: rate, in [0, 1). Defaults to `0.0`.
        activation: of the feed-forward network. Defaults to `"relu"`.
        layer_norm_epsilon: added to the variance. Defaults to `1e-5`.
        kernel_initializer: of all kernels. Defaults to `"glorot_uniform"`.
        bias_initializer: of all biases. Defaults to `"zeros"`.
        normalize_first: whether to normalize before each sublayer instead of after it. Defaults to `False`.
        rotary: whether `RotaryPosition` rotates the queries and keys of the self-attention. Defaults to `False`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `intermediate_dim` or `num_heads` is below 1, `dropout` is outside [0, 1), the input's width is
            not a multiple of `num_heads`, or a context is missing in one call and present in another.

    Example:
        >>> block = TransformerDecoder(intermediate_dim=16, num_heads=2)
        >>> x = keras.random.normal((1, 3, 8), seed=0)
        >>> past = block(x[:, :2])  # the outputs of the first steps do not depend on the next
        >>> float(keras.ops.max(keras.ops.abs(block(x)[:, :2] - past))) < 1e-6
        True

    In practice: the first call decides whether a block has cross-attention. Pad at the end; then the causal mask hides
    the padding. Call it with `mask`, `context_mask` (or on masked inputs), `attention_mask`, `use_causal_mask`,
    `return_attention_scores` (the self-attention's, then the cross-attention's).

    Source: Vaswani et al., "Attention Is All You Need", 2017; without context, Radford et al., "Improving Language
    Understanding by Generative Pre-Training", 2018.
    """

    def build(self, x_shape, context_shape=None):
        self.attention = self._attention("attention", x_shape, x_shape, rotary=self.rotary)
        self.attention_norm = self._norm("attention_norm", x_shape)
        self.cross_attention = None
        if context_shape is not None:
            self.cross_attention = self._attention("cross_attention", x_shape, context_shape)
            self.cross_attention_norm = self._norm("cross_attention_norm", x_shape)
        self.feed_forward = self._feed_forward(x_shape)
        self.feed_forward_norm = self._norm("feed_forward_norm", x_shape)

    def call(
        self,
        x,
        context=None,
        mask=None,
        context_mask=None,
        attention_mask=None,
        training=None,
        return_attention_scores=False,
        use_causal_mask=True,
    ):
        if (context is None) != (self.cross_attention is None):
            expected = "None" if self.cross_attention is None else "a tensor"
            actual = "None" if context is None else f"a tensor of shape {context.shape}"
            raise ValueError(f"`context` must be {expected}, as in the first call, got {actual}.")
        options = {"return_attention_scores": return_attention_scores, "training": training}

        y = self.before(self.attention_norm, x)
        y, *A = keras.tree.flatten(
            self.attention(
                y,
                y,
                query_mask=mask,
                value_mask=mask,
                attention_mask=attention_mask,
                use_causal_mask=use_causal_mask,
                **options,
            )
        )
        x = self.after(self.attention_norm, x, y, training)
        if self.cross_attention is not None:
            y = self.before(self.cross_attention_norm, x)
            y, *B = keras.tree.flatten(self.cross_attention(y, context, value_mask=context_mask, **options))
            x = self.after(self.cross_attention_norm, x, y, training)
            A += B
        y = self.feed_forward(self.before(self.feed_forward_norm, x))
        x = self.after(self.feed_forward_norm, x, y, training)
        return (x, *A) if return_attention_scores else x


@keras.saving.register_keras_serializable(package="kerasfound")
class CausalTransformerBlock(keras.layers.Layer):
    r"""A block of a modern language model: normalized causal self-attention, then a normalized feed-forward network.

    With $\mathrm{RMS}$ an `RMSNormalization`, $\mathrm{Att}$ a `CausalSelfAttention` of `num_heads` heads and
    $\phi$ = `activation`, without biases:

    $$a = x + \mathrm{Att}(\mathrm{RMS}(x)), \qquad y = a + \phi(\mathrm{RMS}(a)\, W_1)\, W_2$$

    $W_2$ and the output matrix of the attention start at zero, so every block starts as the identity, and at first
    gradients reach the embedding unchanged through any number of blocks.

    Derivative: $\partial y_t / \partial x_s = 0$ for $s > t$, and the identity plus a correction for $s = t$.

    Shapes: `(batch, time, features)` to the same; $W_1$ `(features, intermediate_dim)`, $W_2$ back; with `cache`, as
        in `CausalSelfAttention`, to the pair (output, cache).

    Args:
        intermediate_dim: width of the hidden layer, at least 1; commonly four times `features`.
        num_heads: number of attention heads.
        activation: $\phi$. Defaults to `"kerasfound>squared_relu"`, which is sparse and cheap.
        kernel_initializer: of the matrices that do not start at zero. Defaults to `"glorot_uniform"`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `intermediate_dim` or `num_heads` is below 1, or the input's width is not an even number times
            `num_heads`.

    Example:
        >>> block = CausalTransformerBlock(intermediate_dim=16, num_heads=2)
        >>> x = keras.random.normal((1, 3, 8), seed=0)
        >>> float(keras.ops.max(keras.ops.abs(block(x) - x)))  # the identity, before training
        0.0

    In practice: it trains with larger learning rates than `TransformerDecoder`, which is the block of the papers, with
    layer normalization, biases, dropout and masks. The width matters more than `num_heads`.

    Source: squared ReLU: So et al., "Primer: Searching for Efficient Transformers", 2021; zero start: Bachlechner et
    al., "ReZero is All You Need", 2020; the combination: Jordan et al., "modded-nanogpt", 2024.
    """

    def __init__(
        self, intermediate_dim, num_heads, activation=squared_relu, kernel_initializer="glorot_uniform", **kwargs
    ):
        _check(intermediate_dim, num_heads)
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        # Serialized, so that each layer makes its own initializer: one object would draw the same numbers twice.
        kernel = {"kernel_initializer": keras.initializers.serialize(self.kernel_initializer)}
        policy = {"dtype": self.dtype_policy}
        self.attention_norm = RMSNormalization(name="attention_norm", **policy)
        self.attention = CausalSelfAttention(self.num_heads, name="attention", **kernel, **policy)
        self.hidden_norm = RMSNormalization(name="hidden_norm", **policy)
        self.widen = Dense(self.intermediate_dim, self.activation, use_bias=False, name="widen", **kernel, **policy)
        self.narrow = Dense(input_shape[-1], use_bias=False, kernel_initializer="zeros", name="narrow", **policy)
        for layer in (self.attention_norm, self.attention, self.hidden_norm, self.widen):
            layer.build(input_shape)
        self.narrow.build((*input_shape[:-1], self.intermediate_dim))

    def call(self, x, cache=None, start=0):
        y = self.attention(self.attention_norm(x), cache=cache, start=start)
        y, *cache = (y,) if cache is None else y
        x = x + y
        x = x + self.narrow(self.widen(self.hidden_norm(x)))
        return (x, *cache) if cache else x

    def get_config(self):
        return super().get_config() | {
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
