"""Metrics of a trained model on rows that it was not trained on."""

from typing import Literal

import keras
import numpy as np

from kerasfound.bundle import Schema
from kerasfound.data import Dataset, Split
from kerasfound.errors import UserError

from .loaders import OrderedBatches
from .run import Run
from .tasks import TASKS


def predict_rows(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The model's outputs for every row, in inference mode."""
    return np.asarray(model.predict(OrderedBatches(x), verbose=0))


def compute_metrics(outputs: np.ndarray, split: Split, schema: Schema) -> dict[str, float]:
    """The metrics of a model's outputs, as the task of the schema defines them.

    Args:
        outputs: a model's outputs for all rows of `split`.
        split: the rows with their targets.
        schema: the schema of the data set.
    """
    return TASKS[schema.task].metrics(outputs, split.y)


def evaluate(run: Run, split: Literal["test", "validation"] = "test", data_dir: str | None = None) -> dict[str, float]:
    """Compute the metrics of a finished run again, on the data set of its training.

    Args:
        run: an opened run folder.
        split: the rows to evaluate on.
        data_dir: a prepared TFDS folder, as for `kerasfound.data.load`. Defaults to that of the run.

    Raises:
        UserError: if the data is missing, or differs from the data of the training.
    """
    rows = prepare_split(run, getattr(load_dataset(run, data_dir), split))
    return compute_metrics(predict_rows(run.load_model(), rows.x), rows, run.schema)


def prepare_split(run: Run, split: Split) -> Split:
    """Convert rows of a data set to the inputs of the run's model, such as windows of a text or token ids."""
    return TASKS[run.schema.task].prepare(run, split)


def load_dataset(run: Run, data_dir: str | None = None) -> Dataset:
    """Load the data set that a run was trained on.

    Raises:
        UserError: if it is missing, or differs from the data of the training.
    """
    dataset = TASKS[run.schema.task].load(run, data_dir or run.settings["data_dir"])
    if dataset.sha256 != run.environment["data"]["sha256"]:
        raise UserError(f"{dataset.name}: the data has changed since {run.folder} was trained (different sha256).")
    return dataset
