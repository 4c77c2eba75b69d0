"""Lookup tables, buckets, and comparison of strings."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .node_builder import NodeBuilder, UnsupportedOperationError

Tables = dict[bytes, tuple[np.ndarray, np.ndarray]]
"""Shared name of a lookup table to its keys and values."""
SEARCHES = {"LowerBound": "Less", "UpperBound": "LessOrEqual"}
"""TensorFlow operation to the comparison of a sorted value with x."""


def bucketize(builder: NodeBuilder) -> None:
    """The number of boundaries that are not above x. For NaN this is all of them, as in TensorFlow."""
    from onnx import TensorProto

    x = builder.inputs[0]
    kind = TensorProto.DOUBLE if builder.graph.get_dtype(x) == TensorProto.DOUBLE else TensorProto.FLOAT
    boundaries = np.array(list(builder.attributes["boundaries"].floats), "float32")
    boundaries = boundaries.astype("float64" if kind == TensorProto.DOUBLE else "float32")
    last = builder.constant([-1], "int64")
    below = builder.add(
        "Less",
        [builder.add("Unsqueeze", [builder.cast(x, kind), last]), builder.constant(boundaries)],
        TensorProto.BOOL,
    )
    counted = builder.cast(builder.add("Not", [below]), TensorProto.INT32)
    builder.add_result("ReduceSum", [counted, last], keepdims=0)


def position_in_sorted(builder: NodeBuilder) -> None:
    """The number of sorted values that are below x, or not above it."""
    from onnx import TensorProto

    rows = builder.add("Unsqueeze", [builder.inputs[0], builder.constant([-2], "int64")])
    values = builder.add("Unsqueeze", [builder.inputs[1], builder.constant([-1], "int64")])
    is_before = builder.add(SEARCHES[builder.kind], [rows, values], TensorProto.BOOL)
    counted = builder.cast(is_before, TensorProto.INT32)
    positions = builder.add("ReduceSum", [counted, builder.constant([-1], "int64")], keepdims=0)
    builder.add_result("Cast", [positions], to=builder.dtypes[0])


def equal(builder: NodeBuilder) -> None:
    """`LabelEncoder` with one string: `Equal` of ONNX takes numbers only."""
    from onnx import TensorProto
    from tf2onnx.onnx_opset.logical import Equal

    if builder.graph.get_dtype(builder.inputs[0]) != TensorProto.STRING:
        Equal.version_11(builder.graph, builder.old_node)
        return
    constants = {i: word for i in (0, 1) if (word := builder.constant_input(i)) is not None and word.size == 1}
    if not constants:
        raise UnsupportedOperationError("strings can be compared with a constant string only")
    place, word = next(iter(constants.items()))
    if_equal, otherwise = (0, 1) if builder.kind == "NotEqual" else (1, 0)
    attributes = {"keys_strings": _to_list(word.ravel()), "values_int64s": [if_equal], "default_int64": otherwise}
    x = builder.inputs[1 - place]
    encoded = builder.graph.make_node(
        "LabelEncoder", [x], attr=attributes, domain="ai.onnx.ml", dtypes=[TensorProto.INT64]
    )
    builder.add_result("Cast", [encoded.output[0]], to=TensorProto.BOOL)


def lookup(builder: NodeBuilder, tables: Tables) -> None:
    """`LabelEncoder`, which holds the table."""
    from onnx import TensorProto

    dtypes = {TensorProto.STRING: "string", TensorProto.INT64: "int64", TensorProto.FLOAT: "float"}
    table = builder.input_nodes[0]
    while table.type == "Identity":
        table = table.inputs[0]
    name = table.get_attr_value("shared_name")
    if name not in tables:
        raise UnsupportedOperationError("its lookup table was not found")
    keys, values = tables[name]
    default = builder.constant_input(2)
    if default is None:
        raise UnsupportedOperationError("the value of an unknown key is not a constant")
    key_dtype, value_dtype = dtypes.get(builder.graph.get_dtype(builder.inputs[1])), dtypes.get(builder.dtypes[0])
    if key_dtype is None or value_dtype is None:
        raise UnsupportedOperationError("a LabelEncoder holds strings, int64 and float32 only")
    attributes: dict[str, Any] = {f"keys_{key_dtype}s": _to_list(keys), f"values_{value_dtype}s": _to_list(values)}
    attributes[f"default_{value_dtype}"] = _to_list(default.ravel())[0]
    builder.add_result("LabelEncoder", [builder.inputs[1]], domain="ai.onnx.ml", **attributes)


def _to_list(values: Iterable) -> list:
    return [x.encode() if isinstance(x, str) else x for x in np.asarray(values).tolist()]


HANDLERS: dict[str, Callable] = {
    "Bucketize": bucketize,
    "Equal": equal,
    "LookupTableFindV2": lookup,
    "LowerBound": position_in_sorted,
    "NotEqual": equal,
    "UpperBound": position_in_sorted,
}
"""TensorFlow operation to its handler."""
