"""Table layers: missing values are imputed, categories looked up, ensemble members scaled differently."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.table import BatchEnsembleScaling, CategoryEmbedding, DecisionTrees, Imputation


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


EXAMPLES = {
    "Imputation": lambda: (Imputation([1.0, -2.0, 0.5]), np.where(normal(5, 3) > 1, math.nan, normal(5, 3, seed=1))),
    "CategoryEmbedding": lambda: (CategoryEmbedding([2, 3], 4), np.array([[1, 2], [0, 0], [7, 1]], "float32")),
    "BatchEnsembleScaling": lambda: (BatchEnsembleScaling(3, seed=1), normal(5, 4)),
    "DecisionTrees": lambda: (DecisionTrees(3, 2, outputs=2), normal(5, 4)),
}


@given(st.lists(st.none() | st.floats(-1000, 1000, width=32), min_size=3, max_size=3))
def test_only_missing_values_are_imputed(cells):
    values = [7.0, 8.0, 9.0]
    filled = Imputation(values)(np.array([[math.nan if c is None else c for c in cells]], "float32"))
    expected = [v if c is None else c for c, v in zip(cells, values, strict=True)]
    assert ops.convert_to_numpy(filled)[0].tolist() == expected


def test_it_equals_a_keras_embedding_of_each_column():
    sizes, codes = [4, 2, 3], np.array([[3, 1, 0], [0, 0, 2]])
    layer = CategoryEmbedding(sizes, 5)
    layer.build((None, 3))
    tables = np.split(ops.convert_to_numpy(layer.embeddings), np.cumsum(sizes)[:-1])
    theirs = [
        keras.layers.Embedding(n, 5, weights=[table])(codes[:, j])
        for j, (n, table) in enumerate(zip(sizes, tables, strict=True))
    ]
    np.testing.assert_array_equal(layer(codes), np.concatenate([ops.convert_to_numpy(t) for t in theirs], axis=1))


@pytest.mark.parametrize("code", [-1, 4, 1000])
def test_a_code_outside_its_table_counts_as_0(code):
    layer = CategoryEmbedding([4, 4], 2)
    np.testing.assert_array_equal(layer(np.array([[code, 3]])), layer(np.array([[0, 3]])))


def test_each_member_scales_the_features_its_own_way():
    layer, x = BatchEnsembleScaling(4, seed=2), normal(3, 6)
    y = ops.convert_to_numpy(layer(x))
    r = ops.convert_to_numpy(layer.scales)
    np.testing.assert_allclose(y, r[None] * x[:, None])
    assert set(np.unique(r)) == {-1.0, 1.0}


def test_some_categories_are_replaced_by_unknown_in_training_and_none_afterwards():
    layer = CategoryEmbedding([3, 3], 1, unknown_rate=0.2, seed=0)
    codes = np.ones((5000, 2), "float32")
    layer(codes)
    layer.set_weights([np.array([[7], [1], [2], [8], [4], [5]], "float32")])
    assert np.array_equal(ops.convert_to_numpy(layer(codes)), np.tile([1, 4], (5000, 1)))
    y = ops.convert_to_numpy(layer(codes, training=True))
    assert set(y[:, 0]) == {1, 7}
    assert set(y[:, 1]) == {4, 8}
    assert abs((y[:, 0] == 7).mean() - 0.2) < 6 * 0.4 / np.sqrt(5000)
    assert abs(((y[:, 0] == 7) & (y[:, 1] == 8)).mean() - 0.04) < 6 * 0.2 / np.sqrt(5000)


def test_each_tree_adds_the_value_of_the_leaf_that_the_row_reaches():
    """The first tree: x0 > 0 leads to a second question, x1 > 1. The second tree has one node."""
    layer = DecisionTrees(trees=2, nodes=2)
    layer.build((None, 2))
    paths = np.array([[[-1, 1, 1], [0, -1, 1]], [[-1, 1, 0], [0, 0, 0]]])
    values = np.array([[[1], [2], [3]], [[10], [20], [0]]])
    weights = values, [[0, 1], [1, 0]], [[0, 1], [5, 0]], paths, [[0, 1, 2], [0, 1, 1]]
    layer.set_weights([np.array(w) for w in weights])
    rows = {(-1, 9): 1 + 20, (1, 0): 2 + 10, (1, 1): 2 + 10, (1, 2): 3 + 10}
    assert ops.convert_to_numpy(layer(np.array(list(rows), "float32")))[:, 0].tolist() == list(rows.values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Imputation([math.nan]), "`values` must be finite"),
        (lambda: Imputation([0.0, 1.0])(normal(2, 3)), "must have 2 features"),
        (lambda: CategoryEmbedding([0], 2), "`sizes` must hold positive integers, got 0"),
        (lambda: CategoryEmbedding([2], 0), "`output_dim` must hold positive integers, got 0"),
        (lambda: CategoryEmbedding([2], 3)(normal(2, 2)), r"must be \(batch, 1\)"),
        (lambda: CategoryEmbedding([2], 3, unknown_rate=1), r"`unknown_rate` must be in \[0, 1\), got 1"),
        (lambda: BatchEnsembleScaling(0), "`members` must be an integer of at least 1, got 0"),
        (lambda: BatchEnsembleScaling(2)(normal(2, 2, 2)), r"must be \(batch, features\)"),
        (lambda: DecisionTrees(0, 3), "`trees` must be an integer of at least 1, got 0"),
        (lambda: DecisionTrees(2, 3)(normal(2, 2, 2)), r"must be \(batch, features\)"),
    ],
)
def test_bad_arguments_and_inputs_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
