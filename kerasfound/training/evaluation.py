"""What a trained model is worth on rows it was not fitted to."""

from typing import Literal

import keras
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

from kerasfound import data
from kerasfound.bundle import Schema
from kerasfound.data import Dataset, Split, windows
from kerasfound.errors import UserError
from kerasfound.preprocessing import encode_texts

from .loaders import Rows
from .run import Run


def answers(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The model's outputs for every row, in inference mode."""
    return np.asarray(model.predict(Rows(x), verbose=0))


def metrics(answers: np.ndarray, split: Split, schema: Schema) -> dict[str, float]:
    """What the answers to a split are worth, by the measures of the schema's task.

    Args:
        answers: as `answers` gives them.
        split: the same rows, with their targets.
        schema: of the data set.
    """
    return MEASURES[schema.task](answers, split.y)


def classification(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy and cross-entropy (nats a row) of class probabilities, `(rows, classes)`; of two, the area under ROC.

    Example:
        >>> classification(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1]))
        {'accuracy': 1.0, 'cross_entropy': 0.4904, 'auc': 1.0}
    """
    classes = np.arange(probabilities.shape[-1])
    exact = probabilities.astype("float64")  # float32 rows sum to 1 within 1e-7, of which scikit-learn warns
    exact /= exact.sum(axis=-1, keepdims=True)
    measured = {
        "accuracy": round(float(accuracy_score(y, probabilities.argmax(axis=-1))), 6),
        "cross_entropy": round(float(log_loss(y, exact, labels=classes)), 4),
    }
    if probabilities.shape[-1] == 2 and len(np.unique(y)) == 2:
        measured["auc"] = round(float(roc_auc_score(y, probabilities[:, 1])), 6)
    return measured


def regression(answers: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Root mean square error and mean absolute error, in the target's units, and the share of variance explained.

    Example:
        >>> regression(np.array([[1.0], [2.0], [6.0]]), np.array([1.0, 2.0, 3.0]))
        {'rmse': 1.732051, 'mae': 1.0, 'r2': -3.5}
    """
    y, answered = y.astype("float64"), answers[:, 0].astype("float64")
    return {
        "rmse": round(float(root_mean_squared_error(y, answered)), 6),
        "mae": round(float(mean_absolute_error(y, answered)), 6),
        "r2": round(float(r2_score(y, answered)), 6) if len(y) > 1 else 0.0,
    }


def next_character(logits: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy and cross-entropy (nats a character) of logits, `(windows, time, characters)`.

    Example:
        >>> next_character(np.zeros((1, 2, 4)), np.array([[0, 3]]))
        {'accuracy': 0.5, 'cross_entropy': 1.3863}
    """
    return {
        "accuracy": round(float((logits.argmax(axis=-1) == y).mean()), 6),
        "cross_entropy": round(float(surprise(logits, y).mean()), 4),
    }


def surprise(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The negative log-probability of each target, in nats."""
    return -np.take_along_axis(log_softmax(logits, axis=-1), y[..., None], axis=-1)[..., 0]


MEASURES = {
    "image_classification": classification,
    "text_classification": classification,
    "text_generation": next_character,
    "tabular_classification": classification,
    "tabular_regression": regression,
}


def evaluate(run: Run, split: Literal["test", "validation"] = "test", data_dir: str | None = None) -> dict[str, float]:
    """Measure a finished run again, on the data set it was trained with.

    Args:
        run: an opened run folder.
        split: the rows to measure on.
        data_dir: a prepared TFDS folder, as for `kerasfound.data.load`. Defaults to that of the run.

    Raises:
        UserError: if the data cannot be had, or is not what the run was trained on.
    """
    rows = as_trained(run, getattr(dataset(run, data_dir), split))
    return metrics(answers(run.load_model(), rows.x), rows, run.schema)


def as_trained(run: Run, rows: Split) -> Split:
    """Rows of a data set as the run's model takes them: windows of a text, numbers of words."""
    if run.schema.task == "text_generation":
        return windows(rows, run.settings["block_size"], stride=run.settings["block_size"])
    if run.schema.task == "text_classification":
        return Split(encode_texts(run.tokenizer, rows.x), rows.y)
    return rows


def dataset(run: Run, data_dir: str | None = None) -> Dataset:
    """The data set that a run was trained with, loaded again.

    Raises:
        UserError: if it cannot be had, or is not what the run was trained on.
    """
    settings, task = run.settings, run.schema.task
    data_dir = data_dir or settings["data_dir"]
    if run.schema.is_tabular:
        chosen = {name: settings[name] for name in ("target", "task", "seed")}
        found = data.load_table(settings["data"], data_dir, categorical=tuple(settings["categorical"]), **chosen)
    else:
        columns = {name: settings.get(name) for name in ("text", "target")}
        found = data.load(settings["data"], data_dir, task, **columns)
    if found.sha256 != run.environment["data"]["sha256"]:
        raise UserError(f"{found.name}: not the data any more that {run.folder} was trained on (sha256).")
    return found
