"""Embeddings: words, categories and numbers as vectors, and the interaction of vectors."""

import math
import numbers

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class Embedding(keras.layers.Embedding):
    r"""A table with one learned vector for each word; the layer looks vectors up.

    With the table $E$ = `embeddings` and an identifier $i$, whose one-hot vector is $e_i$:

    $$y = E_i = e_i^\top E$$

    Words that occur in the same places get gradients of the same kind, and so end up close to each other.

    Derivative: $\partial L / \partial E_i$ is the sum of $\partial L / \partial y$ over the positions with $i$; it is 0
        for all other rows.

    Shapes: identifiers `(batch, ...)`, integers in [0, input_dim); $y$ `(batch, ..., output_dim)`;
        $E$ `(input_dim, output_dim)`.

    Args:
        input_dim: number of different identifiers, at least 1.
        output_dim: length of each vector, at least 1.
        **kwargs: as for `keras.layers.Embedding`: `mask_zero` (identifier 0 is padding and masked; defaults to
            `False`), `embeddings_initializer` (`"uniform"`), `weights`, a regularizer, a constraint, `lora_rank`, ...

    Raises:
        ValueError: if `input_dim` or `output_dim` is not a positive integer.

    Example:
        >>> layer = Embedding(3, 2, weights=[np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])])
        >>> [[float(v) for v in vector] for vector in layer(ops.array([2, 1]))]
        [[3.0, 4.0], [1.0, 2.0]]

    In practice: keep 0 for padding and 1 for unknown words. An identifier outside the table is an error on a TensorFlow
    CPU, but zeros on its GPU and NaN on JAX: check identifiers where they are created.

    Source: Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model", 2003.
    """

    def call(self, inputs):
        i = inputs if inputs.dtype in ("int32", "int64") else ops.cast(inputs, "int32")
        E = self.embeddings
        return ops.cast(ops.take(E, i, axis=0), self.compute_dtype)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras refuses subclasses, because their `call` may differ; ours computes the same
        return super().quantize(mode, type_check=False, config=config)


@keras.saving.register_keras_serializable(package="kerasfound")
class PiecewiseLinearEncoding(keras.layers.Layer):
    r"""A number as a thermometer: bins below it are full, bins above it empty, and its own bin is partly full.

    With the edges $b_0 < b_1 < \dots < b_T$ of a feature, its value $x$ becomes $T$ numbers:

    $$e_t = \frac{x - b_{t-1}}{b_t - b_{t-1}}, \quad \text{clipped to}\ [0, 1]$$

    except that $e_1$ may fall below 0 and $e_T$ rise above 1, so that values outside the edges stay distinct. A linear
    layer on $e$ can represent any function of $x$ that is linear between the edges.

    Derivative: $1 / (b_t - b_{t-1})$ for the bin that contains $x$, 0 for other bins.

    Shapes: $x$ `(batch, features)`; $e$ `(batch, features, T)` where $T$ is the largest number of bins of a
        feature; bins that a feature does not have are 0.

    Args:
        bin_edges: for each feature its edges, increasing, at least two. `PiecewiseLinearEncoding.from_data` computes
            them.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if edges are fewer than two, not finite or not increasing, or the input is not `(batch, features)`.

    Example:
        >>> layer = PiecewiseLinearEncoding([[0.0, 10.0, 20.0, 40.0]])
        >>> [round(float(e), 4) for e in layer(ops.array([[15.0]]))[0, 0]]
        [1.0, 0.5, 0.0]

    In practice: with it dense networks compete with boosted trees on tables. Flatten it for a dense network, or give
    each feature its own weights, `keras.layers.EinsumDense("bft,ftd->bfd", (features, d))`. Compute edges from the
    training data only. NaN stays NaN: impute missing values first.

    Source: Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022.
    """

    def __init__(self, bin_edges, **kwargs):
        super().__init__(**kwargs)
        self.bin_edges = [[float(b) for b in edges] for edges in bin_edges]
        if not self.bin_edges:
            raise ValueError("`bin_edges` must hold the edges of at least one feature, got none.")
        for feature, edges in enumerate(self.bin_edges):
            b = np.array(edges, "float32")  # the layer computes in float32: edges must differ there
            if b.size < 2 or not np.isfinite(b).all() or not (b[1:] > b[:-1]).all():
                raise ValueError(
                    f"`bin_edges` of feature {feature} must be two or more increasing finite numbers, got {edges}."
                )
        self.autocast = False  # a raw 70000 does not fit into float16, its encoding does

    @classmethod
    def from_data(cls, x, bins=16, **kwargs):
        """Return the layer with quantile edges for each column of `x`: all bins have the same number of examples."""
        return cls(quantile_edges(x, bins), **kwargs)

    def build(self, input_shape):
        if len(input_shape) != 2 or input_shape[-1] != len(self.bin_edges):
            raise ValueError(f"The input must be (batch, {len(self.bin_edges)}), got {tuple(input_shape)}.")
        shape = self.compute_output_shape(input_shape)[1:]
        # a bin that a feature does not have: any width, and clipped to [0, 0]
        self.left, self.right, self.low, self.high = (np.full(shape, v, "float32") for v in (0, 1, 0, 0))
        for feature, edges in enumerate(self.bin_edges):
            T = len(edges) - 1
            self.left[feature, :T], self.right[feature, :T], self.high[feature, :T] = edges[:-1], edges[1:], 1
            self.low[feature, 0], self.high[feature, T - 1] = -math.inf, math.inf

    def call(self, inputs):
        x = ops.expand_dims(ops.cast(inputs, "float32"), -1)
        left, right, low, high = (ops.convert_to_tensor(a) for a in (self.left, self.right, self.low, self.high))
        e = (x - left) / (right - left)
        return ops.cast(ops.minimum(ops.maximum(e, low), high), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape, max(len(edges) for edges in self.bin_edges) - 1)

    def get_config(self):
        return super().get_config() | {"bin_edges": self.bin_edges}


def quantile_edges(x, bins=16):
    r"""Edges of bins with the same number of values each, one list of edges for each column.

    $$b_t = \text{the}\ t / T\ \text{quantile of the column}, \quad t = 0 \dots T$$

    Where many values are equal, edges coincide and are merged: such a column has fewer bins.

    Shapes: `x` `(examples, features)`; the result is a list of `features` lists of at most `bins + 1` numbers.

    Args:
        x: the training data, numbers; NaN is ignored.
        bins: number of bins $T$, at least 1. Defaults to `16`.

    Raises:
        ValueError: if `x` is not of rank 2, `bins` is below 1, or a column has fewer than two different finite values.

    Example:
        >>> quantile_edges(np.array([[1.0], [2.0], [3.0], [4.0], [100.0]]), bins=2)
        [[1.0, 3.0, 100.0]]

    In practice: 8 to 64 bins; more only with many examples in each.

    Source: Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022.
    """
    x = np.asarray(x, "float64")
    if x.ndim != 2:
        raise ValueError(f"`x` must have the shape (examples, features), got {x.shape}.")
    if not isinstance(bins, numbers.Integral) or bins < 1:
        raise ValueError(f"`bins` must be an integer of at least 1, got {bins!r}.")
    all_edges = []
    for feature, column in enumerate(x.T):
        # the layer computes in float32: edges that are equal there are one edge
        known = column[np.isfinite(column)].astype("float32")
        edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1))) if known.size else known
        if edges.size < 2:
            raise ValueError(
                f"Column {feature} of `x` holds {edges.size} different finite values and needs 2: leave the column out."
            )
        all_edges.append(edges.tolist())
    return all_edges


@keras.saving.register_keras_serializable(package="kerasfound")
class PeriodicEmbedding(keras.layers.Layer):
    r"""A number as sines and cosines with learned frequencies.

    With the frequencies $c_1 \dots c_k$ = `frequencies` of a feature, its value $x$ becomes $2k$ numbers:

    $$v = 2 \pi\, (c_1 x, \dots, c_k x), \qquad y = (\sin v, \cos v), \qquad c \sim N(0, \sigma^2)\ \text{at first}$$

    Derivative: with $u = (\cos v, -\sin v)$:
        $\partial y / \partial x = 2 \pi c\, u$, $\partial y / \partial c = 2 \pi x\, u$.

    Shapes: $x$ `(batch, features)`; $y$ `(batch, features, 2 * waves)`; $c$ `(features, waves)`.

    Range: [-1, 1].

    Args:
        waves: number $k$ of frequencies for each feature, at least 1. Defaults to `16`.
        sigma: standard deviation $\sigma$ of the first frequencies, above 0. Defaults to `0.1`.
        seed: an integer for the same first frequencies every time. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `waves` is not a positive integer, `sigma` is not above 0, or the input is not of rank 2.

    Example:
        >>> layer = PeriodicEmbedding(waves=1)
        >>> y = layer(ops.array([[0.0], [1.0]]))
        >>> [abs(float(v)) for v in y[0, 0]]  # sin 0, cos 0
        [0.0, 1.0]

    In practice: standardize $x$ first. $\sigma$ is the one number to tune (0.01 to 1): too small, and the encoding is a
    line; too large, and near numbers look unrelated. Put a dense layer for each feature after it.

    Source: Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022.
    """

    def __init__(self, waves=16, sigma=0.1, seed=None, **kwargs):
        if not isinstance(waves, numbers.Integral) or waves < 1:
            raise ValueError(f"`waves` must be an integer of at least 1, got {waves!r}.")
        if not sigma > 0:
            raise ValueError(f"`sigma` must be above 0, got {sigma}.")
        super().__init__(**kwargs)
        self.waves = waves
        self.sigma = sigma
        self.seed = seed
        self.autocast = False  # the phase of a large value is lost in half precision

    def build(self, input_shape):
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(f"The input must be (batch, features), got {tuple(input_shape)}.")
        self.frequencies = self.add_weight(
            name="frequencies",
            shape=(input_shape[-1], self.waves),
            initializer=keras.initializers.RandomNormal(stddev=self.sigma, seed=self.seed),
            autocast=False,
        )

    def call(self, inputs):
        c = ops.cast(self.frequencies, "float32")
        v = 2 * math.pi * c * ops.expand_dims(ops.cast(inputs, "float32"), -1)
        return ops.cast(ops.concatenate([ops.sin(v), ops.cos(v)], axis=-1), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape, 2 * self.waves)

    def get_config(self):
        return super().get_config() | {"waves": self.waves, "sigma": self.sigma, "seed": self.seed}


@keras.saving.register_keras_serializable(package="kerasfound")
class FactorizedInteraction(keras.layers.Layer):
    r"""The interaction of the fields of an example: the sum of the dot products of all pairs of embeddings.

    With the embeddings $v_1 \dots v_n$ of $n$ fields (a user, a film, a day of the week):

    $$y = \sum_{i < j} \langle v_i, v_j \rangle
        = \tfrac{1}{2} \Big( \big\| \textstyle\sum_i v_i \big\|^2 - \sum_i \| v_i \|^2 \Big)$$

    The right side costs $n$ instead of $n^2$. With a user and a film it is matrix factorization,
    $y = \langle u, f \rangle$: the weight of a pair comes from two vectors, also for a pair that is not in the training
    data.

    Derivative: $\partial y / \partial v_i = \sum_{j \ne i} v_j$.

    Shapes: embeddings `(batch, fields, dim)`; $y$ `(batch, 1)`. A mask `(batch, fields)` leaves fields out.

    Args:
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if the input is not one tensor of rank 3.

    Example:
        >>> user, film = ops.array([[1.0, 2.0]]), ops.array([[3.0, 4.0]])
        >>> float(FactorizedInteraction()(ops.stack([user, film], axis=1))[0, 0])  # 1 * 3 + 2 * 4
        11.0

    In practice: add a bias for each user and film, `Embedding(n, 1)`: most of a rating is how generous the user is and
    how popular the film is. Regularize the embeddings. For a field with a number $x$ multiply its vector by $x$.

    Source: Rendle, "Factorization Machines", 2010.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 3 or isinstance(input_shape[0], (list, tuple)):
            raise ValueError(
                f"The input must be one tensor (batch, fields, dim), got {input_shape}: `ops.stack` a list."
            )

    def call(self, inputs, mask=None):
        v = inputs if mask is None else ops.where(ops.expand_dims(mask, -1), inputs, 0.0)
        square_of_sum = ops.square(ops.sum(v, axis=1))
        sum_of_squares = ops.sum(ops.square(v), axis=1)
        return 0.5 * ops.sum(square_of_sum - sum_of_squares, axis=-1, keepdims=True)

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1)
