"""The task of a model, its input, its labels and the columns of its table: what `schema.json` records."""

import difflib
from enum import StrEnum
from pathlib import Path

import msgspec

from kerasfound.errors import UserError, one_line

from .cell_formats import CellFormat, DateFormat


class Task(StrEnum):
    """What a model predicts, and from what."""

    IMAGE_CLASSIFICATION = "image_classification"
    TEXT_CLASSIFICATION = "text_classification"
    TEXT_GENERATION = "text_generation"
    TABULAR_CLASSIFICATION = "tabular_classification"
    TABULAR_REGRESSION = "tabular_regression"


class ColumnKind(StrEnum):
    """How the cells of a column are encoded."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    """0 or 1."""
    DATE = "date"
    """Year, month, day of the week, days since 1970, and the hour if the column has times."""
    CATEGORY = "category"
    """The cell's place among the column's categories, from 1; 0 for unknown categories and missing cells."""
    TEXT = "text"
    """Token ids, from a tokenizer."""
    IGNORED = "ignored"
    """No number: the model does not use the column."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table, and how its cells are encoded as numbers.

    Args:
        name: as in the first row of the file.
        kind: how its cells are encoded.
        categories: of a category column: its different cells as text, sorted.
        missing: the number of cells without a value.
        distinct: the number of different values in the other cells.
        format: how its cells are written, if they are not plain numbers, ISO dates, or words for true and false.
        reason: why the column is ignored, or why it is a category although nearly all cells are of another kind.
        notes: sentences about what was understood, where the cells alone did not decide it or some are missing values.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] = ()
    missing: int = 0
    distinct: int = 0
    format: CellFormat | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """The size of this column in an encoded row."""
        has_hours = isinstance(self.format, DateFormat) and self.format.hours
        return {ColumnKind.DATE: 5 if has_hours else 4, ColumnKind.IGNORED: 0, ColumnKind.TEXT: 0}.get(self.kind, 1)


class Schema(msgspec.Struct, frozen=True):
    """What a model takes and predicts, without the data itself.

    Args:
        task: what the model predicts, and from what.
        input: the name of the model's input, for instance `"image"`.
        shape: the shape of one example: height, width and channels of an image with pixels 0..255, the size of an
            encoded row; empty for one character or token of a text.
        labels: the classes, in the order of the model's outputs; for text generation the characters.
        columns: the columns of a table without the target, in the order of the file; for labelled texts from a
            table, the column of the texts.
        target: the column of a table that is to be predicted.
    """

    task: Task
    input: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    target: str = ""

    @property
    def is_tabular(self) -> bool:
        return self.task in (Task.TABULAR_CLASSIFICATION, Task.TABULAR_REGRESSION)

    def save(self, path: Path) -> None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    @classmethod
    def load(cls, path: Path) -> "Schema":
        """Read the schema that `save` wrote.

        Raises:
            UserError: if the file cannot be read or is not a schema.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); expected a schema.json.") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: not a schema: {one_line(error)}. Train or export the model again.") from error


def require_column(names: list[str], name: str, where: str) -> None:
    """Raise a UserError that offers the nearest of `names` if `name` is not among them."""
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(names)}."
    raise UserError(f"{where}: no column {name!r}; {hint}")
