"""The metrics of each kind of task, from a model's outputs and the targets."""

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from kerasfound.rounding import round_significant


def classification_metrics(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy and cross-entropy (nats a row) of class probabilities, `(rows, classes)`; for two classes also ROC AUC.

    Example:
        >>> classification_metrics(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1]))
        {'accuracy': 1.0, 'cross_entropy': 0.4904, 'auc': 1.0}
    """
    classes = np.arange(probabilities.shape[-1])
    exact = probabilities.astype("float64")  # scikit-learn warns of float32 rows, whose sums differ from 1 by 1e-7
    exact /= exact.sum(axis=-1, keepdims=True)
    metrics = {
        "accuracy": round(float(accuracy_score(y, probabilities.argmax(axis=-1))), 6),
        "cross_entropy": round(float(log_loss(y, exact, labels=classes)), 4),
    }
    if probabilities.shape[-1] == 2 and len(np.unique(y)) == 2:
        metrics["auc"] = round(float(roc_auc_score(y, probabilities[:, 1])), 6)
    return metrics


def regression_metrics(outputs: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Root mean square error and mean absolute error, in the target's units, and the share of variance explained.

    Example:
        >>> regression_metrics(np.array([[1.0], [2.0], [6.0]]), np.array([1.0, 2.0, 3.0]))
        {'rmse': 1.732051, 'mae': 1.0, 'r2': -3.5}
    """
    y, predicted = y.astype("float64"), outputs[:, 0].astype("float64")
    return {
        "rmse": round_significant(float(root_mean_squared_error(y, predicted))),
        "mae": round_significant(float(mean_absolute_error(y, predicted))),
        "r2": round(float(r2_score(y, predicted)), 6) if len(y) > 1 else 0.0,
    }


def next_character_metrics(logits: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy and cross-entropy (nats a character) of logits, `(windows, time, characters)`.

    Example:
        >>> next_character_metrics(np.zeros((1, 2, 4)), np.array([[0, 3]]))
        {'accuracy': 0.5, 'cross_entropy': 1.3863}
    """
    return {
        "accuracy": round(float((logits.argmax(axis=-1) == y).mean()), 6),
        "cross_entropy": round(float(negative_log_likelihood(logits, y).mean()), 4),
    }


def classification_losses(probabilities: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Whether each row is misclassified, and its cross-entropy."""
    of_truth = np.take_along_axis(probabilities, y[:, None].astype("int64"), axis=1)[:, 0].astype("float64")
    tiny = np.finfo(probabilities.dtype).eps  # the bound of scikit-learn's log_loss
    return {"accuracy": 1.0 * (probabilities.argmax(-1) != y), "cross_entropy": -np.log(of_truth.clip(min=tiny))}


def regression_losses(outputs: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The squared and the absolute error of each row."""
    error = outputs[:, 0].astype("float64") - y
    return {"rmse": error**2, "mae": np.abs(error)}


def next_character_losses(logits: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Whether each character is predicted wrongly, and its cross-entropy."""
    return {"accuracy": 1.0 * (logits.argmax(-1) != y), "cross_entropy": negative_log_likelihood(logits, y)}


def negative_log_likelihood(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The negative log-likelihood of each target, in nats.

    Example:
        >>> negative_log_likelihood(np.zeros((1, 1, 2)), np.array([[1]])).round(4)
        array([[0.6931]])
    """
    return -np.take_along_axis(log_softmax(logits, axis=-1), y[..., None], axis=-1)[..., 0]
