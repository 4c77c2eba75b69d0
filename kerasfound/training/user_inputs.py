"""Files and texts of the user, read as inputs of a run's model: a name and the inputs for each row."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.bundle import Schema
from kerasfound.data import labelled_texts, table_files
from kerasfound.errors import UserError
from kerasfound.preprocessing import encode_rows, encode_texts, pixels

from .run import Run

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = (".csv", ".tsv", ".tab", ".parquet")
"""Suffixes of files with a text in each row. Any other file is one text."""


def read_images(run: Run, files: list[Path], texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Each file's name and pixels."""
    _refuse_texts(run, texts)
    if not files:
        raise UserError("no image given; name one or more files after the run folder.")
    return [str(file) for file in files], np.stack([pixels.read_image(file, run.schema.shape) for file in files])


def read_table_rows(run: Run, files: list[Path], texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Each row's `file:row`, counted from 1, and its encoded cells."""
    _refuse_texts(run, texts)
    if not files:
        raise UserError("no table given; name one or more CSV or Parquet files after the run folder.")
    names, parts = [], []
    for file in files:
        try:
            parts.append(encode_rows(run.schema.columns, _read_table(file, run.schema)))
        except UserError as error:
            raise UserError(str(error) if str(error).startswith(str(file)) else f"{file}: {error}") from error
        names += [f"{file}:{row}" for row in range(1, len(parts[-1]) + 1)]
    if not names:
        raise UserError(f"{files[0]}: the table has no rows; give a table with at least one row.")
    return names, np.concatenate(parts)


def read_texts(run: Run, files: list[Path], texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Each text, file name or `file:row`, and its token ids."""
    if not files and not texts:
        raise UserError('no text given; give one with --text "...", or name text files or tables after the run folder.')
    named_texts = [(text, text) for text in texts]
    for file in files:
        named_texts += _texts_in(file, run.schema)
    if not named_texts:
        raise UserError(f"{files[0]}: the table has no texts; give a table with at least one row.")
    for name, text in named_texts:
        if not text.strip():
            raise UserError(f"{name.strip() or '`text`'}: the text is empty.")
    return [name for name, _ in named_texts], encode_texts(run.tokenizer, [text for _, text in named_texts])


def _refuse_texts(run: Run, texts: Sequence[str]) -> None:
    if texts:
        raise UserError(
            f"{run.folder}: a run for {run.schema.task}, which reads files; `text` is for a text classifier."
        )


def _read_table(file: Path, schema: Schema) -> "pa.Table":
    """A table with most of the columns that the run's model uses."""
    table = table_files.read_table_file(file, names=[column.name for column in schema.columns])
    used = [column.name for column in schema.columns if column.width]
    missing = [name for name in used if name not in table.column_names]
    if len(missing) > len(used) / 2:
        raise UserError(
            f"{file}: not a table for this run: {len(missing)} of its {len(used)} columns are missing, such as "
            f"{', '.join(missing[:3])}."
        )
    return table


def _texts_in(file: Path, schema: Schema) -> list[tuple[str, str]]:
    """The texts of a file, each with its name."""
    if file.suffix.lower() not in TABLES:
        text, remark = labelled_texts.read_text(file)
        if remark:
            print(f"{file}: {remark}.", file=sys.stderr)
        return [(str(file), text)]
    cells = table_files.read_table_file(file, names=[column.name for column in schema.columns], verbatim=True)
    name = schema.columns[0].name if schema.columns else labelled_texts.find_text_column(cells, file)
    return [
        (f"{file}:{row}", str(text)) for row, text in enumerate(labelled_texts.column_texts(cells, file, name), start=1)
    ]
