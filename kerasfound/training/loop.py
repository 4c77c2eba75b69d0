"""The two ends of a run: `execute` opens the folder and calls the recipe, `finish` closes it."""

import time
from types import ModuleType

import keras

from kerasfound.data import Dataset

from . import evaluation, report
from .config import Config
from .run import Run

SAMPLES = 32
"""Test rows kept in the run folder, so that export can prove the files without the data set."""


def execute(recipe: ModuleType, config: Config) -> Run:
    """Run a recipe from its settings to a finished run folder.

    Args:
        recipe: a module of `kerasfound.recipes`.
        config: an instance of its `Config`.

    Raises:
        UserError: if the settings, the data or the folder cannot be had.
    """
    return _train(recipe, config, Run.create(recipe.__name__.rpartition(".")[2], config))


def resume(recipe: ModuleType, run: Run, data_dir: str | None = None) -> Run:
    """Go on with a run that was stopped, from its last whole epoch to the end.

    Args:
        recipe: the module that the run names.
        run: reopened.
        data_dir: where the prepared data is now, if it moved.

    Raises:
        UserError: if the data is not the same, or the checkpoint is of another model.
    """
    settings = run.settings | ({"data_dir": data_dir} if data_dir else {})
    return _train(recipe, recipe.Config(**settings), run)


def _train(recipe: ModuleType, config: Config, run: Run) -> Run:
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    try:
        recipe.train(config, run)
    except KeyboardInterrupt:
        if run.resumable and not run.finished:
            print(f"stopped; go on with: kerasfound resume {run.folder}")
        raise
    finally:
        keras.config.set_dtype_policy("float32")
    return run


def finish(model: keras.Model, dataset: Dataset, run: Run) -> dict[str, float]:
    """Measure on the test split, once, and write what a finished run holds; `model.keras` comes last."""
    started = time.perf_counter()
    answers = evaluation.answers(model, dataset.test.x)
    test = evaluation.metrics(answers, dataset.test, dataset.schema)
    run.save_results(
        {
            "test": test,
            "fit_seconds": round(sum(row["seconds"] for row in run.history), 3),
            "test_seconds": round(time.perf_counter() - started, 3),
            "parameters": model.count_params(),
        }
    )
    run.save_samples(dataset.test.x[:SAMPLES], dataset.test.y[:SAMPLES], answers[:SAMPLES])
    report.write(run, dataset.test, answers)
    run.save_model(model)
    return test
