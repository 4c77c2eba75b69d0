"""A run from the settings to the finished run folder: the recipe trains, the loop evaluates and writes the results."""

import importlib.util
import time
from types import ModuleType
from typing import NamedTuple

import keras
import msgspec

from kerasfound.data import Dataset, Split
from kerasfound.errors import NotInstalledError

from . import baseline, evaluation, report
from .config import Config
from .first_filters import filters_sections
from .run import Run
from .tasks import TASKS

SAMPLES = 32
"""Number of test rows in the run folder. With them, export verifies its files without the data set."""


class Trained(NamedTuple):
    """What the function `train` of a recipe returns."""

    model: keras.Model
    """The trained model, for inference."""
    dataset: Dataset
    """The data set, with splits that are inputs of the model."""
    left_out: Split | None = None
    """Outputs `x` for rows that a model without them predicted, and the targets of these rows. For recipes that also
    learn from the validation rows; thresholds are chosen on these outputs instead."""


def execute(recipe: ModuleType, config: Config) -> Run:
    """Train a recipe in a new run folder.

    Args:
        recipe: a module of `kerasfound.recipes`.
        config: an instance of its `Config`.

    Raises:
        UserError: if a setting is invalid, the data is missing, or the folder cannot be created.
    """
    return _train(recipe, config, Run.create(recipe.__name__.rpartition(".")[2], config))


def resume(recipe: ModuleType, run: Run, data_dir: str | None = None) -> Run:
    """Continue a stopped run after its last complete epoch.

    Args:
        recipe: the module of the run's recipe.
        run: a reopened run folder.
        data_dir: the folder of the prepared data, if it has moved.

    Raises:
        UserError: if the data has changed, or the checkpoint belongs to another model.
    """
    settings = run.settings | ({"data_dir": data_dir} if data_dir else {})
    return _train(recipe, recipe.Config(**settings), run)


def _train(recipe: ModuleType, config: Config, run: Run) -> Run:
    if config.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise NotInstalledError("TensorBoard, which `tensorboard` needs,", 'pip install "kerasfound[tensorboard]"')
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    try:
        _write_results(recipe.train(config, run), run, config)
    except KeyboardInterrupt:
        if run.resumable and not run.finished:
            print(f"stopped; continue with: kerasfound resume {run.folder}")
        raise
    finally:
        keras.config.set_dtype_policy("float32")
    return run


def _write_results(trained: Trained, run: Run, config: Config) -> None:
    """Evaluate on the test split and complete the run folder. `model.keras` comes last: it marks a finished run."""
    model, dataset, left_out = trained
    test, schema, task = dataset.test, dataset.schema, TASKS[dataset.schema.task]
    started = time.perf_counter()
    outputs = evaluation.predict_rows(model, test.x)
    metrics = evaluation.compute_metrics(outputs, test, schema)
    test_seconds = round(time.perf_counter() - started, 3)
    decisions = evaluation.choose_thresholds(model, outputs, dataset, left_out, config.false_negative_cost)
    answers = task.baseline(dataset.train, test, schema)
    if decisions:
        answers.metrics["pr_auc"] = decisions.positive_share
    compared = baseline.compare(answers, metrics, task.losses(outputs, test.y))
    run.save_results(
        {
            "test": metrics | (decisions.metrics if decisions else {}),
            "baseline": msgspec.to_builtins(compared),
            "decisions": msgspec.to_builtins(decisions),
            "kept_epoch": None if config.ema else run.best_epoch,
            "fit_seconds": round(sum(row["seconds"] for row in run.history), 3),
            "test_seconds": test_seconds,
            "parameters": model.count_params(),
        }
    )
    run.save_samples(test.x[:SAMPLES], test.y[:SAMPLES], outputs[:SAMPLES])
    report.write(run, test, outputs, task.sections, filters_sections(model))
    run.save_model(model)
    run.mark_latest()
