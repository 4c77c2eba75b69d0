"""Raw table rows as inputs of both files: one input for each column, numbers as floats and all other cells as texts.

Both files encode the cells as `kerasfound.preprocessing.table_rows.encode` does, with the operations of ONNX and of
TensorFlow.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pyarrow as pa
from onnx import helper

from kerasfound.bundle import Column, ColumnKind, Schema
from kerasfound.bundle.cell_formats import BooleanFormat, DateFormat, NumberFormat
from kerasfound.bundle.manifest import Tensor
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.preprocessing import encode_rows
from kerasfound.preprocessing.boolean_words import FALSE, TRUE
from kerasfound.preprocessing.cell_texts import can_be_read, parse_texts
from kerasfound.preprocessing.date_formats import iso_form
from kerasfound.preprocessing.date_formats import write as write_date
from kerasfound.preprocessing.number_formats import write_variant
from kerasfound.preprocessing.table_rows import normalize_missing

from ..tracing.traced_model import reference_function
from .onnx_texts import ML, NodeBuilder, OnnxTexts, Value
from .tensorflow_texts import TensorFlowTexts

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..saved_model_writer import SavedModelSignature

TEXTS_OPSET = 20
"""The first version of the ONNX operators that can match and split texts, which dates and formatted numbers need."""
ML_OPSET = 2
UNKNOWN_CATEGORY = "\ue000 a category that no table has"
FALSE_WORDS, TRUE_WORDS = sorted(FALSE), sorted(TRUE)


def input_tensors(schema: Schema, reserved_names: set[str]) -> list[Tensor]:
    """Return one input tensor for each column that is not ignored, in the order of the table, named after the column.

    Args:
        schema: of the table.
        reserved_names: names that no input may have.

    Example:
        >>> columns = (Column("Hours/week", "number"), Column("id", "ignored"), Column("sex", "category", ("f", "m")))
        >>> for tensor in input_tensors(Schema("tabular_regression", "row", (2,), (), columns), set()):
        ...     print(tensor.name, tensor.dtype, tensor.shape)
        Hours_week float32 ['batch']
        sex string ['batch']
    """
    used_names = {name.lower() for name in reserved_names}
    tensors = []
    for column in _used_columns(schema):
        dtype = "float32" if _is_plain_number(column) else "string"
        tensors.append(Tensor(_unique_name(column.name, used_names), dtype, ["batch"], nullable=True))
    return tensors


def _used_columns(schema: Schema) -> list[Column]:
    return [column for column in schema.columns if column.width]


def _is_plain_number(column: Column) -> bool:
    return column.kind == ColumnKind.NUMBER and column.format is None


def _unique_name(name: str, used_names: set[str]) -> str:
    """Replace the characters that TensorFlow does not allow and add a number if needed; TensorFlow ignores case."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    name = unique = name if name[:1].isalpha() else f"column_{name}"
    number = 0
    while unique.lower() in used_names:
        number += 1
        unique = f"{name}_{number}"
    used_names.add(unique.lower())
    return unique


def encode_cells(schema: Schema, cells: Tensors) -> np.ndarray:
    """Encode cells, in the order of `input_tensors`, as training does."""
    columns = {
        column.name: normalize_missing(
            pa.chunked_array([pa.array(x.tolist(), pa.float32() if x.dtype.kind == "f" else pa.string())])
        )
        for column, x in zip(_used_columns(schema), cells.values(), strict=True)
    }
    return encode_rows(schema.columns, pa.table(columns))


def decode_rows(schema: Schema, tensors: list[Tensor], x: np.ndarray) -> Tensors:
    """Return cells whose encoding is `x`. For values without such a cell, return missing or unknown cells."""
    cells, start = {}, 0
    for column, tensor in zip(_used_columns(schema), tensors, strict=True):
        numbers = x[:, start : start + column.width]
        start += column.width
        if _is_plain_number(column):
            cells[tensor.name] = numbers[:, 0].astype("float32")
        else:
            texts = [_decode_cell(column, values, row) for row, values in enumerate(numbers)]
            cells[tensor.name] = np.array(texts, dtype=str)
    return cells


def _decode_cell(column: Column, numbers: np.ndarray, row: int) -> str:
    """Return a text for these numbers. The row number selects among equivalent texts, so that all are tested."""
    first = numbers[0]
    if column.kind == ColumnKind.CATEGORY:
        known = first.is_integer() and 1 <= first <= len(column.categories)
        return column.categories[int(first) - 1] if known else ("", UNKNOWN_CATEGORY)[row % 2]
    if not np.isfinite(numbers).all():
        return ("", "NA")[row % 2]
    if isinstance(column.format, NumberFormat):
        text = write_variant(column.format, np.format_float_positional(first.astype("float32"), trim="-"), row)
        return text if can_be_read(column, text) else ""
    if column.kind == ColumnKind.DATE:
        return _write_date(column.format if isinstance(column.format, DateFormat) else DateFormat(), numbers, row)
    if isinstance(column.format, BooleanFormat):
        return column.format.mark if first > 0.5 else ""
    words = TRUE_WORDS if first > 0.5 else FALSE_WORDS
    return words[row % len(words)].title()


def _write_date(form: DateFormat, numbers: np.ndarray, row: int) -> str:
    earliest, latest = (-365, 36_000) if form.short_year else (-700_000, 2_900_000)
    minutes = int(np.clip(np.rint(numbers[-1] * 60), 0, 1439)) if form.hours else 0
    if row % 5 == 4:
        form = iso_form(form)
    text = write_date(form, int(np.clip(numbers[3], earliest, latest)), minutes, row)
    return text if form.hours or not form.separator or form.half_days else text + ("", " 23:59:59.5", " 00:30")[row % 3]


def expected_cases(
    model: "keras.Model", schema: Schema, tensors: list[Tensor], cases: list[RecordedCase]
) -> list[RecordedCase]:
    """Convert the inputs of test cases to cells, and compute the model's outputs for the encoding of these cells."""
    function = reference_function(model)
    converted = []
    for case in cases:
        (x,) = case.inputs.values()
        cells = decode_rows(schema, tensors, x)
        outputs = function(encode_cells(schema, cells))
        converted.append(RecordedCase(case.kind, cells, {name: np.asarray(y) for name, y in outputs.items()}))
    return converted


def saved_model_signature(schema: Schema, tensors: list[Tensor]) -> "SavedModelSignature":
    """Return the signature of a SavedModel that takes raw rows."""
    import tensorflow as tf

    from ..saved_model_writer import SavedModelSignature, lookup_table

    texts = TensorFlowTexts()
    columns = _used_columns(schema)
    codes = {c.name: lookup_table(*_category_codes(c)) for c in columns if c.kind == ColumnKind.CATEGORY}

    def encode(column: Column, x: "tf.Tensor") -> list["tf.Tensor"]:
        if column.kind == ColumnKind.CATEGORY:
            return [codes[column.name].lookup(x)]
        if _is_plain_number(column):
            return [tf.where(tf.math.is_inf(x), np.float32(np.nan), x)]
        return parse_texts(texts, column, x)

    for column, tensor in zip(columns, tensors, strict=True):
        if tensor.dtype == "string":
            encode(column, tf.constant([""]))  # creates the lookup tables

    def wrap(function: Callable) -> Callable:
        def from_cells(*cells: "tf.Tensor") -> Any:
            parts = [number for column, x in zip(columns, cells, strict=True) for number in encode(column, x)]
            return function(tf.stack(parts, axis=1))

        return from_cells

    return SavedModelSignature(tensors, wrap, [*codes.values(), *texts.tables.values()])


def required_opset(schema: Schema, opset: int) -> int:
    """Return `opset`, or a newer version of the ONNX operators if the columns need it."""
    needs_texts = any(isinstance(c.format, NumberFormat) or c.kind == ColumnKind.DATE for c in _used_columns(schema))
    return max(opset, TEXTS_OPSET) if needs_texts else opset


def prepend_encoding(path: Path, target: Path, schema: Schema, tensors: list[Tensor]) -> None:
    """Read an ONNX file that takes encoded rows and write one that takes the columns."""
    proto = onnx.load(path)
    (row,) = proto.graph.input
    builder = NodeBuilder(row.name)
    parts: list[str] = []
    for column, tensor in zip(_used_columns(schema), tensors, strict=True):
        parts += _encode_in_onnx(builder, column, tensor.name)
    builder.add("Concat", [builder.column(part) for part in parts], [row.name], axis=1)
    proto.graph.input.remove(row)
    dtypes = {"float32": onnx.TensorProto.FLOAT, "string": onnx.TensorProto.STRING}
    proto.graph.input.extend(helper.make_tensor_value_info(x.name, dtypes[x.dtype], x.shape) for x in tensors)
    nodes = [*builder.nodes, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(builder.constants.values())
    if not any(opset.domain == ML for opset in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid(ML, ML_OPSET))
    onnx.save(proto, target)


def value_names(path: Path) -> set[str]:
    """Return the names of all values in an ONNX file."""
    graph = onnx.load(path, load_external_data=False).graph
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    return names | {value.name for value in (*graph.input, *graph.output, *graph.initializer)}


def _category_codes(column: Column) -> tuple[dict[str, Any], Any]:
    return {text: float(code) for code, text in enumerate(column.categories, start=1)}, 0.0


def _encode_in_onnx(builder: NodeBuilder, column: Column, x: str) -> list[str]:
    if column.kind == ColumnKind.CATEGORY:
        return [builder.lookup(x, *_category_codes(column))]
    if _is_plain_number(column):
        return [builder.without_infinity(x)]
    texts = OnnxTexts(builder, f"{x} is not a {column.kind}")
    return [number.name for number in parse_texts(texts, column, Value(x))]
