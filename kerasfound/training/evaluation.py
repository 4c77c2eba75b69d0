"""What a trained model is worth on rows it was not fitted to."""

from typing import Literal

import keras
import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, log_loss

from kerasfound import data
from kerasfound.data import Schema, Split, windows
from kerasfound.training.run import Run

BATCH = 500


def answers(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The model's outputs for every row, in inference mode."""
    return np.asarray(model.predict(x, batch_size=BATCH, verbose=0))


def metrics(answers: np.ndarray, split: Split, schema: Schema) -> dict[str, float]:
    """What the answers to a split are worth, by the measures of the schema's task.

    Args:
        answers: as `answers` gives them.
        split: the same rows, with their targets.
        schema: of the data set.
    """
    return MEASURES[schema.task](answers, split.y)


def classification(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy and cross-entropy (nats a row) of class probabilities, `(rows, classes)`.

    Example:
        >>> classification(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1]))
        {'accuracy': 1.0, 'cross_entropy': 0.4904}
    """
    classes = np.arange(probabilities.shape[-1])
    exact = probabilities.astype("float64")  # float32 rows sum to 1 within 1e-7, of which scikit-learn warns
    exact /= exact.sum(axis=-1, keepdims=True)
    return {
        "accuracy": round(float(accuracy_score(y, probabilities.argmax(axis=-1))), 6),
        "cross_entropy": round(float(log_loss(y, exact, labels=classes)), 4),
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


MEASURES = {"image_classification": classification, "text_generation": next_character}


def evaluate(run: Run, split: Literal["test", "validation"] = "test", data_dir: str | None = None) -> dict[str, float]:
    """Measure a finished run again, on the data set it was trained with.

    Args:
        run: an opened run folder.
        split: the rows to measure on.
        data_dir: a prepared TFDS folder, as for `kerasfound.data.load`.
    """
    rows = getattr(data.load(run.settings["data"], data_dir), split)
    if run.schema.task == "text_generation":
        rows = windows(rows, run.settings["block_size"], stride=run.settings["block_size"])
    return metrics(answers(run.load_model(), rows.x), rows, run.schema)
