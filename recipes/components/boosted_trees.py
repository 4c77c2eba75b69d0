"""Gradient-boosted trees of scikit-learn as layers of a Keras model."""

from typing import Any

import keras
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import kerasfound as kf

from .cross_fitting import Folds, class_logits, cross_fit
from .tabular_features import compute

MAX_TREES = 300
"""Largest number of trees of one model. Each round has a tree for each class, so many classes get fewer rounds."""


def boosted_trees(
    row: keras.KerasTensor,
    columns: keras.KerasTensor,
    folds: Folds,
) -> tuple[keras.KerasTensor, np.ndarray]:
    """Fit one model without each of the folds.

    Args:
        row: encoded rows, `(batch, features)`.
        columns: the columns to split, `(batch, columns)`, without missing values and as they are in the row: after
            arithmetic, two runtimes may disagree on which side of a threshold a value is.
        folds: the rows, dealt out to folds.

    Returns:
        The mean of the models' logits or numbers, `(batch, outputs)`, and the scores out of fold, `(rows, outputs)`.
    """
    (rows, fold, outputs, class_weight), x = folds, compute(row, columns, folds.rows.x)

    def make() -> Any:
        if outputs == 1:
            return HistGradientBoostingRegressor(early_stopping=False, random_state=0)
        rounds = int(np.clip(MAX_TREES // outputs, 1, 100))
        return HistGradientBoostingClassifier(
            max_iter=rounds, class_weight=class_weight, early_stopping=False, random_state=0
        )

    models, out_of_fold = cross_fit(make, x, rows.y, fold, outputs)
    return decision_trees(models, outputs)(columns), out_of_fold


def decision_trees(models: list[Any], outputs: int) -> keras.layers.Layer:
    """Return a layer that computes the mean of the models' scores."""
    # scikit-learn has no public access to its trees; skl2onnx and shap read the same two attributes
    trees = [(place, tree.nodes) for m in models for one_round in m._predictors for place, tree in enumerate(one_round)]
    size = max(1, max(int((nodes["is_leaf"] == 0).sum()) for _, nodes in trees))
    layer = kf.layers.DecisionTrees(len(trees), size, outputs, trainable=False, dtype="float32", name="boosted_trees")
    layer.build((None, None))
    value, feature, threshold, path, right_turns = (np.zeros(w.shape, w.dtype) for w in layer.weights)
    right_turns += 1  # no row reaches the leaves that a smaller tree lacks
    for t, (place, nodes) in enumerate(trees):
        inner, leaves, turns = turns_to_leaves(nodes)
        feature[t, : len(inner)] = nodes["feature_idx"][inner]
        threshold[t, : len(inner)] = float32_at_most(nodes["num_threshold"][inner])
        path[t, : len(inner), : len(leaves)] = turns
        right_turns[t, : len(leaves)] = (turns > 0).sum(axis=0)
        value[t, : len(leaves), output_of_tree(models[0], place)] = nodes["value"][leaves] / len(models)
    value[0] += np.mean([baseline(model, outputs) for model in models], axis=0)  # every row reaches one leaf
    layer.set_weights([value, feature, threshold, path, right_turns])
    return layer


def output_of_tree(model: Any, place: int) -> int:
    """The output that a tree adds to. A round of boosting has a tree for each class, but only one for two classes."""
    if not hasattr(model, "classes_"):
        return 0
    return model.classes_[place if len(model.classes_) > 2 else 1]


def baseline(model: Any, outputs: int) -> np.ndarray:
    """The scores of a model before its first tree, `(outputs,)`."""
    scores = np.ravel(model._baseline_prediction)
    if not hasattr(model, "classes_"):
        return scores
    return class_logits(model, scores if len(scores) > 1 else scores[0], outputs)


def float32_at_most(x: np.ndarray) -> np.ndarray:
    """The largest float32 numbers that are at most `x`: other float32 numbers stay on the same side of them."""
    nearest = x.astype("float32")
    return np.where(nearest > x, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def turns_to_leaves(nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the inner nodes, the leaves, and the turn to each leaf at each node: 1 is right, -1 left, 0 neither."""
    inner, leaves = np.flatnonzero(nodes["is_leaf"] == 0), np.flatnonzero(nodes["is_leaf"])
    turns = np.zeros((len(nodes), len(nodes)), "float32")
    for node in inner:  # a node comes before its children
        for child, turn in ((nodes["left"][node], -1), (nodes["right"][node], 1)):
            turns[:, child] = turns[:, node]
            turns[node, child] = turn
    return inner, leaves, turns[np.ix_(inner, leaves)]
