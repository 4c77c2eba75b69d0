"""Elementwise functions and comparisons."""

from collections.abc import Callable

import numpy as np

from .node_builder import NodeBuilder, UnsupportedOperationError

SIGN_BIT = np.iinfo(np.int32).min
"""Of a float32."""
COMPARISONS = {"Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "Less": "Less", "LessEqual": "LessOrEqual"}
EXTREMA = {"Maximum": "Max", "Minimum": "Min"}
"""TensorFlow operation to the ONNX operator."""


def erf(builder: NodeBuilder) -> None:
    """`Erf`, where tf2onnx writes a polynomial."""
    builder.add_result("Erf", builder.inputs)


def erfc(builder: NodeBuilder) -> None:
    """1 - `Erf`."""
    builder.add_result("Sub", [builder.constant_like(1, builder.inputs[0]), builder.add("Erf", builder.inputs)])


def expm1(builder: NodeBuilder) -> None:
    """2t / (1 - t) with t = `Tanh` of x / 2 near 0, where `Exp` - 1 has no digits left."""
    (x,) = builder.inputs
    one = builder.constant_like(1, x)
    t = builder.add("Tanh", [builder.add("Mul", [x, builder.constant_like(0.5, x)])])
    near_zero = builder.add("Div", [builder.add("Add", [t, t]), builder.add("Sub", [one, t])])
    far = builder.add("Sub", [builder.add("Exp", [x]), one])
    builder.add_result("Where", [_is_below(builder, builder.add("Abs", [x]), 1), near_zero, far])


def log1p(builder: NodeBuilder) -> None:
    """2 `Atanh` of x / (2 + x) near 0, where 1 + x has lost the digits of x."""
    (x,) = builder.inputs
    ratio = builder.add("Div", [x, builder.add("Add", [x, builder.constant_like(2, x)])])
    near_zero = builder.add("Mul", [builder.add("Atanh", [ratio]), builder.constant_like(2, x)])
    far = builder.add("Log", [builder.add("Add", [x, builder.constant_like(1, x)])])
    builder.add_result("Where", [_is_below(builder, builder.add("Abs", [x]), 0.5), near_zero, far])


def atan2(builder: NodeBuilder) -> None:
    """`Atan` in the quadrant of both signs, those of zeros too, where tf2onnx is wrong by pi."""
    from onnx import TensorProto

    y, x = builder.inputs
    size_y, size_x = builder.add("Abs", [y]), builder.add("Abs", [x])
    ratio = builder.add("Div", [size_y, size_x])
    ratio = _where(
        builder, builder.add("Equal", [size_y, size_x], TensorProto.BOOL), builder.add("Sign", [size_y]), ratio
    )
    angle = builder.add("Atan", [ratio])  # of the first quadrant; Sign is 0 for 0 / 0, and 1 for inf / inf
    left = builder.add("Sub", [builder.constant_like(np.pi, angle), angle])
    angle = _where(builder, _has_minus(builder, x), left, angle)
    builder.add_result("Where", [_has_minus(builder, y), builder.add("Neg", [angle]), angle])


def _has_minus(builder: NodeBuilder, x: str) -> str:
    """Whether a number is negative or -0.0, which is not below 0, but 1 / -0.0 = -inf is."""
    reciprocal = builder.add("Div", [builder.constant_like(1, x), x])
    return builder.add("Or", [_is_below(builder, x, 0), _is_below(builder, reciprocal, 0)])


def _where(builder: NodeBuilder, condition: str, x: str, y: str) -> str:
    return builder.add("Where", [condition, x, y], builder.graph.get_dtype(x))


def _is_below(builder: NodeBuilder, x: str, limit: float) -> str:
    from onnx import TensorProto

    return builder.add("Less", [x, builder.constant_like(limit, x)], TensorProto.BOOL)


def floor_division(builder: NodeBuilder) -> None:
    """`Div` after the remainder is subtracted: tf2onnx rounds integers towards 0, not down."""
    from tf2onnx.onnx_opset.math import FloorDiv

    if not _are_integers(builder):
        FloorDiv.version_6(builder.graph, builder.old_node)
        return
    x, y = builder.inputs
    builder.add_result("Div", [builder.add("Sub", [x, builder.add("Mod", builder.inputs)]), y])


def floor_remainder(builder: NodeBuilder) -> None:
    """`Mod`, whose result has the sign of the divisor."""
    from onnx import TensorProto

    x, y = builder.inputs
    if _are_integers(builder):
        builder.add_result("Mod", [x, y])
        return
    remainder = builder.add("Mod", [x, y], fmod=1)  # with the sign of x; tf2onnx rounds x / y
    differs = builder.add("Xor", [_is_below(builder, remainder, 0), _is_below(builder, y, 0)])
    is_zero = builder.add("Equal", [remainder, builder.constant_like(0, x)], TensorProto.BOOL)
    differs = builder.add("And", [differs, builder.add("Not", [is_zero])])
    builder.add_result("Where", [differs, builder.add("Add", [remainder, y]), remainder])


def _are_integers(builder: NodeBuilder) -> bool:
    from onnx.helper import tensor_dtype_to_np_dtype

    return np.issubdtype(tensor_dtype_to_np_dtype(builder.dtypes[0]), np.integer)


def comparison(builder: NodeBuilder) -> None:
    """The comparison of integers as integers: tf2onnx compares float32, which is not exact above 2**24."""
    from onnx import TensorProto

    builder.add_result(
        COMPARISONS[builder.kind], [cast_for_comparison(builder, x) for x in builder.inputs], dtype=TensorProto.BOOL
    )


def minimum_or_maximum(builder: NodeBuilder) -> None:
    """`Min` or `Max` of integers as integers."""
    extremum = builder.add(EXTREMA[builder.kind], [cast_for_comparison(builder, x) for x in builder.inputs])
    builder.add_result("Cast", [extremum], to=builder.dtypes[0])


def cast_for_comparison(builder: NodeBuilder, x: str) -> str:
    """The same numbers in a dtype that ONNX Runtime compares.

    All integers become int64: the counter of a loop is int64, even where tf2onnx says another dtype.
    """
    from onnx import TensorProto

    dtype = builder.graph.get_dtype(x)
    if dtype in (TensorProto.FLOAT, TensorProto.DOUBLE):
        return x
    return builder.cast(x, TensorProto.FLOAT if dtype == TensorProto.FLOAT16 else TensorProto.INT64)


def sign_bit(builder: NodeBuilder) -> None:
    """The sign bit only, from comparisons: ONNX cannot read the bits of a number."""
    from onnx import TensorProto

    (x,) = builder.inputs
    users = builder.graph.find_output_consumers(builder.outputs[0])
    masks = [source for user in users for source in user.inputs if source.is_const()]
    reads_sign = all(user.type == "BitwiseAnd" for user in users) and len(masks) == len(users)
    if builder.dtypes[0] != TensorProto.INT32 or not reads_sign or any(m.get_tensor_value() != SIGN_BIT for m in masks):
        raise UnsupportedOperationError("ONNX cannot read the bits of a number")
    builder.add_result(
        "Where", [_has_minus(builder, x), builder.constant(SIGN_BIT, "int32"), builder.constant(0, "int32")]
    )


def cumulative_product(builder: NodeBuilder) -> None:
    """`ReduceProd` of each number and those before it; ONNX has no cumulative product."""
    from onnx import TensorProto

    x, place, shape = builder.inputs[0], builder.constant_input(1), builder.input_shape()
    if shape is None or place is None:
        raise UnsupportedOperationError("the axis of the product is not known")
    axis = int(place.item()) % len(shape)
    size = builder.add("Shape", [x], TensorProto.INT64, start=axis, end=axis + 1)
    zero, one = builder.constant(0, "int64"), builder.constant(1, "int64")
    places = builder.add("Range", [zero, builder.add("Squeeze", [size]), one], TensorProto.INT64)
    rows, columns = (builder.add("Unsqueeze", [places, builder.constant([i], "int64")]) for i in (1, 0))
    first, second = (columns, rows) if builder.attributes["reverse"].i else (rows, columns)
    kind = "Greater" if builder.attributes["exclusive"].i else "GreaterOrEqual"
    factors = builder.add(kind, [first, second], TensorProto.BOOL)  # for each result, whether it has the factor
    after = builder.constant([2 + i for i in range(len(shape) - 1 - axis)], "int64")
    factors = builder.add("Unsqueeze", [factors, after]) if axis < len(shape) - 1 else factors
    table = builder.add("Unsqueeze", [x, builder.constant([axis], "int64")])
    table = _where(builder, factors, table, builder.constant_like(1, x))
    builder.add_result("ReduceProd", [table, builder.constant([axis + 1], "int64")], keepdims=0)


HANDLERS: dict[str, Callable] = {
    "Atan2": atan2,
    "Bitcast": sign_bit,
    "Cumprod": cumulative_product,
    "Erf": erf,
    "Erfc": erfc,
    "Expm1": expm1,
    "FloorDiv": floor_division,
    "FloorMod": floor_remainder,
    "Log1p": log1p,
    **dict.fromkeys(COMPARISONS, comparison),
    **dict.fromkeys(EXTREMA, minimum_or_maximum),
}
"""TensorFlow operation to its handler."""
