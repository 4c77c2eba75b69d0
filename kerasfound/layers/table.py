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


@keras.saving.register_keras_serializable(package="kerasfound")
class DecisionTrees(keras.layers.Layer):
    r"""The sum of decision trees, computed as a network with two hidden layers of step units.

    Node $n$ of tree $t$ compares the feature $f_{tn}$ with the threshold $\theta_{tn}$. Leaf $l$ lies behind $r_{tl}$
    right turns; $P_{tnl}$ is 1 if the path to it turns right at node $n$, -1 if it turns left, 0 if it does not pass
    there. $[\cdot]$ is 1 where the condition holds, else 0:

    $$s_{tn} = [x_{f_{tn}} > \theta_{tn}], \qquad
      q_{tl} = \Big[\sum_n s_{tn} P_{tnl} \ge r_{tl}\Big], \qquad
      y_o = \sum_{t, l} q_{tl} V_{tlo}$$

    Each tree reaches one leaf, whose values $V_{tl}$ it adds to the output. All sums but the last are of whole numbers,
    so every runtime reaches the same leaves.

    Derivative: $\partial y_o / \partial V_{tlo} = q_{tl}$; 0 with respect to $x$, where it exists.

    Shapes: $x$ `(batch, features)`; $y$ `(batch, outputs)`; $f$, $\theta$ `(trees, nodes)`;
        $P$ `(trees, nodes, leaves)`; $r$ `(trees, leaves)`; $V$ `(trees, leaves, outputs)`. Smaller trees fill the rest
        of $P$ and $V$ with 0, and of $r$ with 1: a leaf that is never reached. The order of the weights is
        $V$, $f$, $\theta$, $P$, $r$.

    Args:
        trees: number of trees, at least 1.
        nodes: largest number of nodes of a tree that compare, at least 1.
        outputs: length of $y$, at least 1. Defaults to `1`.
        **kwargs: `name`, `trainable`, `dtype`.

    Raises:
        ValueError: if `trees`, `nodes` or `outputs` is not a positive integer, or the input is not `(batch, features)`.

    Example:
        >>> layer = DecisionTrees(trees=1, nodes=1)
        >>> layer.build((None, 2))
        >>> weights = [[[10.0], [20.0]]], [[1]], [[0.5]], [[[-1, 1]]], [[0, 1]]  # is feature 1 above 0.5?
        >>> layer.set_weights([np.array(w) for w in weights])
        >>> [float(v) for v in layer(ops.array([[9.0, 0.0], [9.0, 1.0]]))[:, 0]]
        [10.0, 20.0]

    In practice: the trees come from a library that grows them, because steps have no gradient to learn from. A tree
    costs `nodes * leaves` products instead of one comparison for each level, but it has no branches: it runs wherever
    a network runs. Compare the raw features: after arithmetic, a value next to a threshold may be on the other side in
    another runtime. The layer computes in float32, because half precision merges neighbouring thresholds.

    Source: Sethi, "Entropy Nets: From Decision Trees to Neural Networks", 1990; Nakandala et al., "A Tensor Compiler
        for Unified Machine Learning Prediction Serving", 2020.
    """

    def __init__(self, trees, nodes, outputs=1, **kwargs):
        super().__init__(**kwargs)
        for argument, value in (("trees", trees), ("nodes", nodes), ("outputs", outputs)):
            if not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(f"`{argument}` must be an integer of at least 1, got {value!r}.")
        self.trees = trees
        self.nodes = nodes
        self.outputs = outputs
        self.autocast = False

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(f"The input must be (batch, features), got {tuple(input_shape)}.")
        t, n, leaves = self.trees, self.nodes, self.nodes + 1
        steps = {"trainable": False, "initializer": "zeros"}
        self.feature = self.add_weight(name="feature", shape=(t, n), dtype="int32", **steps)
        self.threshold = self.add_weight(name="threshold", shape=(t, n), dtype="float32", **steps)
        self.paths = self.add_weight(name="paths", shape=(t, n, leaves), dtype="float32", **steps)
        self.right_turns = self.add_weight(name="right_turns", shape=(t, leaves), dtype="float32", **steps)
        self.value = self.add_weight(
            name="value", shape=(t, leaves, self.outputs), dtype="float32", initializer="zeros"
        )

    def call(self, inputs):
        def step(condition):
            return ops.cast(condition, "float32")

        x, f, theta = (ops.convert_to_tensor(a) for a in (inputs, self.feature, self.threshold))
        P, r, V = (ops.convert_to_tensor(a) for a in (self.paths, self.right_turns, self.value))
        s = step(ops.take(ops.cast(x, "float32"), f, axis=1) > theta)
        q = step(ops.einsum("btn,tnl->btl", s, P) >= r)
        y = ops.einsum("btl,tlo->bo", q, V)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.outputs)

    def get_config(self):
        return super().get_config() | {"trees": self.trees, "nodes": self.nodes, "outputs": self.outputs}
