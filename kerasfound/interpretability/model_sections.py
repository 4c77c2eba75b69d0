"""All that explains a model and its predictions for some inputs, as sections of a page."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kerasfound.bundle import Task
from kerasfound.data import Dataset, Split
from kerasfound.errors import UserError
from kerasfound.preprocessing import decode_row
from kerasfound.training import Run, evaluation
from kerasfound.training.report import Section

from . import data_sections, image_sections, table_sections, token_sections
from .subject import Subject

MOST_INPUTS = 8
"""Most inputs on one page."""
MOST_ROWS = 2000
"""Most rows of each split that the methods which need data read."""
CLASSES = ("nearest_examples", "temperature_scaling")
METHODS: dict[Task, tuple[str, ...]] = {
    Task.IMAGE_CLASSIFICATION: (*image_sections.METHODS, "learned_filters", *CLASSES),
    Task.TEXT_CLASSIFICATION: (*token_sections.METHODS, *CLASSES),
    Task.TEXT_GENERATION: ("attention_maps",),
    Task.TABULAR_CLASSIFICATION: (*table_sections.METHODS, *CLASSES),
    Task.TABULAR_REGRESSION: (*table_sections.METHODS, "nearest_examples"),
}
"""The methods for each kind of task."""


class Rows(NamedTuple):
    """Rows of a run's data as inputs of its model."""

    train: Split
    validation: Split
    test: Split


def sections(
    subject: Subject,
    names: Sequence[str],
    x: np.ndarray,
    target: int | None = None,
    methods: Sequence[str] = (),
    layer: str | None = None,
    data_dir: str | None = None,
) -> list[Section]:
    """The sections of a page that explains some predictions.

    Args:
        subject: the model, and its run if there is one.
        names: of the inputs.
        x: the inputs as rows of the model; the first 8 are explained.
        target: the class to explain. Defaults to the predicted class of each row.
        methods: names of `METHODS` of the task. Defaults to all that fit.
        layer: the layer that Grad-CAM looks into.
        data_dir: a folder of prepared TFDS data, if it is not that of the run.

    Raises:
        UserError: if no method fits the model, or a method that was named does not.
    """
    if subject.task is None:
        raise UserError(
            f"{subject.name}: a model of this kind needs its run folder; in Python the functions of "
            "kerasfound.interpretability take any model."
        )
    known = METHODS[subject.task]
    unknown = [name for name in methods if name not in known]
    if unknown:
        what = subject.task.replace("_", " ")
        raise UserError(f"`method` {unknown[0]}: no such method for {what}; choose {', '.join(known)}.")
    rows = list(zip(names, x, strict=True))[:MOST_INPUTS]
    chosen = list(methods) or list(known)
    found = _of_inputs(subject, rows, target, methods, chosen, layer)
    of_data = [name for name in chosen if name in (*CLASSES, *table_sections.METHODS, "learned_filters")]
    if of_data and subject.run is None:
        if methods:
            raise UserError(f"`method` {of_data[0]} needs the data of a run; give a run folder, not a model file.")
        return found
    if of_data:
        try:
            data = _load(subject, data_dir)
        except UserError as error:
            if methods:
                raise
            # the page says what it lacks
            return [*found, Section("data", "Not shown: what needs the data of the run", str(error))]
        found += _of_data(subject, rows, data, target, of_data)
    return found


def _load(subject: Subject, data_dir: str | None) -> Rows:
    assert subject.run
    dataset: Dataset = evaluation.load_dataset(subject.run, data_dir)
    rows = []
    for split in (dataset.train, dataset.validation, dataset.test):
        some = np.random.default_rng(0).permutation(len(split.y))[:MOST_ROWS]  # the rows of a file are often sorted
        rows.append(evaluation.prepare_split(subject.run, Split(split.x[some], split.y[some])))
    return Rows(*rows)


def _of_inputs(
    subject: Subject,
    rows: list[tuple[str, np.ndarray]],
    target: int | None,
    methods: Sequence[str],
    chosen: list[str],
    layer: str | None,
) -> list[Section]:
    """The sections that need the model and the inputs only."""
    model, labels, run = subject.model, subject.labels, subject.run
    if subject.task == Task.IMAGE_CLASSIFICATION:
        maps = [name for name in methods if name in image_sections.METHODS]
        if methods and not maps:
            return []
        return [image_sections.image_section(model, image, name, labels, target, maps, layer) for name, image in rows]
    if subject.task == Task.TEXT_CLASSIFICATION and run:
        tokenizer = run.tokenizer
        of_tokens = [method for method in chosen if method in token_sections.METHODS]
        return [
            token_sections.text_section(
                model, ids, name, lambda i: tokenizer.id_to_token(i) or "?", labels, target, method
            )
            for name, ids in rows
            for method in (of_tokens if methods else of_tokens[:1])
        ]
    if subject.task == Task.TEXT_GENERATION:
        readable = {"\n": "↵", " ": "␣"}
        return [
            section
            for name, ids in rows
            for section in token_sections.attention_sections(
                model, ids, name, [readable.get(labels[i], labels[i]) for i in ids]
            )
        ]
    return []


def _of_data(
    subject: Subject, rows: list[tuple[str, np.ndarray]], data: Rows, target: int | None, chosen: list[str]
) -> list[Section]:
    """The sections that need the data of the run."""
    model, run = subject.model, subject.run
    assert run
    schema, found = run.schema, []
    if schema.is_tabular:
        of_table = [name for name in chosen if name in table_sections.METHODS]
        if of_table:
            found += table_sections.table_sections(model, rows, schema, data.train.x, data.test, target, of_table)
    if "learned_filters" in chosen:
        found += data_sections.filters_sections(model, data.test.x.astype("float32"))
    if "nearest_examples" in chosen:
        shown = _shown(run)
        found.append(data_sections.neighbours_section(model, rows, data.train, schema.labels, shown))
    if "temperature_scaling" in chosen:
        measured = [(evaluation.predict_rows(model, split.x), split.y) for split in (data.validation, data.test)]
        found.append(data_sections.temperature_section(*measured))
    return found


def _shown(run: Run) -> Callable[[np.ndarray], str] | None:
    """The function that writes a row of the run's data as text; images have none."""
    schema = run.schema
    if schema.is_tabular:
        return lambda row: ", ".join(decode_row(schema.columns, row))[:120]
    if schema.task != Task.TEXT_CLASSIFICATION:
        return None
    tokenizer = run.tokenizer
    return lambda ids: tokenizer.decode(ids[ids > 0][:30].tolist(), skip_special_tokens=False)
