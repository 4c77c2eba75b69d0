"""A linear or logistic regression as a dense layer of a Keras model."""

import functools
from typing import Any

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

import kerasfound as kf

from .cross_fitting import Folds, class_logits, cross_fit
from .tabular_features import compute

RIDGE_PENALTIES = (0.01, 1.0, 100.0)
"""A linear regression takes the penalty that is best on the rows left out: a small one if the target is a sum."""


def linear_model(
    row: keras.KerasTensor,
    features: keras.KerasTensor,
    folds: Folds,
) -> tuple[keras.KerasTensor, np.ndarray]:
    """Fit one model without each of the folds.

    Args:
        row: encoded rows, `(batch, features)`.
        features: standardized numbers and one-hot categories, `(batch, features)`.
        folds: the rows, dealt out to folds.

    Returns:
        The mean of the models' logits or numbers, `(batch, outputs)`, and the scores out of fold, `(rows, outputs)`.
    """
    (rows, fold, outputs, class_weight), x = folds, compute(row, features, folds.rows.x)

    if outputs > 1:
        make = functools.partial(LogisticRegression, class_weight=class_weight, max_iter=300)
        models, out_of_fold = cross_fit(make, x, rows.y, fold, outputs)
    else:
        fitted = [cross_fit(functools.partial(Ridge, penalty), x, rows.y, fold, 1) for penalty in RIDGE_PENALTIES]
        models, out_of_fold = min(fitted, key=lambda pair: np.square(pair[1][:, 0] - rows.y).sum())
    layer = kf.layers.Dense(outputs, trainable=False, dtype="float32", name="linear_model")
    y = layer(features)
    layer.set_weights([np.mean(arrays, axis=0) for arrays in zip(*(weights(m, outputs) for m in models), strict=True)])
    return y, out_of_fold


def weights(model: Any, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """The kernel, `(features, outputs)`, and the bias of a fitted model."""
    kernel, bias = model.coef_.T, model.intercept_
    if outputs == 1:
        return kernel.reshape(-1, 1), np.reshape(bias, 1)
    if len(model.classes_) == 2:
        kernel, bias = kernel[:, 0], bias[0]
    return class_logits(model, kernel, outputs, unseen=0), class_logits(model, bias, outputs)
