"""Files and texts of the user, read as inputs of a run's model: a name and the inputs for each row."""

import re
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from kerasfound.bundle import Schema
from kerasfound.data import labelled_texts, table_files
from kerasfound.data.images import MAX_UNREADABLE
from kerasfound.errors import UserError
from kerasfound.preprocessing import encode_rows, encode_texts, pixels
from kerasfound.wording import counted, enumerate_some

from .run import Run

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = (".csv", ".tsv", ".tab", ".parquet")
"""Suffixes of files with a text in each row. Any other file is one text."""
HEADER_NAMES = {
    "text", "texts", "review", "reviews", "comment", "comments", "message", "sentence", "content", "body", "tweet",
    "document", "title", "description",
}  # fmt: skip
"""Usual names of a column of texts, in lower case."""

T = TypeVar("T")
NamedRows = tuple[list[str], np.ndarray]


def read_images(run: Run, files: list[Path], texts: Sequence[str], found: Collection[Path]) -> NamedRows:
    """Each file's name and pixels."""
    _refuse_texts(run, texts)
    if not files:
        raise UserError("no image given; name one or more files after the run folder.")
    images = _read_files(files, found, lambda file: pixels.read_image(file, run.schema.shape))
    return [str(file) for file, _ in images], np.stack([image for _, image in images])


def read_table_rows(run: Run, files: list[Path], texts: Sequence[str], found: Collection[Path]) -> NamedRows:
    """Each row's `file:row`, counted from 1, and its encoded cells."""
    _refuse_texts(run, texts)
    if not files:
        raise UserError("no table given; name one or more CSV or Parquet files after the run folder.")

    def read(file: Path) -> np.ndarray:
        try:
            return encode_rows(run.schema.columns, _read_table(file, run.schema))
        except UserError as error:
            raise UserError(str(error) if str(error).startswith(str(file)) else f"{file}: {error}") from error

    parts = _read_files(files, found, read)
    names = [f"{file}:{row}" for file, part in parts for row in range(1, len(part) + 1)]
    if not names:
        raise UserError(f"{files[0]}: the table has no rows; give a table with at least one row.")
    return names, np.concatenate([part for _, part in parts])


def read_texts(run: Run, files: list[Path], texts: Sequence[str], found: Collection[Path]) -> NamedRows:
    """Each text, file name or `file:row`, and its token ids."""
    if not files and not texts:
        raise UserError('no text given; give one with --text "...", or name text files or tables after the run folder.')
    if not all(text.strip() for text in texts):
        raise UserError("`text`: the text is empty.")
    named_texts = [(text, text) for text in texts]
    for _, texts_of_file in _read_files(files, found, lambda file: _texts_in(file, run.schema)):
        named_texts += texts_of_file
    if not named_texts:
        raise UserError(f"{files[0]}: the table has no texts; give a table with at least one row.")
    return [name for name, _ in named_texts], encode_texts(run.tokenizer, [text for _, text in named_texts])


def _read_files(files: list[Path], found: Collection[Path], read: Callable[[Path], T]) -> list[tuple[Path, T]]:
    """Each file with what `read` returns for it, without the unreadable ones among the files found in folders.

    Raises:
        UserError: if a file that was named cannot be read, or more of those in folders than training leaves out. The
            message has all such files.
    """
    results, reasons, errors = [], [], list[UserError]()
    for file in files:
        try:
            results.append((file, read(file)))
        except UserError as error:
            if file not in found:
                errors.append(error)
            else:
                reasons.append(str(error).rstrip("."))
    if errors:
        raise UserError(enumerate_some([str(error).rstrip(".") for error in errors], "; ") + ".") from errors[0]
    if reasons:
        what = f"{len(reasons):,} of {counted(len(found), 'file')} cannot be read"
        if len(reasons) > max(1, MAX_UNREADABLE * len(found)) or not results:
            raise UserError(
                f"{what}, and at most {MAX_UNREADABLE:.0%} may be unreadable; convert or remove them. "
                f"{enumerate_some(reasons, '; ')}."
            )
        print(f"{what} and are left out. {enumerate_some(reasons, '; ')}.", file=sys.stderr)
    return results


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
            f"{file}: not a table for this run: it lacks {len(missing)} of {counted(len(used), 'column')}, such as "
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
    texts = [str(text) for text in labelled_texts.column_texts(cells, file, name)]
    if texts and re.fullmatch(r"column_\d+", name) and texts[0].lower() in HEADER_NAMES:
        print(f"{file}: the first row, {texts[0]!r}, is taken for the name of the column.", file=sys.stderr)
        texts = texts[1:]
    rows = [(f"{file}:{row}", text) for row, text in enumerate(texts, start=1)]
    empty = [row for row, text in rows if not text]
    if empty:
        print(f"the text is empty, left out: {enumerate_some(empty)}.", file=sys.stderr)
    return [(row, text) for row, text in rows if text]
