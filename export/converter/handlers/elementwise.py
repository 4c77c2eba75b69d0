"""ONNX for the TensorFlow operations that tf2onnx lacks or gets wrong. The first line of a docstring says how.

Each is a handler as tf2onnx's `custom_op_handlers` take them: it replaces one node of a tf2onnx graph.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from . import fft, linear_algebra, resize
from .node_builder import NotWritableError, Replacement, tensor

Tables = dict[bytes, tuple[np.ndarray, np.ndarray]]
"""Shared name of a lookup table to its keys and values."""

BITS = np.iinfo(np.int32).min
"""The sign bit of a float32."""


def handlers(tables: Tables) -> dict[str, tuple[Callable, list]]:
    """What tf2onnx takes as `custom_op_handlers`."""
    complex_numbers: fft.Parts = {}
    state: dict[str, Any] = {"LookupTableFindV2": tables, **dict.fromkeys(fft.HANDLERS, complex_numbers)}
    return {name: (functools.partial(_replace, handler, state.get(name)), []) for name, handler in HANDLERS.items()}


def summary(operation: str) -> str:
    """How an operation of `HANDLERS` is written."""
    return (HANDLERS[operation].__doc__ or "").splitlines()[0]


def written_here(node: Any) -> bool:
    """Whether a node of TensorFlow is written by one of `HANDLERS`, and not left to tf2onnx for its type."""
    if node.op not in HANDLERS or node.op in EXACT:
        return False
    return node.op not in TYPES or TYPES[node.op](tf.as_dtype(node.attr["T"].type))


def _replace(handler: Callable, state: Any, graph: Any, node: Any, name: str, _: list) -> None:
    handler(Replacement(graph, node), *([] if state is None else [state]))


def erf(new: Replacement) -> None:
    """`Erf` itself: tf2onnx writes a polynomial."""
    new.result("Erf", new.inputs)


def erfc(new: Replacement) -> None:
    """1 - `Erf`."""
    new.result("Sub", [new.like(1, new.inputs[0]), new.node("Erf", new.inputs)])


def expm1(new: Replacement) -> None:
    """`Exp` - 1."""
    new.result("Sub", [new.node("Exp", new.inputs), new.like(1, new.inputs[0])])


def log1p(new: Replacement) -> None:
    """`Log` of 1 + x."""
    new.result("Log", [new.node("Add", [new.inputs[0], new.like(1, new.inputs[0])])])


def floor_division(new: Replacement) -> None:
    """`Div` of what is left without the remainder: of whole numbers tf2onnx cuts off the fraction, below 0 as above."""
    from tf2onnx.onnx_opset.math import FloorDiv

    if not _of_whole_numbers(new):
        FloorDiv.version_6(new.graph, new.old)
        return
    x, y = new.inputs
    new.result("Div", [new.node("Sub", [x, new.node("Mod", new.inputs)]), y])


def floor_remainder(new: Replacement) -> None:
    """`Mod`, which has the sign of the divisor, also below 0."""
    from tf2onnx.onnx_opset.math import FloorMod

    if not _of_whole_numbers(new):
        FloorMod.version_7(new.graph, new.old)
        return
    new.result("Mod", new.inputs)


def _of_whole_numbers(new: Replacement) -> bool:
    from onnx.helper import tensor_dtype_to_np_dtype

    return np.issubdtype(tensor_dtype_to_np_dtype(new.dtypes[0]), np.integer)


def bucketize(new: Replacement) -> None:
    """The number of boundaries that are not above x, which for NaN is all of them, as in TensorFlow."""
    from onnx import TensorProto

    x = new.inputs[0]
    kind = TensorProto.DOUBLE if new.graph.get_dtype(x) == TensorProto.DOUBLE else TensorProto.FLOAT
    boundaries = np.array(list(new.attributes["boundaries"].floats), "float32")
    boundaries = boundaries.astype("float64" if kind == TensorProto.DOUBLE else "float32")
    last = new.const([-1], "int64")
    below = new.node(
        "Less", [new.node("Unsqueeze", [new.cast(x, kind), last]), new.const(boundaries)], TensorProto.BOOL
    )
    passed = new.cast(new.node("Not", [below]), TensorProto.INT32)
    new.result("ReduceSum", [passed, last], keepdims=0)


def bincount(new: Replacement) -> None:
    """`OneHot`, summed, or its largest where it only says which numbers there are. tf2onnx takes single vectors."""
    from onnx import TensorProto

    weights = new.shape(2)
    if weights is None or (weights != [0] and len(weights) != len(new.shape() or [])):
        raise NotWritableError("whether the counts have weights is not known")
    ids, size = (new.cast(x, TensorProto.INT64) for x in new.inputs[:2])
    counts = new.node("OneHot", [ids, size, new.const([0, 1], "float32")], TensorProto.FLOAT)
    if weights != [0]:
        column = new.node("Unsqueeze", [new.cast(new.inputs[2], TensorProto.FLOAT), new.const([-1], "int64")])
        counts = new.node("Mul", [counts, column])
    reduce = "ReduceMax" if new.attributes["binary_output"].i else "ReduceSum"
    new.result("Cast", [new.node(reduce, [counts, new.const([-2], "int64")], keepdims=0)], to=new.dtypes[0])


def convolution_3d(new: Replacement) -> None:
    """`Conv`, with the groups that tf2onnx leaves out in three dimensions."""
    from tf2onnx.onnx_opset.nn import ConvOp

    shape, kernel = new.shape(), new.shape(1)
    channels = 1 if new.attributes["data_format"].s == b"NCDHW" else -1
    if not shape or not kernel or -1 in (shape[channels], kernel[-2]):
        raise NotWritableError("the number of channels is not known")
    ConvOp.version_13(new.graph, new.old)
    new.old.set_attr("group", shape[channels] // kernel[-2])


def equal(new: Replacement) -> None:
    """Of words a `LabelEncoder` that knows one: `Equal` takes numbers, and tf2onnx makes numbers of words."""
    from onnx import TensorProto
    from tf2onnx.onnx_opset.logical import Equal

    if new.graph.get_dtype(new.inputs[0]) != TensorProto.STRING:
        Equal.version_11(new.graph, new.old)
        return
    known = {i: word for i in (0, 1) if (word := new.value(i)) is not None and word.size == 1}
    if not known:
        raise NotWritableError("words can be compared with a constant word only")
    place, word = next(iter(known.items()))
    found, other = (0, 1) if new.kind == "NotEqual" else (1, 0)
    how = {"keys_strings": _listed(word.ravel()), "values_int64s": [found], "default_int64": other}
    asked = new.inputs[1 - place]
    encoded = new.graph.make_node("LabelEncoder", [asked], attr=how, domain="ai.onnx.ml", dtypes=[TensorProto.INT64])
    new.result("Cast", [encoded.output[0]], to=TensorProto.BOOL)


def lookup(new: Replacement, tables: Tables) -> None:
    """`LabelEncoder`, with the table in it."""
    from onnx import TensorProto

    kinds = {TensorProto.STRING: "string", TensorProto.INT64: "int64", TensorProto.FLOAT: "float"}
    table = new.sources[0]
    while table.type == "Identity":
        table = table.inputs[0]
    shared = table.get_attr_value("shared_name")
    if shared not in tables:
        raise NotWritableError("its lookup table was not found")
    keys, values = tables[shared]
    default = new.value(2)
    if default is None:
        raise NotWritableError("the number of an unknown entry is not a constant")
    asked, found = kinds.get(new.graph.get_dtype(new.inputs[1])), kinds.get(new.dtypes[0])
    if asked is None or found is None:
        raise NotWritableError("a LabelEncoder holds strings, int64 and float32 only")
    attributes: dict[str, Any] = {f"keys_{asked}s": _listed(keys), f"values_{found}s": _listed(values)}
    attributes[f"default_{found}"] = _listed(default.ravel())[0]
    new.result("LabelEncoder", [new.inputs[1]], domain="ai.onnx.ml", **attributes)


def _listed(values: Iterable) -> list:
    return [x.encode() if isinstance(x, str) else x for x in np.asarray(values).tolist()]


def update_slice(new: Replacement) -> None:
    """`ScatterND` at the places of the update, moved as far as they must to fit, as XLA does."""
    from onnx import TensorProto

    x, update, start = new.inputs
    size, part = (new.node("Shape", [t], TensorProto.INT64) for t in (x, update))
    start = new.node("Max", [new.cast(start, TensorProto.INT64), new.const(0, "int64")])
    start = new.node("Min", [start, new.node("Sub", [size, part])])
    one = new.graph.make_node("ConstantOfShape", [part], attr={"value": tensor(np.ones(1, "int64"))}).output[0]
    places = new.node("Transpose", [new.node("NonZero", [one], TensorProto.INT64)], perm=[1, 0])
    places = new.node("Add", [places, start])
    new.result("ScatterND", [x, places, new.node("Reshape", [update, new.const([-1], "int64")])])


def sign_bit(new: Replacement) -> None:
    """The sign alone, from comparisons: ONNX cannot read a number's bits."""
    from onnx import TensorProto

    (x,) = new.inputs
    users = new.graph.find_output_consumers(new.outputs[0])
    masks = [source for user in users for source in user.inputs if source.is_const()]
    reads_sign = all(user.type == "BitwiseAnd" for user in users) and len(masks) == len(users)
    if new.dtypes[0] != TensorProto.INT32 or not reads_sign or any(m.get_tensor_value() != BITS for m in masks):
        raise NotWritableError("ONNX cannot read a number's bits")
    zero = new.like(0, x)
    one_over = new.node("Div", [new.like(1, x), x])  # -inf for -0.0, which is not below 0
    negative = new.node("Less", [new.node("Min", [x, one_over]), zero], TensorProto.BOOL)
    new.result("Where", [negative, new.const(BITS, "int32"), new.const(0, "int32")])


def random_normal(new: Replacement) -> None:
    """`RandomNormalLike`, so other numbers than TensorFlow's from the same distribution."""
    new.result("RandomNormalLike", [_of_shape(new)])


def random_uniform(new: Replacement) -> None:
    """`RandomUniformLike`, so other numbers than TensorFlow's from the same distribution."""
    new.result("RandomUniformLike", [_of_shape(new)])


def _of_shape(new: Replacement) -> str:
    from onnx import TensorProto

    zero = {"value": tensor(np.zeros(1, "float32"))}
    shape = new.cast(new.inputs[0], TensorProto.INT64)
    return new.graph.make_node("ConstantOfShape", [shape], attr=zero, dtypes=[TensorProto.FLOAT]).output[0]


def comparison(new: Replacement) -> None:
    """The comparison of whole numbers as such: tf2onnx makes floats of them, which blur those above 2**24."""
    from onnx import TensorProto

    new.result(COMPARISONS[new.kind], [_ordered(new, x) for x in new.inputs], dtype=TensorProto.BOOL)


def extremum(new: Replacement) -> None:
    """`Min` or `Max` of whole numbers as such."""
    found = new.node(EXTREMA[new.kind], [_ordered(new, x) for x in new.inputs])
    new.result("Cast", [found], to=new.dtypes[0])


def top_k(new: Replacement) -> None:
    """`TopK` of whole numbers as such."""
    from onnx import TensorProto

    x, k = new.inputs
    x = _ordered(new, x)
    count = new.node("Reshape", [new.cast(k, TensorProto.INT64), new.const([1], np.int64)])
    new.graph.remove_node(new.name)
    kinds = [new.graph.get_dtype(x), TensorProto.INT64]
    found = new.graph.make_node("TopK", [x, count], output_count=2, dtypes=kinds).output
    for one, output, shape, dtype in zip(found, new.outputs, new.shapes, new.dtypes, strict=True):
        new.graph.make_node("Cast", [one], attr={"to": dtype}, outputs=[output], shapes=[shape], dtypes=[dtype])


def _ordered(new: Replacement, x: str) -> str:
    """The same numbers in a type that ONNX Runtime compares.

    All whole numbers in one: the number of a loop's step has 64 bits, whatever tf2onnx takes it for.
    """
    from onnx import TensorProto

    dtype = new.graph.get_dtype(x)
    if dtype in (TensorProto.FLOAT, TensorProto.DOUBLE):
        return x
    return new.cast(x, TensorProto.FLOAT if dtype == TensorProto.FLOAT16 else TensorProto.INT64)


COMPARISONS = {"Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "Less": "Less", "LessEqual": "LessOrEqual"}
EXTREMA = {"Maximum": "Max", "Minimum": "Min"}
EXACT = {*COMPARISONS, *EXTREMA, "TopKV2"}
"""What is written as by tf2onnx but for digits that it loses: nothing that one has to know beforehand."""
HANDLERS: dict[str, Callable] = {
    "Bitcast": sign_bit,
    "Bucketize": bucketize,
    "Conv3D": convolution_3d,
    "DenseBincount": bincount,
    "Equal": equal,
    "Erf": erf,
    "Erfc": erfc,
    "Expm1": expm1,
    "FloorDiv": floor_division,
    "FloorMod": floor_remainder,
    **dict.fromkeys(COMPARISONS, comparison),
    **dict.fromkeys(EXTREMA, extremum),
    "Log1p": log1p,
    "LookupTableFindV2": lookup,
    "NotEqual": equal,
    "StatelessRandomNormalV2": random_normal,
    "StatelessRandomUniformV2": random_uniform,
    "TopKV2": top_k,
    "XlaDynamicUpdateSlice": update_slice,
    **linear_algebra.HANDLERS,
    **fft.HANDLERS,
    **resize.HANDLERS,
}
"""TensorFlow operation to what writes it."""
TYPES: dict[str, Callable[[tf.DType], bool]] = {
    "Equal": lambda dtype: dtype == tf.string,
    "FloorDiv": lambda dtype: dtype.is_integer,
    "FloorMod": lambda dtype: dtype.is_integer,
    "NotEqual": lambda dtype: dtype == tf.string,
}
"""Operation to the types for which it is written here."""
