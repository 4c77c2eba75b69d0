"""Cross-fitting: each model is fitted without one fold of the rows, and these rows then show how good it is."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import kerasfound as kf
from kerasfound.errors import UserError

UNSEEN = -10.0
"""The logit of a class that has no training row."""


class Folds(NamedTuple):
    """What a model is fitted to, once without each of the folds."""

    rows: kf.data.Split
    """The rows of all folds, with classes or standardized numbers as targets."""
    fold: np.ndarray
    """The fold of each row."""
    outputs: int
    """Number of classes, or 1 for numbers."""
    class_weight: str | None = None
    """`"balanced"` or None. Only for classes."""


def deal_folds(y: np.ndarray, folds: int, classes: bool, seed: int) -> np.ndarray:
    """Return the fold of each row, from 0, with equal shares of each class; -1 for the only row of a class.

    Args:
        y: targets.
        folds: number of folds.
        classes: whether the targets are classes.
        seed: seed of the order in which the rows are dealt out.

    Raises:
        UserError: if all rows have the same class.
    """
    if classes and len(np.unique(y)) < 2:
        raise UserError("the training rows have a single class; expected rows of two or more classes.")
    rows = np.random.default_rng(seed).permutation(len(y))
    if classes:
        rows = rows[np.argsort(y[rows], kind="stable")]
    fold = np.empty(len(y), "int64")
    fold[rows] = np.arange(len(y)) % folds
    if classes:
        fold[np.bincount(y)[y] == 1] = -1  # every model needs a row of every class
    return fold


def cross_fit(
    make: Callable[[], Any], x: np.ndarray, y: np.ndarray, fold: np.ndarray, outputs: int
) -> tuple[list[Any], np.ndarray]:
    """Fit an estimator of scikit-learn without each of the folds.

    Args:
        make: returns a new estimator.
        x: features.
        y: targets.
        fold: the fold of each row.
        outputs: number of classes, or 1 for numbers.

    Returns:
        The estimators, and the scores of each row, `(rows, outputs)`, from the estimator that was fitted without it: 0
        for a row that all estimators were fitted to.
    """
    estimators = [make().fit(x[fold != f], y[fold != f]) for f in range(fold.max() + 1)]
    out_of_fold = np.zeros((len(y), outputs))
    for f, estimator in enumerate(estimators):
        rows = fold == f
        if hasattr(estimator, "classes_"):
            out_of_fold[rows] = class_logits(estimator, estimator.decision_function(x[rows]), outputs)
        else:
            out_of_fold[rows, 0] = estimator.predict(x[rows])
    return estimators, out_of_fold


def class_logits(estimator: Any, logits: np.ndarray, classes: int, unseen: float = UNSEEN) -> np.ndarray:
    """Complete logits along a last axis: scikit-learn has one for two classes, and none for a class without rows."""
    if len(estimator.classes_) == 2:
        logits = np.stack([np.zeros_like(logits), logits], axis=-1)
    all_logits = np.full((*logits.shape[:-1], classes), float(unseen))
    all_logits[..., estimator.classes_] = logits
    return all_logits


class CrossFittedMembers(keras.layers.Layer):
    """Each member of an ensemble learns from the other folds, and is evaluated on its own.

    Member $m$ leaves out the fold $m$ mod `folds`. In training, a member gets no gradient from the rows it leaves out.
    Otherwise, the mean of the members that left a row out takes the place of all of its outputs.

    Args:
        folds: number of folds, at most the number of members.
    """

    def __init__(self, folds: int):
        super().__init__(dtype="float32", name="cross_fitted_members")
        self.folds = folds

    def call(self, outputs: keras.KerasTensor, fold: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        members = outputs.shape[1]
        own_fold = ops.convert_to_tensor(np.arange(members, dtype="float32") % self.folds)
        left_out = ops.expand_dims(ops.equal(fold, own_fold), -1)
        if training:
            return ops.where(left_out, ops.stop_gradient(outputs), outputs)
        chosen = ops.where(left_out, outputs, 0.0)
        count = ops.maximum(ops.sum(ops.cast(left_out, "float32"), axis=1, keepdims=True), 1)
        return ops.repeat(ops.sum(chosen, axis=1, keepdims=True) / count, members, axis=1)


def cross_fitted(members: keras.Model, fold: np.ndarray) -> keras.Model:
    """Return a model for training on rows whose last feature is their fold.

    Args:
        members: the outputs of each member, `(batch, members, outputs)`, for encoded rows.
        fold: the fold of each row.
    """
    row = keras.Input((members.input_shape[-1] + 1,), name="row_and_fold")
    return keras.Model(row, CrossFittedMembers(fold.max() + 1)(members(row[:, :-1]), row[:, -1:]))
