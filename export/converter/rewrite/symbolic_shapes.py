"""What is known of an ONNX graph before it runs: constants, shapes, and values computed from shapes."""

# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

LONGEST = 64
"""Numbers in a tensor that holds sizes, at most."""


def _constant(value: ir.Value | None) -> np.ndarray | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _number(value: ir.Value | None) -> float | None:
    """The one number that a constant holds."""
    array = _constant(value)
    return array.item() if array is not None and array.size == 1 else None


def _is_last_axis(axes: ir.Value, x: ir.Value) -> bool:
    axis = _number(axes)
    return x.shape is not None and axis in (-1, len(x.shape) - 1)


def _shape(x: ir.Value) -> list[int | str | None] | None:
    """Numbers, names of free sizes, None for what is not known."""
    return None if x.shape is None else [size if isinstance(size, int) else size.value for size in x.shape]


def _sizes(value: ir.Value | None) -> np.ndarray | None:
    """A tensor that is computed from shapes alone: its numbers and the names of its free sizes, None if it is not."""
    if value is None or (value.dtype is not None and not value.dtype.is_integer()):
        return None
    array = _constant(value)
    if array is not None:
        return array.astype(object) if array.size <= LONGEST else None
    node = value.producer()
    if node is None:
        return None
    if node.op_type == "Shape":
        shape = _shape(node.inputs[0])
        part = slice(node.attributes.get_int("start", 0), node.attributes.get_int("end", None))
        return None if shape is None or None in shape[part] else np.array(shape[part], object)
    if node.op_type not in MOVES:
        return None
    inputs = [_sizes(x) for x in node.inputs]
    if any(x is None for x in inputs):
        return None
    return MOVES[node.op_type](node, *inputs)


def _slice(_: ir.Node, x, starts, ends, axes=None, steps=None) -> np.ndarray | None:
    if x.ndim != 1 or any(isinstance(end, str) for end in (*starts, *ends)):
        return None
    return x[slice(starts[0], ends[0], 1 if steps is None else steps[0])]


MOVES: dict[str, Callable] = {
    "Cast": lambda node, x: x,
    "Concat": lambda node, *parts: np.concatenate(parts),
    "Gather": lambda node, x, places: np.array(x[places.astype(int)], object) if x.ndim == 1 else None,
    "Slice": _slice,
    "Max": lambda node, *sizes: (
        np.maximum(*sizes) if all(isinstance(n, int) for x in sizes for n in np.ravel(x)) else None
    ),
    "ReduceProd": lambda node, x: np.array([np.prod(x)], object) if all(isinstance(n, int) for n in x) else None,
    "Squeeze": lambda node, x, *axes: x.reshape(()) if x.size == 1 else x,
    "Unsqueeze": lambda node, x, axes: x.reshape(1) if x.ndim == 0 else None,
}
"""Operations that move sizes about and leave their values."""


def _one_source_of_sizes(graph: ir.Graph) -> int:
    """Read each free size off one input, so that what is computed from it is seen to be the same everywhere."""
    sources: dict[str, tuple[ir.Value, int]] = {}
    for x in graph.inputs:
        for place, size in enumerate(_shape(x) or []):
            if isinstance(size, str):
                sources.setdefault(size, (x, place))
    changes = 0
    for node in list(graph):
        value = node.outputs[0]
        if node.op_type not in {*MOVES, "Shape"} or not value.uses() or value.is_graph_output():
            continue
        sizes = _sizes(value)
        if sizes is None or sizes.size > LONGEST or _is_source(node, sources):
            continue
        if all(isinstance(size, int) for size in sizes.ravel()):
            known = [ir.node("Constant", [], {"value": ir.tensor(sizes.astype(value.dtype.numpy()))})]
        elif sizes.size == 1 and sizes.item() in sources:
            known = _read(graph, *sources[sizes.item()], value.dtype, sizes.ndim)
        else:
            continue
        graph.insert_before(node, known)
        known[-1].outputs[0].dtype, known[-1].outputs[0].shape = value.dtype, ir.Shape(sizes.shape)
        value.replace_all_uses_with(known[-1].outputs[0])
        changes += 1
    return changes


def _read(graph: ir.Graph, x: ir.Value, place: int, dtype: ir.DataType, rank: int) -> list[ir.Node]:
    """The nodes that give one size of an input, as a number or a vector of one."""
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


def _infer_shapes(model: ir.Model) -> None:
    """ONNX's inference, told how long 0, 1, ... n - 1 is where n is a free size: by inputs in place of such ranges."""
    infer = passes.ShapeInferencePass(strict_mode=False)
    infer(model)
    stood_in = []
    for node in model.graph:
        length = _length(node) if node.op_type == "Range" else None
        if length is not None:
            y = node.outputs[0]
            stand_in = ir.Value(name=f"{y.name}_known", shape=ir.Shape([length]), type=ir.TensorType(y.dtype))
            y.replace_all_uses_with(stand_in)
            stood_in.append((stand_in, y))
    model.graph.inputs.extend(stand_in for stand_in, _ in stood_in)
    for node in model.graph:  # a name once given to a size that was not known would stay
        for value in node.outputs:
            value.shape = value.shape if value.is_graph_output() else None
    infer(model)
    for stand_in, y in stood_in:
        model.graph.inputs.remove(stand_in)
        stand_in.replace_all_uses_with(y)
        y.shape = stand_in.shape


def _length(node: ir.Node) -> int | str | None:
    start, limit, step = node.inputs
    if node.outputs[0].is_graph_output() or _number(start) != 0 or _number(step) != 1:
        return None
    if limit.dtype.is_floating_point() and limit.producer() is not None and limit.producer().op_type == "Cast":
        limit = limit.producer().inputs[0]
    sizes = _sizes(limit)
    return None if sizes is None else sizes.item()


def _is_source(node: ir.Node, sources: dict[str, tuple[ir.Value, int]]) -> bool:
    """Whether `node` is already one of those that `_one_source_of_sizes` writes."""
    while node is not None and node.op_type in ("Squeeze", "Cast"):
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Shape" or "start" not in node.attributes:
        return False
    return (node.inputs[0], node.attributes.get_int("start")) in sources.values()
