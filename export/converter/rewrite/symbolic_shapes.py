"""What an ONNX graph says before it runs: constants, shapes, and values computed from shapes."""

# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

MAX_SIZES = 64
"""Numbers in a tensor of sizes, at most. Larger tensors are not followed."""


def constant_value(value: ir.Value | None) -> np.ndarray | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def scalar_value(value: ir.Value | None) -> float | None:
    """The number that a constant of size 1 holds."""
    array = constant_value(value)
    return array.item() if array is not None and array.size == 1 else None


def is_last_axis(axes: ir.Value, x: ir.Value) -> bool:
    axis = scalar_value(axes)
    return x.shape is not None and axis in (-1, len(x.shape) - 1)


def shape_of(x: ir.Value) -> list[int | str | None] | None:
    """The shape: a number for each static dimension, a name for a dynamic one, `None` for an unknown one."""
    return None if x.shape is None else [size if isinstance(size, int) else size.value for size in x.shape]


def symbolic_values(value: ir.Value | None) -> np.ndarray | None:
    """The value of a tensor that is computed from shapes alone: numbers and names of dynamic dimensions.

    `None` if it is computed from anything else.
    """
    if value is None or (value.dtype is not None and not value.dtype.is_integer()):
        return None
    array = constant_value(value)
    if array is not None:
        return array.astype(object) if array.size <= MAX_SIZES else None
    node = value.producer()
    if node is None:
        return None
    if node.op_type == "Shape":
        shape = shape_of(node.inputs[0])
        part = slice(node.attributes.get_int("start", 0), node.attributes.get_int("end", None))
        return None if shape is None or None in shape[part] else np.array(shape[part], object)
    if node.op_type not in SHAPE_OPERATIONS:
        return None
    inputs = [symbolic_values(x) for x in node.inputs]
    if any(x is None for x in inputs):
        return None
    return SHAPE_OPERATIONS[node.op_type](node, *inputs)


def _slice(_: ir.Node, x, starts, ends, axes=None, steps=None) -> np.ndarray | None:
    if x.ndim != 1 or any(isinstance(end, str) for end in (*starts, *ends)):
        return None
    return x[slice(starts[0], ends[0], 1 if steps is None else steps[0])]


def _gather(_: ir.Node, x, places) -> np.ndarray | None:
    if x.ndim != 1 or any(isinstance(place, str) for place in places.ravel()):
        return None
    return np.array(x[places.astype(int)], object)


def _product(node: ir.Node, x, axes=None) -> np.ndarray | None:
    """Of all sizes; axes are an input since opset 18."""
    if x.ndim != 1 or not all(isinstance(size, int) for size in x):
        return None
    if axes is None and node.attributes.get_int("noop_with_empty_axes", 0):
        return x
    product = np.array(np.prod(x, dtype=object), object)
    return product.reshape(1) if node.attributes.get_int("keepdims", 1) else product


SHAPE_OPERATIONS: dict[str, Callable] = {
    "Cast": lambda node, x: x,
    "Concat": lambda node, *parts: np.concatenate(parts),
    "Gather": _gather,
    "Slice": _slice,
    "Max": lambda node, *sizes: (
        np.maximum(*sizes) if all(isinstance(n, int) for x in sizes for n in np.ravel(x)) else None
    ),
    "ReduceProd": _product,
    "Squeeze": lambda node, x, *axes: x.reshape(()) if x.size == 1 else x,
    "Unsqueeze": lambda node, x, axes: x.reshape(1) if x.ndim == 0 else None,
}
"""Operations that keep, move or combine sizes, each as a function of symbolic values."""


def share_size_sources(graph: ir.Graph) -> int:
    """Compute each dynamic size from one input everywhere, so that equal computations become one.

    Returns:
        The number of values that changed.
    """
    sources: dict[str, tuple[ir.Value, int]] = {}
    for x in graph.inputs:
        for place, size in enumerate(shape_of(x) or []):
            if isinstance(size, str):
                sources.setdefault(size, (x, place))
    changes = 0
    for node in list(graph):
        value = node.outputs[0]
        if node.op_type not in {*SHAPE_OPERATIONS, "Shape"} or not value.uses() or value.is_graph_output():
            continue
        sizes = symbolic_values(value)
        if sizes is None or sizes.size > MAX_SIZES or _is_source(node, sources):
            continue
        if all(isinstance(size, int) for size in sizes.ravel()):
            nodes = [ir.node("Constant", [], {"value": ir.tensor(sizes.astype(value.dtype.numpy()))})]
        elif sizes.size == 1 and sizes.item() in sources:
            nodes = _size_nodes(graph, *sources[sizes.item()], value.dtype, sizes.ndim)
        else:
            continue
        graph.insert_before(node, nodes)
        size = nodes[-1].outputs[0]
        size.dtype, size.shape = value.dtype, ir.Shape(sizes.shape)
        value.replace_all_uses_with(size)
        changes += 1
    return changes


def _size_nodes(graph: ir.Graph, x: ir.Value, place: int, dtype: ir.DataType, rank: int) -> list[ir.Node]:
    """The nodes that compute one size of an input, as a scalar or a vector of one number."""
    nodes = [ir.node("Shape", [x], {"start": place, "end": place + 1})]
    if dtype != ir.DataType.INT64:
        nodes.append(ir.node("Cast", [nodes[-1].outputs[0]], {"to": dtype}))
    if rank == 0:
        name = f"first_axis_{len(graph.initializers)}"
        axis = ir.Value(name=name, const_value=ir.tensor(np.array([0]), name=name))
        axis.dtype, axis.shape = ir.DataType.INT64, ir.Shape([1])
        graph.initializers[name] = axis
        nodes.append(ir.node("Squeeze", [nodes[-1].outputs[0], axis]))
    return nodes


def infer_shapes(model: ir.Model) -> None:
    """Run ONNX's shape inference, and tell it that a `Range` up to a dynamic size has that size.

    An input with the right shape stands in for each such `Range` while the inference runs.
    """
    infer = passes.ShapeInferencePass(strict_mode=False)
    infer(model)
    stand_ins = []
    for node in model.graph:
        length = _range_length(node) if node.op_type == "Range" else None
        if length is not None:
            y = node.outputs[0]
            stand_in = ir.Value(name=f"{y.name}_stand_in", shape=ir.Shape([length]), type=ir.TensorType(y.dtype))
            y.replace_all_uses_with(stand_in)
            stand_ins.append((stand_in, y))
    model.graph.inputs.extend(stand_in for stand_in, _ in stand_ins)
    for node in model.graph:  # otherwise the first inference's names of unknown sizes stay
        for value in node.outputs:
            value.shape = value.shape if value.is_graph_output() else None
    infer(model)
    for stand_in, y in stand_ins:
        model.graph.inputs.remove(stand_in)
        stand_in.replace_all_uses_with(y)
        y.shape = stand_in.shape


def _range_length(node: ir.Node) -> int | str | None:
    """The size of a `Range` from 0 in steps of 1, if it is known."""
    start, limit, step = node.inputs
    if node.outputs[0].is_graph_output() or scalar_value(start) != 0 or scalar_value(step) != 1:
        return None
    if limit.dtype.is_floating_point() and limit.producer() is not None and limit.producer().op_type == "Cast":
        limit = limit.producer().inputs[0]
    sizes = symbolic_values(limit)
    return None if sizes is None else sizes.item()


def _is_source(node: ir.Node, sources: dict[str, tuple[ir.Value, int]]) -> bool:
    """Whether `share_size_sources` wrote this node."""
    while node is not None and node.op_type in ("Squeeze", "Cast"):
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Shape" or "start" not in node.attributes:
        return False
    return (node.inputs[0], node.attributes.get_int("start")) in sources.values()
