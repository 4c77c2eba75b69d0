"""Raw things in, labels out: what a finished run answers to files of the user's own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasfound.bundle import Schema
from kerasfound.data import labelled_texts, table_files
from kerasfound.errors import UserError
from kerasfound.preprocessing import encode_rows, encode_texts, pixels

from . import evaluation
from .run import Run

TABLES = (".csv", ".tsv", ".parquet")
"""Endings of files with a text in each row; any other file is one text."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answer to one input: the likeliest label first, every label's probability beside it."""

    input: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def __str__(self) -> str:
        return f"{self.input}  {self.label}  {self.probability:.1%}"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The answer to one row of a table: a number in the target's own units."""

    input: str
    value: float

    def __str__(self) -> str:
        return f"{self.input}  {self.value:.7g}"


def predict(run: Run, files: list[Path], texts: Sequence[str] = ()) -> list[Prediction] | list[Estimate]:
    """What a finished run says of files of the user's own.

    Args:
        run: an opened run folder, of a classifier or of a table's regression.
        files: for images any format that Pillow reads, scaled to the model's size, light on dark, as the data is;
            for a table CSV or Parquet with its columns, every row of which is answered; for texts a text file each,
            or CSV or Parquet with a column of them.
        texts: for a classifier of texts, some of them as they are.

    Raises:
        UserError: if nothing is given, or something cannot be read; it is named.
    """
    task = run.schema.task
    if task == "text_generation":
        raise UserError(f"{run.folder}: a language model; `kerasfound generate` writes with it.")
    if texts and task != "text_classification":
        raise UserError(f"{run.folder}: a run for {task}, which reads files; --text is for a classifier of texts.")
    names, x = of_texts(run, files, texts) if task == "text_classification" else READERS[task](run.schema, files)
    answers = evaluation.answers(run.load_model(), x)
    if not run.schema.labels:
        return [Estimate(name, float(value)) for name, value in zip(names, answers[:, 0], strict=True)]
    return [_prediction(name, run.schema, row) for name, row in zip(names, answers, strict=True)]


def pictures(schema: Schema, files: list[Path]) -> tuple[list[str], np.ndarray]:
    """Each file's name and pixels."""
    if not files:
        raise UserError("no image given; name one or more files after the run folder.")
    return [str(file) for file in files], np.stack([pixels.read_image(file, schema.shape) for file in files])


def table_rows(schema: Schema, files: list[Path]) -> tuple[list[str], np.ndarray]:
    """Each row's `file:row`, counted from 1, and its encoded cells."""
    if not files:
        raise UserError("no table given; name one or more CSV or Parquet files after the run folder.")
    names, parts = [], []
    for file in files:
        try:
            parts.append(encode_rows(schema.columns, table_files.read_table_file(file)))
        except UserError as error:
            raise UserError(str(error) if str(error).startswith(str(file)) else f"{file}: {error}") from error
        names += [f"{file}:{row}" for row in range(1, len(parts[-1]) + 1)]
    if not names:
        raise UserError(f"{files[0]}: the table has no rows to answer.")
    return names, np.concatenate(parts)


def of_texts(run: Run, files: list[Path], texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Each text itself, file or `file:row`, and its numbers of words."""
    if not files and not texts:
        raise UserError('no text given; give one with --text "...", or name text files or tables after the run folder.')
    found = [(text, text) for text in texts]
    for file in files:
        found += _texts_in(file, run.schema)
    if not found:
        raise UserError(f"{files[0]}: the table has no texts to answer.")
    for name, text in found:
        if not text.strip():
            raise UserError(f"{name.strip() or '--text'}: the text is empty.")
    return [name for name, _ in found], encode_texts(run.tokenizer, [text for _, text in found])


def _texts_in(file: Path, schema: Schema) -> list[tuple[str, str]]:
    """The texts of a file, each behind its name."""
    if file.suffix not in TABLES:
        return [(str(file), labelled_texts.read_text(file))]
    cells = table_files.read_table_file(file)
    name = schema.columns[0].name if schema.columns else labelled_texts.find_text_column(cells, file)
    texts = labelled_texts.column_texts(cells, file, name)
    return [(f"{file}:{row}", str(text)) for row, text in enumerate(texts, start=1)]


def _prediction(file: str, schema: Schema, row: np.ndarray) -> Prediction:
    best = int(row.argmax())
    probabilities = {label: round(float(p), 6) for label, p in zip(schema.labels, row, strict=True)}
    return Prediction(file, schema.labels[best], float(row[best]), probabilities)


READERS = {
    "image_classification": pictures,
    "tabular_classification": table_rows,
    "tabular_regression": table_rows,
}
