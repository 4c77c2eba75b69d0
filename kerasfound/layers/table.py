"""Layers for tables: imputation, embeddings of many category columns, and an ensemble with shared weights."""

import numbers

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kerasfound")
class Imputation(keras.layers.Layer):
    r"""Replace missing values (NaN) by a constant for each feature.

    With the constants $v$ = `values`, one for each feature $j$:

    $$y_j = \begin{cases} v_j & \text{if}\ x_j\ \text{is NaN} \\ x_j & \text{otherwise} \end{cases}$$

    Derivative: $\partial y_j / \partial x_j$ is 0 where the value is missing, 1 elsewhere.

    Shapes: $x$ and $y$ `(..., features)`.

    Args:
        values: one finite number $v_j$ for each feature, from the training data, usually the median.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if a value is not finite, or the input has another number of features.

    Example:
        >>> layer = Imputation([3.0, 5.0])
        >>> [float(v) for v in layer(ops.array([[np.nan, 7.0]]))[0]]
        [3.0, 7.0]

    In practice: that a value is missing is often informative: use `ops.isnan(x)` as further features. Raw numbers may
    not fit into half precision: use `dtype="float32"` for this layer.

    Source: Little and Rubin, "Statistical Analysis with Missing Data", 1987.
    """

    def __init__(self, values, **kwargs):
        super().__init__(**kwargs)
        self.values = [float(v) for v in values]
        if not np.isfinite(self.values).all():
            raise ValueError(f"`values` must be finite numbers, got {self.values}.")

    def build(self, input_shape):
        if input_shape[-1] != len(self.values):
            raise ValueError(f"The input must have {len(self.values)} features, got {tuple(input_shape)}.")

    def call(self, inputs):
        x = inputs
        v = ops.convert_to_tensor(self.values, x.dtype)
        return ops.where(ops.isnan(x), v, x)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"values": self.values}


@keras.saving.register_keras_serializable(package="kerasfound")
class CategoryEmbedding(keras.layers.Layer):
    r"""One embedding table for each column of categories; the layer concatenates the vectors of a row.

    With the code $i_j \in \{0, \dots, n_j - 1\}$ of column $j$ and its table $E^{(j)}$, $n_j$ = `sizes`:

    $$y_j = E^{(j)}_{i_j}, \qquad y = (y_1, \dots, y_m)$$

    A code outside its table counts as 0: keep 0 for categories that are not in the training data. In training, the
    layer replaces each code by 0 with probability `unknown_rate`, so that this vector is trained too.

    Derivative: $\partial L / \partial E^{(j)}_c$ is the sum of $\partial L / \partial y_j$ over the rows with
        $i_j = c$.

    Shapes: codes `(batch, columns)`, whole numbers of any dtype; $y$ `(batch, columns * output_dim)`;
        all tables in one weight, `(sum of sizes, output_dim)`.

    Args:
        sizes: number of codes $n_j$ of each column, at least 1.
        output_dim: length of each vector, at least 1.
        stddev: standard deviation of the initial vectors, which are normally distributed. Defaults to `0.1`.
        unknown_rate: probability that a code is replaced by 0 in training, in [0, 1). Defaults to `0`.
        seed: an integer for the same replacements every time. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if a size or `output_dim` is not a positive integer, `unknown_rate` is outside [0, 1), or the input
            is not `(batch, columns)`.

    Example:
        >>> layer = CategoryEmbedding([2, 3], output_dim=4)
        >>> layer(ops.array([[1.0, 2.0], [0.0, 0.0]])).shape == (2, 8)
        True
        >>> bool(ops.all(layer(ops.array([[9, 0]])) == layer(ops.array([[0, 0]]))))
        True

    In practice: an `output_dim` of 4 to 16 and an `unknown_rate` of 0.01 are good first values.

    Source: Guo and Berkhahn, "Entity Embeddings of Categorical Variables", 2016.
    """

    def __init__(self, sizes, output_dim, stddev=0.1, unknown_rate=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        for argument, value in [*(("sizes", n) for n in sizes), ("output_dim", output_dim)]:
            if not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(f"`{argument}` must hold positive integers, got {value!r}.")
        if not 0 <= unknown_rate < 1:
            raise ValueError(f"`unknown_rate` must be in [0, 1), got {unknown_rate}.")
        self.sizes = [int(n) for n in sizes]
        self.output_dim = output_dim
        self.stddev = stddev
        self.unknown_rate = unknown_rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.autocast = False  # float16 cannot represent all whole numbers above 2048

    def build(self, input_shape):
        if len(input_shape) != 2 or input_shape[-1] != len(self.sizes):
            raise ValueError(f"The input must be (batch, {len(self.sizes)}), got {tuple(input_shape)}.")
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(sum(self.sizes), self.output_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.stddev),
        )

    def call(self, inputs, training=False):
        sizes = np.array(self.sizes, "int32")
        n = ops.convert_to_tensor(sizes)  # torch compares a tensor only with a tensor
        offset = ops.convert_to_tensor(np.cumsum(sizes, dtype="int32") - sizes)
        i = ops.cast(inputs, "int32")
        is_known = ops.logical_and(i >= 0, i < n)
        if training and self.unknown_rate:
            u = keras.random.uniform(ops.shape(i), seed=self.seed_generator, dtype="float32")
            is_known = ops.logical_and(is_known, u >= self.unknown_rate)
        i = ops.where(is_known, i, 0)
        y = ops.take(ops.cast(self.embeddings, self.compute_dtype), i + offset, axis=0)
        return ops.reshape(y, (-1, len(self.sizes) * self.output_dim))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], len(self.sizes) * self.output_dim)

    def get_config(self):
        return super().get_config() | {
            "sizes": self.sizes,
            "output_dim": self.output_dim,
            "stddev": self.stddev,
            "unknown_rate": self.unknown_rate,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="kerasfound")
class BatchEnsembleScaling(keras.layers.Layer):
    r"""Copy the features for each member of an ensemble and scale each copy by the member's own weights.

    With the weights $r_k$ of member $k = 1 \dots K$, $K$ = `members`, and elementwise product $\odot$:

    $$y_k = r_k \odot x, \qquad r_{kj} = \pm 1\ \text{at first}$$

    The members share the dense layers after it, but each member computes a different function:
    $W y_k = (W \operatorname{diag} r_k)\, x$. The ensemble has only few weights more than one network.

    Derivative: $\partial y_k / \partial x = \operatorname{diag} r_k$,
        $\partial y_k / \partial r_k = \operatorname{diag} x$.

    Shapes: $x$ `(batch, features)`; $y$ `(batch, members, features)`; $r$ `(members, features)`.

    Args:
        members: number of members $K$, at least 1. Defaults to `8`.
        seed: an integer for the same initial signs every time. Defaults to `None`.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `members` is not a positive integer, or the input is not `(batch, features)`.

    Example:
        >>> y = BatchEnsembleScaling(3)(ops.ones((2, 5)))
        >>> y.shape == (2, 3, 5), bool(ops.all(ops.abs(y) == 1))
        (True, True)

    In practice: give each member its own output layer, train on the mean of the losses of the members (not on the loss
    of their mean), and average their predictions at inference.

    Source: Wen, Tran and Ba, "BatchEnsemble", 2020; Gorishniy, Kotelnikov and Babenko, "TabM", 2024.
    """

    def __init__(self, members=8, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(members, numbers.Integral) or members < 1:
            raise ValueError(f"`members` must be an integer of at least 1, got {members!r}.")
        self.members = members
        self.seed = seed

    def build(self, input_shape):
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(f"The input must be (batch, features), got {tuple(input_shape)}.")
        self.scales = self.add_weight(
            name="scales", shape=(self.members, input_shape[-1]), initializer=self._plus_or_minus_one
        )

    def _plus_or_minus_one(self, shape, dtype=None):
        u = keras.random.uniform(shape, seed=self.seed)
        return ops.cast(ops.where(u < 0.5, -1.0, 1.0), dtype)

    def call(self, inputs):
        x = ops.expand_dims(inputs, 1)
        r = self.scales
        return r * x

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.members, input_shape[-1])

    def get_config(self):
        return super().get_config() | {"members": self.members, "seed": self.seed}
