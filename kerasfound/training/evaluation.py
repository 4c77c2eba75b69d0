"""Metrics of a trained model on rows that it was not trained on."""

from typing import Literal

import keras
import numpy as np

from kerasfound.bundle import Schema, Task
from kerasfound.data import Dataset, Split
from kerasfound.errors import UserError

from . import thresholds
from .decisions import Decisions
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
    outputs = predict_rows(run.load_model(), rows.x)
    metrics, decisions = compute_metrics(outputs, rows, run.schema), run.decisions
    if decisions is None:
        return metrics
    chosen = {row.choice: row.threshold for row in decisions.thresholds}
    return metrics | measure_thresholds(outputs, rows, run.schema, decisions.positive, chosen, None).metrics


def choose_thresholds(
    model: keras.Model, outputs: np.ndarray, dataset: Dataset, left_out: Split | None, cost: float | None
) -> Decisions | None:
    """Choose thresholds on the validation rows and measure them on the test rows; None if there are not two classes.

    Args:
        model: trained.
        outputs: of the model, for the test rows.
        dataset: with splits that are inputs of the model.
        left_out: outputs and targets to use instead of those of the validation rows, if the model learned from these.
        cost: what a missed row of the rarer class costs, where a false alarm costs 1.
    """
    labels, validation = dataset.schema.labels, dataset.validation
    if len(labels) != 2 or dataset.schema.task == Task.TEXT_GENERATION:
        return None
    positive = thresholds.rarer_class(dataset.train.y)
    probabilities, y = left_out or (predict_rows(model, validation.x), validation.y)
    chosen = thresholds.choose(probabilities[:, positive], y == positive, cost)
    return measure_thresholds(outputs, dataset.test, dataset.schema, labels[positive], chosen, cost)


def measure_thresholds(
    probabilities: np.ndarray, split: Split, schema: Schema, positive: str, chosen: dict[str, float], cost: float | None
) -> Decisions:
    """What the chosen thresholds for the class `positive` reach on the rows of a split."""
    place = schema.labels.index(positive)
    return thresholds.measure(probabilities[:, place], split.y == place, chosen, positive, cost)


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
