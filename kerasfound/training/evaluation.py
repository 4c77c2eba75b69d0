"""What a trained model is worth on rows it was not fitted to."""

from typing import Literal

import keras
import numpy as np
from sklearn.metrics import accuracy_score, log_loss

from kerasfound import data
from kerasfound.data import Split
from kerasfound.training.run import Run

BATCH = 500


def answers(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The model's outputs for every row, in inference mode."""
    return np.asarray(model.predict(x, batch_size=BATCH, verbose=0))


def metrics(probabilities: np.ndarray, split: Split) -> dict[str, float]:
    """Accuracy and cross-entropy (nats a row) of class probabilities.

    Args:
        probabilities: `(rows, classes)`, as the model answered.
        split: the same rows, with their true classes.

    Example:
        >>> metrics(np.array([[0.5, 0.5], [0.25, 0.75]]), Split(np.zeros((2, 1)), np.array([0, 1])))
        {'accuracy': 1.0, 'cross_entropy': 0.4904}
    """
    classes = np.arange(probabilities.shape[-1])
    exact = probabilities.astype("float64")  # float32 rows sum to 1 within 1e-7, of which scikit-learn warns
    exact /= exact.sum(axis=-1, keepdims=True)
    return {
        "accuracy": round(float(accuracy_score(split.y, probabilities.argmax(axis=-1))), 6),
        "cross_entropy": round(float(log_loss(split.y, exact, labels=classes)), 4),
    }


def evaluate(run: Run, split: Literal["test", "validation"] = "test", data_dir: str | None = None) -> dict[str, float]:
    """Measure a finished run again, on the data set it was trained with.

    Args:
        run: an opened run folder.
        split: the rows to measure on.
        data_dir: a prepared TFDS folder, as for `kerasfound.data.load`.
    """
    rows = getattr(data.load(run.settings["data"], data_dir), split)
    return metrics(answers(run.load_model(), rows.x), rows)
