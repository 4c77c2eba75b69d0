"""Features of tabular_mlp from the numbers of a table: standardized numbers, sums and differences, bins of trees."""

import itertools

import keras
import numpy as np
from keras import ops
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import kerasfound as kf


def standardize(row: keras.KerasTensor, places: list[int], train: kf.data.Split) -> keras.KerasTensor:
    """Select the numbers of a row, replace missing ones, take logarithms of long tails, and standardize.

    Args:
        row: encoded rows, `(batch, features)`.
        places: the indices of the numbers.
        train: the training rows, for medians, means and standard deviations.
    """
    x = train.x[:, places].astype("float64")
    medians = np.array([np.median(column[~np.isnan(column)]) if (column == column).any() else 0 for column in x.T])
    x = np.where(np.isnan(x), medians, x)
    skewness = (((x - x.mean(axis=0)) / standard_deviation(x)) ** 3).mean(axis=0)
    long_tailed = (skewness > 1) & (x.min(axis=0) >= 0)
    short, long = np.flatnonzero(~long_tailed).tolist(), np.flatnonzero(long_tailed).tolist()
    x = np.concatenate([x[:, short], np.log1p(x[:, long])], axis=1)

    y = ops.take(row, places, axis=1)
    y = kf.layers.Imputation(medians, dtype="float32", name="filled")(y)
    if long:
        # the difference of two logarithms is a ratio: rooms per household, debt by income
        logarithms = ops.log(1 + ops.maximum(ops.take(y, long, axis=1), 0))
        y = keras.layers.Concatenate(name="short_tails")([ops.take(y, short, axis=1), logarithms])
    y = keras.layers.Rescaling(1.0, (-x.mean(axis=0)).tolist(), dtype="float32", name="centered")(y)
    y = keras.layers.Rescaling((1 / standard_deviation(x)).tolist(), dtype="float32", name="scaled")(y)
    return ops.clip(y, -6, 6)


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
