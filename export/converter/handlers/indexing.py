"""Operations on positions and counts: top k, slice updates, and how often each number occurs."""

from collections.abc import Callable

import numpy as np

from .elementwise import cast_for_comparison
from .node_builder import NodeBuilder, UnsupportedOperationError, tensor


def bincount(builder: NodeBuilder) -> None:
    """The sum of `OneHot`, or its maximum for a binary output, also for a batch; tf2onnx converts single vectors."""
    from onnx import TensorProto

    weights = builder.input_shape(2)
    if weights is None or (weights != [0] and len(weights) != len(builder.input_shape() or [])):
        raise UnsupportedOperationError("it is not known whether the counts have weights")
    ids, size = (builder.cast(x, TensorProto.INT64) for x in builder.inputs[:2])
    counts = builder.add("OneHot", [ids, size, builder.constant([0, 1], "float32")], TensorProto.FLOAT)
    if weights != [0]:
        column = builder.add(
            "Unsqueeze", [builder.cast(builder.inputs[2], TensorProto.FLOAT), builder.constant([-1], "int64")]
        )
        counts = builder.add("Mul", [counts, column])
    reduce = "ReduceMax" if builder.attributes["binary_output"].i else "ReduceSum"
    builder.add_result(
        "Cast", [builder.add(reduce, [counts, builder.constant([-2], "int64")], keepdims=0)], to=builder.dtypes[0]
    )


def top_k(builder: NodeBuilder) -> None:
    """`TopK` of integers as integers."""
    from onnx import TensorProto

    x, k = builder.inputs
    x = cast_for_comparison(builder, x)
    count = builder.add("Reshape", [builder.cast(k, TensorProto.INT64), builder.constant([1], np.int64)])
    builder.graph.remove_node(builder.name)
    dtypes = [builder.graph.get_dtype(x), TensorProto.INT64]
    outputs = builder.graph.make_node("TopK", [x, count], output_count=2, dtypes=dtypes).output
    for y, output, shape, dtype in zip(outputs, builder.outputs, builder.shapes, builder.dtypes, strict=True):
        builder.graph.make_node("Cast", [y], attr={"to": dtype}, outputs=[output], shapes=[shape], dtypes=[dtype])


def update_slice(builder: NodeBuilder) -> None:
    """`ScatterND` at the indices of the update, which are moved inside the tensor as XLA does."""
    from onnx import TensorProto

    x, update, start = builder.inputs
    size, part = (builder.add("Shape", [t], TensorProto.INT64) for t in (x, update))
    start = builder.add("Max", [builder.cast(start, TensorProto.INT64), builder.constant(0, "int64")])
    start = builder.add("Min", [start, builder.add("Sub", [size, part])])
    one = builder.graph.make_node("ConstantOfShape", [part], attr={"value": tensor(np.ones(1, "int64"))}).output[0]
    indices = builder.add("Transpose", [builder.add("NonZero", [one], TensorProto.INT64)], perm=[1, 0])
    indices = builder.add("Add", [indices, start])
    builder.add_result("ScatterND", [x, indices, builder.add("Reshape", [update, builder.constant([-1], "int64")])])


HANDLERS: dict[str, Callable] = {
    "DenseBincount": bincount,
    "TopKV2": top_k,
    "XlaDynamicUpdateSlice": update_slice,
}
"""TensorFlow operation to its handler."""
