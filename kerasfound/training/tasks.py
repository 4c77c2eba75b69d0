"""What training does for each kind of task, in one table: `TASKS`."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerasfound import data
from kerasfound.bundle import Schema, Task
from kerasfound.data import Dataset, Split, windows
from kerasfound.preprocessing import encode_texts, pixels

from . import baseline, report_sections, task_metrics, user_inputs
from .report import Section
from .run import Run


def load_examples(run: Run, data_dir: str | None) -> Dataset:
    """Load the images or texts that a run was trained on."""
    options: dict[str, Any] = {
        name: run.settings.get(name) for name in ("text", "target", "header", "image_size", "strict")
    }
    return data.load(run.settings["data"], data_dir, run.schema.task, **options)


def load_table(run: Run, data_dir: str | None) -> Dataset:
    """Load the table that a run was trained on."""
    settings = run.settings
    options: dict[str, Any] = {name: settings[name] for name in data.TABLE_SETTINGS if settings.get(name) is not None}
    return data.load_table(settings["data"], data_dir, **options)


def keep_rows(run: Run, split: Split) -> Split:
    """The rows unchanged, for models that read the data set as it is."""
    return split


def cut_windows(run: Run, split: Split) -> Split:
    """Consecutive windows of a text, as long as those of the training."""
    return windows(split, run.settings["block_size"], stride=run.settings["block_size"])


def tokenize(run: Run, split: Split) -> Split:
    """The token ids of the texts."""
    return Split(encode_texts(run.tokenizer, split.x), split.y)


class TaskFunctions(NamedTuple):
    """The functions of training that depend on the task."""

    metrics: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    """Compute the metrics from a model's outputs and the targets."""
    losses: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
    """Compute the loss of each row, for each metric that is a mean over rows."""
    baseline: Callable[[Split, Split, Schema], baseline.Answers]
    """Answer the test rows without a model, from the training rows."""
    sections: Callable[[Split, np.ndarray, Run], list[Section]]
    """Create the sections of the report from the test rows and the model's outputs."""
    load: Callable[[Run, str | None], Dataset]
    """Load the data set of a run again."""
    prepare: Callable[[Run, Split], Split] = keep_rows
    """Convert the rows of a data set to the inputs of the model."""
    read_inputs: Callable[[Run, list[Path], Sequence[str], Collection[Path]], user_inputs.NamedRows] | None = None
    """Read files and texts for `predict`: a name and inputs for each row. The files of the last argument come from
    folders and may be left out. None where `predict` is not possible."""
    suffixes: Callable[[], Collection[str]] = tuple
    """The suffixes of the files that `predict` reads in a folder, in lower case."""


TASKS = {
    Task.IMAGE_CLASSIFICATION: TaskFunctions(
        metrics=task_metrics.classification_metrics,
        losses=task_metrics.classification_losses,
        baseline=baseline.answer_with_shares,
        sections=report_sections.image_sections,
        load=load_examples,
        read_inputs=user_inputs.read_images,
        suffixes=pixels.suffixes,
    ),
    Task.TEXT_CLASSIFICATION: TaskFunctions(
        metrics=task_metrics.classification_metrics,
        losses=task_metrics.classification_losses,
        baseline=baseline.answer_with_shares,
        sections=report_sections.text_sections,
        load=load_examples,
        prepare=tokenize,
        read_inputs=user_inputs.read_texts,
        suffixes=lambda: (".txt", *user_inputs.TABLES),
    ),
    Task.TEXT_GENERATION: TaskFunctions(
        metrics=task_metrics.next_character_metrics,
        losses=task_metrics.next_character_losses,
        baseline=baseline.answer_with_ngrams,
        sections=report_sections.language_model_sections,
        load=load_examples,
        prepare=cut_windows,
    ),
    Task.TABULAR_CLASSIFICATION: TaskFunctions(
        metrics=task_metrics.classification_metrics,
        losses=task_metrics.classification_losses,
        baseline=baseline.answer_with_shares,
        sections=report_sections.table_classification_sections,
        load=load_table,
        read_inputs=user_inputs.read_table_rows,
        suffixes=lambda: user_inputs.TABLES,
    ),
    Task.TABULAR_REGRESSION: TaskFunctions(
        metrics=task_metrics.regression_metrics,
        losses=task_metrics.regression_losses,
        baseline=baseline.answer_with_mean,
        sections=report_sections.table_regression_sections,
        load=load_table,
        read_inputs=user_inputs.read_table_rows,
        suffixes=lambda: user_inputs.TABLES,
    ),
}
"""One entry for each member of `Task`."""
