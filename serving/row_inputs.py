"""Table rows: the columns of the training table behind the inputs of a model, under the file's own names."""

import difflib
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from kerasfound.bundle.manifest import Manifest, Tensor
from kerasfound.bundle.schema import Column, ColumnKind, Schema
from kerasfound.preprocessing.cell_texts import can_be_read, cell_error, write_cell
from kerasfound.preprocessing.missing_values import GAPS

from .client_error import ClientError
from .tensor_codec import Base64, TensorReader

PLAIN_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)


class NumberReader(TensorReader):
    """Reads the cells of a column of plain numbers: JSON numbers and `null`, and texts as in a file."""

    def __init__(self, declared: Tensor, column: Column):
        super().__init__(declared)
        self.column = column
        cells: Any = list[float | str | None] if self.nullable else list[float | str]
        self._nested_decoder = self._flat_decoder = msgspec.json.Decoder(cells)

    def _to_array(self, values: list) -> np.ndarray:
        return super()._to_array(
            [self._to_number(row, value) if isinstance(value, str) else value for row, value in enumerate(values)]
        )

    def _to_number(self, row: int, text: str) -> float:
        if self.nullable and text.strip() in GAPS:
            return math.nan
        if not PLAIN_NUMBER.fullmatch(text.strip()):
            raise ClientError(400, f"row {row}, column {self.column.name!r}: {cell_error(self.column, text)}")
        return float(text)


class CellReader(TensorReader):
    """Reads the cells of a column that the model reads as texts: JSON strings, numbers, booleans and `null`."""

    texts = TensorReader.texts | bool | int | float  # type: ignore[assignment]

    def __init__(self, declared: Tensor, column: Column):
        super().__init__(declared)
        self.column = column

    def _to_array(self, values: list) -> np.ndarray:
        return super()._to_array([self._to_text(value) for value in values])

    def _to_text(self, value: str | Base64 | bool | float | None) -> str | Base64 | None:
        if isinstance(value, str):
            return value.strip()  # as in a file
        return write_cell(self.column, value) if isinstance(value, bool | int | float) else value

    def _read_strings(self, data: memoryview, count: int) -> list[str]:
        return [text.strip() for text in super()._read_strings(data, count)]

    def check_cells(self, cells: np.ndarray) -> None:
        """Raise a 400 for the first cell that the model cannot read."""
        for row, text in enumerate(cells.tolist()):
            if not can_be_read(self.column, text):
                raise ClientError(400, f"row {row}, column {self.column.name!r}: {cell_error(self.column, text)}")


class RowInputs(NamedTuple):
    """The columns of a table as inputs.

    Args:
        columns: the column of each input.
        left_out: the names of the columns that training left out.
        target: the column that the model predicts. A row may have it.
    """

    columns: dict[str, Column]
    left_out: frozenset[str]
    target: str

    def reader(self, declared: Tensor) -> TensorReader:
        """The reader of an input."""
        column = self.columns[declared.name]
        if declared.dtype == "string":
            return CellReader(declared, column)
        is_plain = column.kind == ColumnKind.NUMBER and declared.dtype.startswith("float") and len(declared.shape) == 1
        return NumberReader(declared, column) if is_plain else TensorReader(declared)

    def input_names(self, names: Iterable[str]) -> dict[str, str]:
        """Return the input of each column, given by its own name or by the input's; no entry for those left out.

        Raises:
            ClientError: if the table has no such column, or two names are one column.
        """
        if (names := list(names)) and self.columns.keys() >= set(names):
            return dict(zip(names, names, strict=True))
        own_names = {column.name: name for name, column in self.columns.items()}
        inputs: dict[str, str] = {}
        for name in names:
            found = own_names.get(name, name)
            if found in inputs.values():
                raise ClientError(400, f"column {name!r} is there twice, also as {found!r}")
            if found in self.columns:
                inputs[name] = found
            elif name != self.target and name not in self.left_out:
                raise ClientError(400, self._unknown(name))
        return inputs

    def _unknown(self, name: str) -> str:
        known = [column.name for column in self.columns.values()]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        near = near or difflib.get_close_matches(name, self.columns, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(map(repr, known))}"
        return f"no column {name!r}; {hint}"


def find_row_inputs(manifest: Manifest, folder: Path) -> RowInputs | None:
    """Return the columns of a model that takes table rows; None for other models, or other inputs.

    Raises:
        UserError: if the schema of the table cannot be read.
    """
    for step in manifest.preprocessing:
        if step.name == "table_row" and step.file and step.file in manifest.files:
            schema = Schema.load(folder / step.file)
            used = [column for column in schema.columns if column.width]
            if len(used) == len(manifest.inputs):
                names = [tensor.name for tensor in manifest.inputs]
                left_out = frozenset(column.name for column in schema.columns if not column.width)
                return RowInputs(dict(zip(names, used, strict=True)), left_out, schema.target)
    return None
