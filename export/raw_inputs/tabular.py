"""Raw rows of a table into both files: one input a column, numbers as numbers, everything else as text.

What `kerasfound.preprocessing.table_rows.encode_column` does to a cell is done inside the files, in ONNX's and in
TensorFlow's operations.
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

from ..tracing import traced_model

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..saved_model_writer import Endpoint

DATES_OPSET = 20
"""The first version of ONNX's operators that match and split texts, which a date needs."""
ML = "ai.onnx.ml"
ML_OPSET = 2
UNSEEN = "\ue000 a category that no table has"
BAD_BOOLEAN, BAD_DATE = "a cell that is not a boolean", "a cell that is not a date"
"""Stand for what training would refuse. They are no numbers: a file that makes one of them answers with an error."""
DATE = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    r"|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
    r"(?:[T ](?:[01]\d|2[0-3])(?::[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?)?)?"
)
"""A day that there is, with or without a time, as Arrow reads it."""
SOME_DATE = "1970-01-01"


def inputs(schema: Schema, taken: set[str]) -> list[Tensor]:
    """One tensor for each column that is not ignored, in the table's order, named after it.

    Args:
        schema: of the table.
        taken: names that no input may have.

    Example:
        >>> from kerasfound.bundle import Task
        >>> number, ignored, category = ColumnKind.NUMBER, ColumnKind.IGNORED, ColumnKind.CATEGORY
        >>> columns = (Column("Hours/week", number), Column("id", ignored), Column("sex", category, ("f", "m")))
        >>> for tensor in inputs(Schema(Task.TABULAR_REGRESSION, "row", (2,), (), columns), set()):
        ...     print(tensor.name, tensor.dtype, tensor.shape)
        Hours_week float32 ['batch']
        sex string ['batch']
    """
    lower = {name.lower() for name in taken}
    found = []
    for column in _used(schema):
        name = _free(column.name, lower)
        dtype = "float32" if column.kind == ColumnKind.NUMBER else "string"
        found.append(Tensor(name, dtype, ["batch"], nullable=True))
    return found


def _used(schema: Schema) -> list[Column]:
    return [column for column in schema.columns if column.width]


def _free(name: str, taken: set[str]) -> str:
    """`name` as TensorFlow takes it, which does not tell letters by their case, numbered if it is in `taken`."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    name = free = name if name[:1].isalpha() else f"column_{name}"
    again = 0
    while free.lower() in taken:
        again += 1
        free = f"{name}_{again}"
    taken.add(free.lower())
    return free


def encode(schema: Schema, cells: Tensors) -> np.ndarray:
    """The numbers that training makes of these cells, given in the order of `inputs`."""
    columns = {
        column.name: normalize_missing(
            pa.chunked_array([pa.array(x.tolist(), pa.float32() if x.dtype.kind == "f" else pa.string())])
        )
        for column, x in zip(_used(schema), cells.values(), strict=True)
    }
    return encode_rows(schema.columns, pa.table(columns))


def decode(schema: Schema, tensors: list[Tensor], x: np.ndarray) -> Tensors:
    """Cells that training makes these numbers of; where there are none, cells that were not seen, or are missing."""
    cells, place = {}, 0
    for column, tensor in zip(_used(schema), tensors, strict=True):
        numbers = x[:, place : place + column.width]
        place += column.width
        if column.kind == ColumnKind.NUMBER:
            cells[tensor.name] = numbers[:, 0].astype("float32")
        else:
            texts = [_cell(column, each, row) for row, each in enumerate(numbers)]
            cells[tensor.name] = np.array(texts, dtype=str)
    return cells


def _cell(column: Column, numbers: np.ndarray, row: int) -> str:
    first, last = numbers[0], numbers[-1]
    if column.kind == ColumnKind.CATEGORY:
        known = first.is_integer() and 1 <= first <= len(column.categories)
        return column.categories[int(first) - 1] if known else ("", UNSEEN)[row % 2]
    if not np.isfinite(last):
        return ("", "NA")[row % 2]
    if column.kind == ColumnKind.BOOLEAN:
        return (FALSE, TRUE)[bool(first > 0.5)][row % 2].title()
    day = str(EPOCH + int(np.clip(last, -700_000, 2_900_000)))
    return day + ("", "T23:59:59.5", " 00:30")[row % 3]


def cases(model: "keras.Model", schema: Schema, tensors: list[Tensor], asked: list[RecordedCase]) -> list[RecordedCase]:
    """The questions to a model as rows of cells, beside its answers to the numbers that training makes of those."""

    answer = traced_model.reference_function(model)
    found = []
    for case in asked:
        (x,) = case.inputs.values()
        cells = decode(schema, tensors, x)
        answers = answer(encode(schema, cells))
        found.append(RecordedCase(case.kind, cells, {name: np.asarray(y) for name, y in answers.items()}))
    return found


def endpoint(schema: Schema, tensors: list[Tensor]) -> "Endpoint":
    """The signature of a SavedModel that takes raw rows."""
    import tensorflow as tf

    from ..saved_model_writer import Endpoint, table

    encoders: list[tuple[Callable, dict[str, Any]]] = []
    tables: list[Any] = []
    for column in _used(schema):
        found = {kind: table(*TABLES[kind](column)) for kind in LOOKUPS[column.kind]}
        tables += found.values()
        encoders.append((IN_TENSORFLOW[column.kind], found))

    def around(answer: Callable) -> Callable:
        def ask(*cells: "tf.Tensor") -> Any:
            parts = [encode(x, **found) for x, (encode, found) in zip(cells, encoders, strict=True)]
            return answer(tf.stack([number for numbers in parts for number in numbers], axis=1))

        return ask

    return Endpoint(tensors, around, tables)


def opset(schema: Schema, least: int) -> int:
    """The version of ONNX's operators that these columns need."""
    return max(least, DATES_OPSET) if any(column.kind == ColumnKind.DATE for column in schema.columns) else least


def put_before(path: Path, target: Path, schema: Schema, tensors: list[Tensor]) -> None:
    """From an ONNX file that takes encoded rows write one that takes the columns."""
    proto = onnx.load(path)
    (row,) = proto.graph.input
    front = _Front(row.name)
    parts: list[str] = []
    for column, tensor in zip(_used(schema), tensors, strict=True):
        parts += IN_ONNX[column.kind](front, column, tensor.name)
    front.add("Concat", [front.column(part) for part in parts], [row.name], axis=1)
    proto.graph.input.remove(row)
    kinds = {"float32": onnx.TensorProto.FLOAT, "string": onnx.TensorProto.STRING}
    proto.graph.input.extend(helper.make_tensor_value_info(x.name, kinds[x.dtype], x.shape) for x in tensors)
    nodes = [*front.nodes, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(front.constants.values())
    if not any(opset.domain == ML for opset in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid(ML, ML_OPSET))
    onnx.save(proto, target)


def names(path: Path) -> set[str]:
    """The names of all values in an ONNX file."""
    graph = onnx.load(path, load_external_data=False).graph
    nodes = {name for node in graph.node for name in (*node.input, *node.output)}
    return nodes | {value.name for value in (*graph.input, *graph.output, *graph.initializer)}


def _categories(column: Column) -> tuple[dict[str, Any], Any]:
    return {text: float(place) for place, text in enumerate(column.categories, start=1)}, 0.0


def _truths(column: Column) -> tuple[dict[str, Any], Any]:
    """Both truths, in any case of letters, as texts of numbers."""
    found = dict.fromkeys(MISSING_VALUES, "nan")
    for number, words in (("1", TRUE), ("0", FALSE)):
        for word in words:
            found |= dict.fromkeys(map("".join, itertools.product(*zip(word, word.upper(), strict=True))), number)
    return found, BAD_BOOLEAN


def _gaps(column: Column) -> tuple[dict[str, Any], Any]:
    return dict.fromkeys(MISSING_VALUES, 1.0), 0.0


TABLES = {"codes": _categories, "truths": _truths, "gaps": _gaps}
LOOKUPS: dict[str, tuple[str, ...]] = {
    "number": (),
    "category": ("codes",),
    "boolean": ("truths",),
    "date": ("gaps",),
}
"""The tables that a kind of column needs: each text's number or text, and what any other text counts as."""


def _tf_number(x: "tf.Tensor") -> list["tf.Tensor"]:
    import tensorflow as tf

    return [tf.where(tf.math.is_inf(x), np.float32(np.nan), x)]


def _tf_category(x: "tf.Tensor", codes: Any) -> list["tf.Tensor"]:
    return [codes.lookup(x)]


def _tf_boolean(x: "tf.Tensor", truths: Any) -> list["tf.Tensor"]:
    import tensorflow as tf

    return [tf.strings.to_number(truths.lookup(x))]


def _tf_date(x: "tf.Tensor", gaps: Any) -> list["tf.Tensor"]:
    import tensorflow as tf

    missing, read = gaps.lookup(x) > 0, tf.strings.regex_full_match(x, DATE)
    x = tf.where(read, x, SOME_DATE)
    year, month, day = (
        tf.strings.to_number(tf.where(read | missing, tf.strings.substr(x, at, n), BAD_DATE), tf.int64)
        for at, n in ((0, 4), (5, 2), (8, 2))
    )
    days = days_since_1970(year, month, day)
    numbers = (year, month, (days + 3) % 7, days)
    return [tf.where(missing, np.float32(np.nan), tf.cast(number, tf.float32)) for number in numbers]


IN_TENSORFLOW: dict[str, Callable] = {
    "number": _tf_number,
    "category": _tf_category,
    "boolean": _tf_boolean,
    "date": _tf_date,
}


def days_since_1970(year: Any, month: Any, day: Any) -> Any:
    """Of a day in the Gregorian calendar, whole numbers; arrays and tensors too.

    A year begins in March here, so that its last day is the one that may be missing.

    Example:
        >>> days_since_1970(2000, 3, 1), days_since_1970(1969, 12, 31)
        (11017, -1)

    Source: Richards, "Calendars", in the Explanatory Supplement to the Astronomical Almanac, 2013.
    """
    before_march = (14 - month) // 12
    y, m = year - before_march + 400, month + 12 * before_march - 3
    return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + day - 865_566


class _Front:
    """The nodes between the columns and the encoded row."""

    def __init__(self, row: str):
        self.prefix = f"{row}_of_columns/"
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(
        self, kind: str, inputs: list[str], outputs: list[str] | None = None, domain: str = "", **attributes
    ) -> str:
        """A node; the name of its first output."""
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
        """Texts too; of one that is no number ONNX Runtime tells only the name of the node, which is `error`."""
        cast = self.add("Cast", [x], to=dtype)
        self.nodes[-1].name = error or cast
        return cast

    def lookup(self, x: str, entries: dict[str, Any], default: Any) -> str:
        kind = "strings" if isinstance(default, str) else "floats"
        values = {f"values_{kind}": list(entries.values()), f"default_{kind[:-1]}": default}
        return self.add("LabelEncoder", [x], domain=ML, keys_strings=list(entries), **values)

    def split(self, x: str, separator: str) -> str:
        """The parts of each text, side by side."""
        name = f"{self.prefix}parts_{len(self.nodes)}"
        return self.add("StringSplit", [x], [name, f"{name}_count"], delimiter=separator)

    def part(self, parts: str, place: int) -> str:
        return self.add("Gather", [parts, self.constant(np.int64(place))], axis=1)


class _Whole:
    """A tensor of whole numbers in the graph, with which one reckons as with numbers; none is below zero in `//`."""

    def __init__(self, front: _Front, name: str):
        self.front, self.name = front, name

    def _with(self, kind: str, other: "_Whole | int", swapped: bool = False) -> "_Whole":
        names = [self.name, other.name if isinstance(other, _Whole) else self.front.constant(np.int64(other))]
        return _Whole(self.front, self.front.add(kind, names[::-1] if swapped else names))

    def __add__(self, other: "_Whole | int") -> "_Whole":
        return self._with("Add", other)

    def __sub__(self, other: "_Whole | int") -> "_Whole":
        return self._with("Sub", other)

    def __rsub__(self, other: int) -> "_Whole":
        return self._with("Sub", other, swapped=True)

    def __mul__(self, other: "_Whole | int") -> "_Whole":
        return self._with("Mul", other)

    def __floordiv__(self, other: int) -> "_Whole":
        return self._with("Div", other)

    def __mod__(self, other: int) -> "_Whole":
        return self._with("Mod", other)

    __radd__, __rmul__ = __add__, __mul__


def _onnx_number(front: _Front, column: Column, x: str) -> list[str]:
    return [front.add("Where", [front.add("IsInf", [x]), front.constant(np.float32(np.nan)), x])]


def _onnx_category(front: _Front, column: Column, x: str) -> list[str]:
    return [front.lookup(x, *_categories(column))]


def _onnx_boolean(front: _Front, column: Column, x: str) -> list[str]:
    return [front.cast(front.lookup(x, *_truths(column)), onnx.TensorProto.FLOAT, f"{x} is not a boolean")]


def _onnx_date(front: _Front, column: Column, x: str) -> list[str]:
    cell, missing = x, front.cast(front.lookup(x, *_gaps(column)), onnx.TensorProto.BOOL)
    x = front.add("Where", [missing, front.text(SOME_DATE), x])
    x = front.add("Where", [front.add("RegexFullMatch", [x], pattern=DATE), x, front.text(BAD_DATE)])
    for before_time in ("T", " "):
        x = front.part(front.split(x, before_time), 0)
    whole = front.cast(front.split(x, "-"), onnx.TensorProto.INT64, f"{cell} is not a date")
    year, month, day = (_Whole(front, front.part(whole, place)) for place in range(3))
    days = days_since_1970(year, month, day)
    gap = front.constant(np.float32(np.nan))
    numbers = (year, month, (days + 3) % 7, days)
    return [front.add("Where", [missing, gap, front.cast(n.name, onnx.TensorProto.FLOAT)]) for n in numbers]


IN_ONNX: dict[str, Callable[[_Front, Column, str], list[str]]] = {
    "number": _onnx_number,
    "category": _onnx_category,
    "boolean": _onnx_boolean,
    "date": _onnx_date,
}
