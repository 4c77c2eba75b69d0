"""Operations on positions and counts: top k, scattered and sliced updates, and how often each number occurs."""

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


def broadcast_shape(builder: NodeBuilder) -> None:
    """The shape of an `Expand` of one shape to the other."""
    from onnx import TensorProto

    first, second = (builder.cast(x, TensorProto.INT64) for x in builder.inputs)
    zeros = builder.add("ConstantOfShape", [first], TensorProto.FLOAT)
    shape = builder.add("Shape", [builder.add("Expand", [zeros, second])], TensorProto.INT64)
    builder.add_result("Cast", [shape], to=builder.dtypes[0])


def greedy_decoder(builder: NodeBuilder) -> None:
    """tf2onnx's operators, with the blank class moved to the end, where they expect it."""
    from tf2onnx.onnx_opset.nn import CTCGreedyDecoder

    shape, blank = builder.input_shape(), builder.attributes["blank_index"].i
    if shape is None or shape[-1] < 1:
        raise UnsupportedOperationError("the number of classes is not known")
    if blank % shape[-1] != shape[-1] - 1:
        x, is_blank = builder.inputs[0], np.arange(shape[-1]) == blank % shape[-1]
        dtype = builder.graph.get_dtype(x)
        others = builder.add("Where", [builder.constant(is_blank), builder.constant_like(NEVER, x), x], dtype)
        last = builder.add("Gather", [x, builder.constant(np.flatnonzero(is_blank), "int64")], axis=-1)
        builder.old_node.input[0] = builder.add("Concat", [others, last], axis=-1)
    CTCGreedyDecoder.version_11(builder.graph, builder.old_node)


def scatter(builder: NodeBuilder) -> None:
    """`ScatterND` that adds the updates of the same index; tf2onnx keeps the last one."""
    from onnx import TensorProto
    from onnx.helper import tensor_dtype_to_np_dtype

    indices, updates, shape = builder.inputs
    zero = {"value": tensor(np.zeros(1, tensor_dtype_to_np_dtype(builder.dtypes[0])))}
    shape = builder.cast(shape, TensorProto.INT64)
    zeros = builder.graph.make_node("ConstantOfShape", [shape], attr=zero, dtypes=[builder.dtypes[0]]).output[0]
    builder.add_result("ScatterND", [zeros, builder.cast(indices, TensorProto.INT64), updates], reduction="add")


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


NEVER = -1e30
"""The score of a class that is never chosen."""
HANDLERS: dict[str, Callable] = {
    "BroadcastArgs": broadcast_shape,
    "CTCGreedyDecoder": greedy_decoder,
    "DenseBincount": bincount,
    "ScatterNd": scatter,
    "TopKV2": top_k,
    "XlaDynamicUpdateSlice": update_slice,
}
"""TensorFlow operation to its handler."""
