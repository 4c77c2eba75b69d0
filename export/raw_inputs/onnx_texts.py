"""The shared operations on texts, as nodes of an ONNX graph."""

from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

ML = "ai.onnx.ml"
END = "\ue000"
"""Marks the end of a text: parts behind it are padding."""

INFINITE = np.float64(2.0**128 - 2.0**103)
"""Numbers from here on are infinite in float32."""


class NodeBuilder:
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

    def column(self, x: str) -> str:
        return self.add("Unsqueeze", [x, self.constant(np.array([1]))])

    def lookup(self, x: str, table: dict[str, Any], default: Any) -> str:
        kind = "strings" if isinstance(default, str) else "floats"
        values = {f"values_{kind}": list(table.values()), f"default_{kind[:-1]}": default}
        return self.add("LabelEncoder", [x], domain=ML, keys_strings=list(table), **values)

    def without_infinity(self, x: str) -> str:
        return self.add("Where", [self.add("IsInf", [x]), self.constant(np.float32(np.nan)), x])


class Value(NamedTuple):
    """The name of a tensor with texts, numbers or conditions."""

    name: str


class OnnxTexts:
    """Texts, numbers and conditions are `Value`s; integers are `IntegerTensor`s.

    Args:
        builder: receives the nodes.
        error: the name of the nodes that convert texts to numbers. ONNX Runtime reports it if a text is no number.
    """

    def __init__(self, builder: NodeBuilder, error: str):
        self.builder, self.error, self.conversions = builder, error, 0

    def matches(self, x: Value, pattern: str) -> Value:
        return self._add("RegexFullMatch", x, pattern=pattern)

    def select(self, condition: Value, x: Value | str, y: Value | str) -> Value:
        return self._add("Where", condition, x, y)

    def split(self, x: Value, separator: str, count: int) -> list[Value]:
        parts = f"{self.builder.prefix}parts_{len(self.builder.nodes)}"
        padded = self.join(x, separator * count).name
        self.builder.add("StringSplit", [padded], [parts, f"{parts}_count"], delimiter=separator)
        places = [self.builder.constant(np.int64(place)) for place in range(count)]
        return [Value(self.builder.add("Gather", [parts, place], axis=1)) for place in places]

    def replace(self, x: Value, old: str, new: str, count: int) -> Value:
        if not new:
            return self.join(*self.split(x, old, count + 1))
        first, *others = self.split(self.join(x, END), old, count + 1)
        return self.split(self.join(first, *(piece for other in others for piece in (new, other))), END, 2)[0]

    def join(self, *parts: Value | str) -> Value:
        return reduce(lambda x, y: self._add("StringConcat", x, y), parts)  # type: ignore[arg-type, return-value]

    def lookup(self, x: Value, values: dict[str, str], default: str) -> Value:
        return Value(self.builder.lookup(x.name, values, default))

    def to_integer(self, x: Value) -> "IntegerTensor":
        return IntegerTensor(self.builder, self._convert(x, onnx.TensorProto.INT64))

    def to_number(self, x: Value) -> Value:
        number, missing = self._convert(x, onnx.TensorProto.DOUBLE), self.builder.constant(np.float64(np.nan))
        is_finite = self.builder.add("Less", [self.builder.add("Abs", [number]), self.builder.constant(INFINITE)])
        number = self.builder.add("Where", [is_finite, number, missing])
        return Value(self.builder.add("Cast", [number], to=onnx.TensorProto.FLOAT))

    def divide(self, x: "IntegerTensor", divisor: int, missing: Value) -> Value:
        number = self.builder.add("Cast", [x.name], to=onnx.TensorProto.FLOAT)
        if divisor != 1:
            number = self.builder.add("Div", [number, self.builder.constant(np.float32(divisor))])
        return Value(self.builder.add("Where", [missing.name, self.builder.constant(np.float32(np.nan)), number]))

    def _add(self, kind: str, *inputs: Value | str, **attributes: Any) -> Value:
        names = [x.name if isinstance(x, Value) else self.builder.constant(np.array(x, dtype=object)) for x in inputs]
        return Value(self.builder.add(kind, names, **attributes))

    def _convert(self, x: Value, dtype: int) -> str:
        name = self.builder.add("Cast", [x.name], to=dtype)
        self.conversions += 1
        self.builder.nodes[-1].name = f"{self.error} ({self.conversions})"  # names must be different
        return name


class IntegerTensor:
    """An integer tensor of the graph with Python operators. Operands of `//` must not be negative."""

    def __init__(self, builder: NodeBuilder, name: str):
        self.builder, self.name = builder, name

    def _apply(self, kind: str, other: "IntegerTensor | int", swapped: bool = False) -> "IntegerTensor":
        names = [self.name, other.name if isinstance(other, IntegerTensor) else self.builder.constant(np.int64(other))]
        return IntegerTensor(self.builder, self.builder.add(kind, names[::-1] if swapped else names))

    def __add__(self, other: "IntegerTensor | int") -> "IntegerTensor":
        return self._apply("Add", other)

    def __sub__(self, other: "IntegerTensor | int") -> "IntegerTensor":
        return self._apply("Sub", other)

    def __rsub__(self, other: int) -> "IntegerTensor":
        return self._apply("Sub", other, swapped=True)

    def __mul__(self, other: "IntegerTensor | int") -> "IntegerTensor":
        return self._apply("Mul", other)

    def __floordiv__(self, other: int) -> "IntegerTensor":
        return self._apply("Div", other)

    def __mod__(self, other: int) -> "IntegerTensor":
        return self._apply("Mod", other)

    def __le__(self, other: "IntegerTensor | int") -> Value:
        return Value(self._apply("LessOrEqual", other).name)

    __radd__, __rmul__ = __add__, __mul__
