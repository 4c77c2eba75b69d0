"""Raw table rows as inputs of both files: one input for each column, numbers as floats and all other cells as texts.

Both files encode the cells as `kerasfound.preprocessing.table_rows.encode` does, with the operations of ONNX and of
TensorFlow.
"""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pyarrow as pa
from onnx import helper, numpy_helper

from kerasfound.bundle import Column, ColumnKind, Schema
from kerasfound.bundle.manifest import Tensor
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.preprocessing import encode_rows
from kerasfound.preprocessing.table_rows import EPOCH, FALSE, MISSING_VALUES, TRUE, normalize_missing

from ..tracing.traced_model import reference_function

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..saved_model_writer import SavedModelSignature

DATES_OPSET = 20
"""The first version of the ONNX operators that can match and split texts, which dates need."""
ML = "ai.onnx.ml"
ML_OPSET = 2
UNKNOWN_CATEGORY = "\ue000 a category that no table has"
BAD_BOOLEAN, BAD_DATE = "a cell that is not a boolean", "a cell that is not a date"
"""Replace cells that training refuses. They cannot be converted to numbers, so the file raises an error."""
DATE = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    r"|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
    r"(?:[T ](?:[01]\d|2[0-3])(?::[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?)?)?"
)
"""A date of the calendar, with or without a time, in the formats that Arrow reads."""
VALID_DATE = "1970-01-01"


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
        dtype = "float32" if column.kind == ColumnKind.NUMBER else "string"
        tensors.append(Tensor(_unique_name(column.name, used_names), dtype, ["batch"], nullable=True))
    return tensors


def _used_columns(schema: Schema) -> list[Column]:
    return [column for column in schema.columns if column.width]


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
        if column.kind == ColumnKind.NUMBER:
            cells[tensor.name] = numbers[:, 0].astype("float32")
        else:
            texts = [_decode_cell(column, values, row) for row, values in enumerate(numbers)]
            cells[tensor.name] = np.array(texts, dtype=str)
    return cells


def _decode_cell(column: Column, numbers: np.ndarray, row: int) -> str:
    """Return a text for these numbers. The row number selects among equivalent texts, so that all are tested."""
    first, last = numbers[0], numbers[-1]
    if column.kind == ColumnKind.CATEGORY:
        known = first.is_integer() and 1 <= first <= len(column.categories)
        return column.categories[int(first) - 1] if known else ("", UNKNOWN_CATEGORY)[row % 2]
    if not np.isfinite(last):
        return ("", "NA")[row % 2]
    if column.kind == ColumnKind.BOOLEAN:
        return (FALSE, TRUE)[bool(first > 0.5)][row % 2].title()
    day = str(EPOCH + int(np.clip(last, -700_000, 2_900_000)))
    return day + ("", "T23:59:59.5", " 00:30")[row % 3]


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

    encoders: list[tuple[Callable, dict[str, Any]]] = []
    tables: list[Any] = []
    for column in _used_columns(schema):
        lookups = {kind: lookup_table(*TABLES[kind](column)) for kind in LOOKUPS[column.kind]}
        tables += lookups.values()
        encoders.append((IN_TENSORFLOW[column.kind], lookups))

    def wrap(function: Callable) -> Callable:
        def from_cells(*cells: "tf.Tensor") -> Any:
            parts = [encode(x, **lookups) for x, (encode, lookups) in zip(cells, encoders, strict=True)]
            return function(tf.stack([number for numbers in parts for number in numbers], axis=1))

        return from_cells

    return SavedModelSignature(tensors, wrap, tables)


def required_opset(schema: Schema, opset: int) -> int:
    """Return `opset`, or a newer version of the ONNX operators if the columns need it."""
    return max(opset, DATES_OPSET) if any(column.kind == ColumnKind.DATE for column in schema.columns) else opset


def prepend_encoding(path: Path, target: Path, schema: Schema, tensors: list[Tensor]) -> None:
    """Read an ONNX file that takes encoded rows and write one that takes the columns."""
    proto = onnx.load(path)
    (row,) = proto.graph.input
    builder = _EncodingBuilder(row.name)
    parts: list[str] = []
    for column, tensor in zip(_used_columns(schema), tensors, strict=True):
        parts += IN_ONNX[column.kind](builder, column, tensor.name)
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


def _boolean_texts(column: Column) -> tuple[dict[str, Any], Any]:
    """Map the words for true and false, in any mix of upper and lower case, to `"1"` and `"0"`."""
    texts = dict.fromkeys(MISSING_VALUES, "nan")
    for number, words in (("1", TRUE), ("0", FALSE)):
        for word in words:
            texts |= dict.fromkeys(map("".join, itertools.product(*zip(word, word.upper(), strict=True))), number)
    return texts, BAD_BOOLEAN


def _missing_flags(column: Column) -> tuple[dict[str, Any], Any]:
    return dict.fromkeys(MISSING_VALUES, 1.0), 0.0


TABLES = {"codes": _category_codes, "booleans": _boolean_texts, "missing": _missing_flags}
LOOKUPS: dict[str, tuple[str, ...]] = {
    ColumnKind.NUMBER: (),
    ColumnKind.CATEGORY: ("codes",),
    ColumnKind.BOOLEAN: ("booleans",),
    ColumnKind.DATE: ("missing",),
}
"""The lookup tables of each kind of column: the value of each known text, and the value of all other texts."""


def _tf_number(x: "tf.Tensor") -> list["tf.Tensor"]:
    import tensorflow as tf

    return [tf.where(tf.math.is_inf(x), np.float32(np.nan), x)]


def _tf_category(x: "tf.Tensor", codes: Any) -> list["tf.Tensor"]:
    return [codes.lookup(x)]


def _tf_boolean(x: "tf.Tensor", booleans: Any) -> list["tf.Tensor"]:
    import tensorflow as tf

    return [tf.strings.to_number(booleans.lookup(x))]


def _tf_date(x: "tf.Tensor", missing: Any) -> list["tf.Tensor"]:
    import tensorflow as tf

    is_missing, is_date = missing.lookup(x) > 0, tf.strings.regex_full_match(x, DATE)
    x = tf.where(is_date, x, VALID_DATE)
    year, month, day = (
        tf.strings.to_number(tf.where(is_date | is_missing, tf.strings.substr(x, at, n), BAD_DATE), tf.int64)
        for at, n in ((0, 4), (5, 2), (8, 2))
    )
    days = days_since_1970(year, month, day)
    numbers = (year, month, (days + 3) % 7, days)
    return [tf.where(is_missing, np.float32(np.nan), tf.cast(number, tf.float32)) for number in numbers]


IN_TENSORFLOW: dict[str, Callable] = {
    ColumnKind.NUMBER: _tf_number,
    ColumnKind.CATEGORY: _tf_category,
    ColumnKind.BOOLEAN: _tf_boolean,
    ColumnKind.DATE: _tf_date,
}


def days_since_1970(year: Any, month: Any, day: Any) -> Any:
    """Return the days since 1970-01-01 of a date in the Gregorian calendar. The arguments are integers or tensors.

    The formula lets a year begin in March, so that a leap day is the last day of its year.

    Example:
        >>> days_since_1970(2000, 3, 1), days_since_1970(1969, 12, 31)
        (11017, -1)

    Source: Richards, "Calendars", in the Explanatory Supplement to the Astronomical Almanac, 2013.
    """
    before_march = (14 - month) // 12
    y, m = year - before_march + 400, month + 12 * before_march - 3
    return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + day - 865_566


class _EncodingBuilder:
    """Collects the nodes between the columns and the encoded row."""

    def __init__(self, row: str):
        self.prefix = f"{row}_of_columns/"
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(
        self, kind: str, inputs: list[str], outputs: list[str] | None = None, domain: str = "", **attributes
    ) -> str:
        """Add a node and return the name of its first output."""
        name = f"{self.prefix}{kind}_{len(self.nodes)}"
        outputs = outputs or [name]
        self.nodes.append(helper.make_node(kind, inputs, outputs, name, domain=domain, **attributes))
        return outputs[0]

    def constant(self, value: Any) -> str:
        name = f"{self.prefix}constant_{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def text(self, value: str) -> str:
        return self.constant(np.array(value, dtype=object))

    def column(self, x: str) -> str:
        return self.add("Unsqueeze", [x, self.constant(np.array([1]))])

    def cast(self, x: str, dtype: int, error: str = "") -> str:
        """Convert `x`, which may be texts. If a text is no number, ONNX Runtime reports the node name: `error`."""
        name = self.add("Cast", [x], to=dtype)
        self.nodes[-1].name = error or name
        return name

    def lookup(self, x: str, table: dict[str, Any], default: Any) -> str:
        kind = "strings" if isinstance(default, str) else "floats"
        values = {f"values_{kind}": list(table.values()), f"default_{kind[:-1]}": default}
        return self.add("LabelEncoder", [x], domain=ML, keys_strings=list(table), **values)

    def split(self, x: str, separator: str) -> str:
        """Split each text; the parts become the second axis."""
        name = f"{self.prefix}parts_{len(self.nodes)}"
        return self.add("StringSplit", [x], [name, f"{name}_count"], delimiter=separator)

    def part(self, parts: str, index: int) -> str:
        return self.add("Gather", [parts, self.constant(np.int64(index))], axis=1)


class _IntegerTensor:
    """An integer tensor of the graph with Python operators. Operands of `//` must not be negative."""

    def __init__(self, builder: _EncodingBuilder, name: str):
        self.builder, self.name = builder, name

    def _apply(self, kind: str, other: "_IntegerTensor | int", swapped: bool = False) -> "_IntegerTensor":
        names = [self.name, other.name if isinstance(other, _IntegerTensor) else self.builder.constant(np.int64(other))]
        return _IntegerTensor(self.builder, self.builder.add(kind, names[::-1] if swapped else names))

    def __add__(self, other: "_IntegerTensor | int") -> "_IntegerTensor":
        return self._apply("Add", other)

    def __sub__(self, other: "_IntegerTensor | int") -> "_IntegerTensor":
        return self._apply("Sub", other)

    def __rsub__(self, other: int) -> "_IntegerTensor":
        return self._apply("Sub", other, swapped=True)

    def __mul__(self, other: "_IntegerTensor | int") -> "_IntegerTensor":
        return self._apply("Mul", other)

    def __floordiv__(self, other: int) -> "_IntegerTensor":
        return self._apply("Div", other)

    def __mod__(self, other: int) -> "_IntegerTensor":
        return self._apply("Mod", other)

    __radd__, __rmul__ = __add__, __mul__


def _onnx_number(builder: _EncodingBuilder, column: Column, x: str) -> list[str]:
    return [builder.add("Where", [builder.add("IsInf", [x]), builder.constant(np.float32(np.nan)), x])]


def _onnx_category(builder: _EncodingBuilder, column: Column, x: str) -> list[str]:
    return [builder.lookup(x, *_category_codes(column))]


def _onnx_boolean(builder: _EncodingBuilder, column: Column, x: str) -> list[str]:
    return [builder.cast(builder.lookup(x, *_boolean_texts(column)), onnx.TensorProto.FLOAT, f"{x} is not a boolean")]


def _onnx_date(builder: _EncodingBuilder, column: Column, x: str) -> list[str]:
    cell, missing = x, builder.cast(builder.lookup(x, *_missing_flags(column)), onnx.TensorProto.BOOL)
    x = builder.add("Where", [missing, builder.text(VALID_DATE), x])
    x = builder.add("Where", [builder.add("RegexFullMatch", [x], pattern=DATE), x, builder.text(BAD_DATE)])
    for before_time in ("T", " "):
        x = builder.part(builder.split(x, before_time), 0)
    parts = builder.cast(builder.split(x, "-"), onnx.TensorProto.INT64, f"{cell} is not a date")
    year, month, day = (_IntegerTensor(builder, builder.part(parts, index)) for index in range(3))
    days = days_since_1970(year, month, day)
    gap = builder.constant(np.float32(np.nan))
    numbers = (year, month, (days + 3) % 7, days)
    return [builder.add("Where", [missing, gap, builder.cast(n.name, onnx.TensorProto.FLOAT)]) for n in numbers]


IN_ONNX: dict[str, Callable[[_EncodingBuilder, Column, str], list[str]]] = {
    ColumnKind.NUMBER: _onnx_number,
    ColumnKind.CATEGORY: _onnx_category,
    ColumnKind.BOOLEAN: _onnx_boolean,
    ColumnKind.DATE: _onnx_date,
}
