"""A data set in words: what was understood of every column and of the target, and what a reader should know."""

import textwrap

import numpy as np

from kerasfound.bundle.schema import Column
from kerasfound.preprocessing.cell_texts import describe_column
from kerasfound.wording import counted

from .dataset import Dataset

WIDTH = 100
"""Characters of a line."""
MAX_NAME, MAX_KIND = 30, 46
"""Characters of a column's name and of its kind."""
EXAMPLE_ROWS = 50
"""Training rows that the examples are taken from."""
MAX_CLASSES = 20
MAX_VALUES = 5
"""Numbers of a target."""


def describe(dataset: Dataset) -> str:
    """Return the source, the columns as they were understood, the target, and notes, in lines of 100 characters.

    Args:
        dataset: a data set of any kind; one that is not a table has no columns.
    """
    schema = dataset.schema
    paragraphs = [f"{dataset.name}: {dataset.source}", *_column_lines(dataset)]
    if schema.target or schema.labels:
        target = " ".join(filter(None, ["target", schema.target]))
        line = f"{target}: {schema.task}{_target_form(dataset)}{_classes(dataset)}"
        paragraphs.append(textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False))
    notes = [f"{column.name}: {note}" for column in schema.columns for note in _column_notes(column)]
    for note in (*dataset.notes, *notes):
        paragraphs.append(textwrap.fill(note, WIDTH, initial_indent="note: ", subsequent_indent="      "))
    return "\n".join(paragraphs)


def _column_notes(column: Column) -> tuple[str, ...]:
    """The notes of a column, and its description if the table shortens it."""
    description = describe_column(column)
    return (description, *column.notes) if len(description) > MAX_KIND else column.notes


def _column_lines(dataset: Dataset) -> list[str]:
    columns = dataset.schema.columns if dataset.schema.is_tabular else ()
    if not columns:
        return []
    rows = [("column", "type", "missing", "distinct", "examples")]
    rows += [
        (
            _shorten(c.name, MAX_NAME),
            _shorten(describe_column(c), MAX_KIND),
            f"{c.missing:,}",
            f"{c.distinct:,}",
            example,
        )
        for c, example in zip(columns, _examples(dataset), strict=True)
    ]
    a, b, c, d = (max(len(row[i]) for row in rows) for i in range(4))
    lines = (f"{row[0]:<{a}}  {row[1]:<{b}}  {row[2]:>{c}}  {row[3]:>{d}}  {row[4]}" for row in rows)
    return [_shorten(line.rstrip(), WIDTH) for line in lines]


def _examples(dataset: Dataset) -> list[str]:
    """For each column some values of training rows, as they were understood."""
    from kerasfound.preprocessing.table_rows import decode_row

    columns = dataset.schema.columns
    used = [column.name for column in columns if column.width]
    rows = [decode_row(columns, row) for row in dataset.train.x[:EXAMPLE_ROWS]]
    values = {name: [row[i] for row in rows if row[i]] for i, name in enumerate(used)}
    return [", ".join(dict.fromkeys(values.get(column.name, ()))) for column in columns]


def _target_form(dataset: Dataset) -> str:
    """How the target of a table was read, with the first numbers of a regression."""
    if dataset.target is None:
        return ""
    values = () if dataset.schema.labels else dict.fromkeys(f"{y:.7g}" for y in dataset.train.y[:EXAMPLE_ROWS].tolist())
    examples = f", such as {', '.join(list(values)[:MAX_VALUES])}" if values else ""
    return f", read as {describe_column(dataset.target)}{examples}{',' if dataset.schema.labels else ''}"


def _classes(dataset: Dataset) -> str:
    """The classes with their numbers of rows, the largest first."""
    labels = dataset.schema.labels
    if not labels or dataset.train.y.ndim != 1 or dataset.schema.task.endswith("generation"):
        return ""
    y = np.concatenate([dataset.train.y, dataset.validation.y, dataset.test.y])
    counts = np.bincount(y, minlength=len(labels))
    order = np.argsort(-counts, kind="stable")[:MAX_CLASSES]
    listed = ", ".join(f"{labels[i]} {counts[i]:,}" for i in order)
    more = f" and {len(labels) - MAX_CLASSES} more" if len(labels) > MAX_CLASSES else ""
    return _shorten(f" with {counted(len(labels), 'class', 'classes')}: {listed}", 2 * WIDTH) + more


def _shorten(text: str, width: int) -> str:
    text = " ".join(text.split()) if "\n" in text else text
    return text if len(text) <= width else f"{text[: width - 1]}…"
