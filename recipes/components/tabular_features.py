"""Features of tabular_mlp from an encoded row: numbers for trees, for a linear model and for a network; categories."""

import itertools
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import kerasfound as kf

BATCH = 2048
"""Rows that features are computed for at a time."""
MAX_CATEGORIES = 254
"""Largest number of categories of a column with a code of their own."""


class Features(NamedTuple):
    """What the models of tabular_mlp make of an encoded row."""

    network: keras.KerasTensor | None
    """Standardized numbers with short tails, sums and differences of pairs, and which numbers are missing."""
    bins: keras.KerasTensor | None
    """The piecewise linear encoding of these numbers, `(batch, numbers, bins)`."""
    codes: keras.KerasTensor | None
    """The codes of categories, `(batch, columns)`."""
    sizes: list[int]
    """The number of codes of each column of categories."""
    linear: keras.KerasTensor
    """Standardized numbers and one-hot categories."""
    trees: keras.KerasTensor
    """Numbers as they are in the row, and codes of categories, without missing ones."""


def table_features(
    row: keras.KerasTensor, schema: kf.bundle.Schema, train: kf.data.Split, pairs: int, bins: int
) -> Features:
    """Make the features of a row.

    Args:
        row: encoded rows, `(batch, features)`.
        schema: the schema of the table, with the kinds of its columns.
        train: the training rows, for medians, scales, pairs, bins and the frequencies of categories.
        pairs: maximum number of pairs of numbers whose sum and difference become features.
        bins: maximum number of bins of a number.
    """
    kinds = [column.kind for column in schema.columns for _ in range(column.width)]
    numbers = [place for place, kind in enumerate(kinds) if kind != "category"]
    categories = [place for place, kind in enumerate(kinds) if kind == "category"]
    network, encoded, codes, sizes = None, None, None, list[int]()
    linear, trees = [], []
    if numbers:
        plain, short_tailed = standardize(row, numbers, train.x)
        combined, encoded = tree_bins(row, short_tailed, train, bool(schema.labels), pairs, bins)
        missing = missing_flags(row, numbers, train.x)
        network = join([combined, *missing])
        linear += [plain, short_tailed, *missing]
        trees.append(filled_below(row, numbers, train.x))
    if categories:
        codes, sizes = frequent_categories(row, categories, train.x)
        linear += [ops.one_hot(ops.cast(codes[:, j], "int32"), size, dtype="float32") for j, size in enumerate(sizes)]
        trees.append(codes)
    return Features(network, encoded, codes, sizes, join(linear), join(trees))


def compute(inputs: keras.KerasTensor, outputs: keras.KerasTensor, x: np.ndarray) -> np.ndarray:
    """The outputs for all rows of `x`. They are computed once: `Model.predict` would compile a function for that."""
    model = keras.Model(inputs, outputs)
    batches = [model(x[start : start + BATCH], training=False) for start in range(0, len(x), BATCH)]
    return np.concatenate([ops.convert_to_numpy(batch) for batch in batches])


def join(features: list[keras.KerasTensor]) -> keras.KerasTensor:
    return ops.concatenate(features, axis=-1) if len(features) > 1 else features[0]


def filled_below(row: keras.KerasTensor, places: list[int], x: np.ndarray) -> keras.KerasTensor:
    """Select the numbers of a row as they are; missing ones become smaller than all others, for trees.

    Args:
        row: encoded rows, `(batch, features)`.
        places: the indices of the numbers.
        x: the training rows.
    """
    numbers = present(x[:, places])
    below = [2 * column.min() - column.max() - 1 for column in numbers]
    return kf.layers.Imputation(below, dtype="float32", name="filled_below")(ops.take(row, places, axis=1))


def present(x: np.ndarray) -> list[np.ndarray]:
    """The numbers of each column that are not missing; 0 for a column without any."""
    columns = [column[~np.isnan(column)] for column in x.astype("float64").T]
    return [column if len(column) else np.zeros(1) for column in columns]


def standardize(
    row: keras.KerasTensor, places: list[int], x: np.ndarray
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Select the numbers of a row, replace missing ones by medians, and standardize.

    Args:
        row: encoded rows, `(batch, features)`.
        places: the indices of the numbers.
        x: the training rows, for medians, means and standard deviations.

    Returns:
        The standardized numbers, for a linear model; and for a network the standardized logarithms of those with a long
        tail, all clipped to [-6, 6].
    """
    medians = np.array([np.median(column) for column in present(x[:, places])])
    x = np.where(np.isnan(x[:, places]), medians, x[:, places].astype("float64"))
    numbers = ops.take(row, places, axis=1)
    numbers = kf.layers.Imputation(medians, dtype="float32", name="filled")(numbers)
    plain, bound = scaled(numbers, x, "plain")
    # between a new row and the training rows a linear model extrapolates no further than between those
    plain = ops.clip(plain, -2 * bound, 2 * bound)

    skewness = (((x - x.mean(axis=0)) / standard_deviation(x)) ** 3).mean(axis=0)
    long_tailed = (skewness > 1) & (x.min(axis=0) >= 0)
    short, long = np.flatnonzero(~long_tailed).tolist(), np.flatnonzero(long_tailed).tolist()
    if long:
        # the difference of two logarithms is a ratio: rooms per household, debt by income
        logarithms = ops.log(1 + ops.maximum(ops.take(numbers, long, axis=1), 0))
        numbers = keras.layers.Concatenate(name="short_tails")([ops.take(numbers, short, axis=1), logarithms])
        x = np.concatenate([x[:, short], np.log1p(x[:, long])], axis=1)
    return plain, ops.clip(scaled(numbers, x, "short_tailed")[0], -6, 6)


def scaled(numbers: keras.KerasTensor, x: np.ndarray, name: str) -> tuple[keras.KerasTensor, float]:
    """Numbers with mean 0 and standard deviation 1 over the rows of `x`, and their largest absolute value there."""
    mean, deviation = x.mean(axis=0), standard_deviation(x)
    centered = keras.layers.Rescaling(1.0, (-mean).tolist(), dtype="float32", name=f"{name}_centered")(numbers)
    divided = keras.layers.Rescaling((1 / deviation).tolist(), dtype="float32", name=f"{name}_scaled")(centered)
    return divided, float(np.abs((x - mean) / deviation).max())


def frequent_categories(
    row: keras.KerasTensor, places: list[int], x: np.ndarray
) -> tuple[keras.KerasTensor, list[int]]:
    """Number the categories of each column by frequency, from 1. Rare and unknown ones share code 0.

    A category of a few rows says little about others; a model could only memorize these rows.

    Args:
        row: encoded rows, `(batch, features)`.
        places: the indices of the codes of categories.
        x: the training rows.

    Returns:
        The codes, `(batch, columns)`, and the number of codes of each column.
    """
    fewest = min(10, max(2, len(x) // 100))
    tables = []
    for column in x[:, places].astype("int64").T:
        counts = np.bincount(column, minlength=2)
        by_frequency = [code for code in np.argsort(-counts, kind="stable") if code and counts[code] >= fewest]
        table = np.zeros((len(counts), 1), "float32")
        table[by_frequency[:MAX_CATEGORIES], 0] = 1 + np.arange(len(by_frequency[:MAX_CATEGORIES]))
        tables.append(table)
    lookup = kf.layers.CategoryEmbedding(
        [len(table) for table in tables], 1, trainable=False, dtype="float32", name="frequent_categories"
    )
    codes = lookup(ops.take(row, places, axis=1))
    lookup.set_weights([np.concatenate(tables)])
    return codes, [1 + int(table.max()) for table in tables]


def missing_flags(row: keras.KerasTensor, places: list[int], x: np.ndarray) -> list[keras.KerasTensor]:
    """Whether a number is missing, for the numbers that are missing in some training row."""
    sometimes = [place for place in places if np.isnan(x[:, place]).any()]
    return [ops.cast(ops.isnan(ops.take(row, sometimes, axis=1)), "float32")] if sometimes else []


def tree_bins(
    row: keras.KerasTensor, numbers: keras.KerasTensor, train: kf.data.Split, classes: bool, pairs: int, bins: int
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Add sums and differences of informative pairs, and encode each number by its place among a tree's thresholds.

    Args:
        row: encoded rows, `(batch, features)`.
        numbers: standardized numbers, `(batch, numbers)`.
        train: the training rows.
        classes: whether the targets are classes.
        pairs: maximum number of pairs.
        bins: maximum number of bins of a number.

    Returns:
        The numbers with those of the pairs, and their piecewise linear encoding, `(batch, numbers, bins)`.
    """

    informative = informative_pairs(compute(row, numbers, train.x), train.y, classes)[:pairs]
    if informative:
        numbers = add_pairs(numbers, informative)
    # thresholds of trees, not quantiles: a quantile puts all large values of a skewed column into the last bin
    edges = [tree_edges(x, train.y, classes, bins) for x in compute(row, numbers, train.x).T]
    return numbers, kf.layers.PiecewiseLinearEncoding(edges, dtype="float32", name="bins")(numbers)


def standard_deviation(x: np.ndarray) -> np.ndarray:
    """The standard deviation of each column, and 1 for constant columns."""
    deviation = x.std(axis=0)
    return np.where(deviation > 0, deviation, 1)


def informative_pairs(x: np.ndarray, y: np.ndarray, classes: bool, rows: int = 30_000) -> list[tuple[int, int]]:
    """The pairs of numbers whose sum and difference improve the prediction of the target, the best first.

    The columns of a table need not be the best features: longitude + latitude, or the ratio of two sizes, may say more.

    Args:
        x: standardized numbers, `(rows, numbers)`.
        y: targets.
        classes: whether the targets are classes.
        rows: number of rows to compare on, at most.
    """
    sample = np.random.default_rng(0).permutation(len(y))[:rows]
    x, y = x[sample], y[sample]
    if classes:  # cross-validation needs each class in each of the three folds
        frequent = np.bincount(y)[y] >= 3
        x, y = x[frequent], y[frequent]
    if len(np.unique(y)) < 2:
        return []

    def score(columns: list[np.ndarray]) -> float:
        scoring = "neg_log_loss" if classes else "r2"
        return cross_val_score(decision_tree(classes, 64), np.stack(columns, axis=1), y, cv=3, scoring=scoring).mean()

    scores = [score([column]) for column in x.T]
    best = sorted(np.argsort(scores)[::-1][:8].tolist())
    gains = {}
    for i, j in itertools.combinations(best, 2):
        a, b = x[:, i], x[:, j]
        gains[i, j] = score([a, b, a + b, a - b]) - score([a, b])
    return sorted((pair for pair, gain in gains.items() if gain > 0.01), key=lambda pair: -gains[pair])


def add_pairs(scaled: keras.KerasTensor, pairs: list[tuple[int, int]]) -> keras.KerasTensor:
    """Append the sum and the difference of each pair of numbers."""
    left, right = zip(*pairs, strict=True)
    a, b = ops.take(scaled, left, axis=1), ops.take(scaled, right, axis=1)
    return keras.layers.Concatenate(name="with_pairs")([scaled, a + b, a - b])


def tree_edges(x: np.ndarray, y: np.ndarray, classes: bool, bins: int) -> list[float]:
    """The edges of a number's bins: the thresholds of a decision tree on this number alone."""
    tree = decision_tree(classes, bins).fit(x[:, None], y).tree_
    edges = np.unique(np.concatenate([[x.min()], tree.threshold[tree.feature >= 0], [x.max()]]).astype("float32"))
    return edges.tolist() if len(edges) > 1 else [edges[0], edges[0] + 1]


def decision_tree(classes: bool, leaves: int) -> DecisionTreeClassifier | DecisionTreeRegressor:
    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    return kind(max_leaf_nodes=leaves, min_samples_leaf=16, random_state=0)
