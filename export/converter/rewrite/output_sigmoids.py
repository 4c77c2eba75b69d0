"""Small probabilities of an output with all their digits.

ONNX Runtime's `Sigmoid` is 1/2 plus a rational function: near 0 only the digits above 1e-8 are right. That is enough
for what a layer reads, but not for the probability of a rare event.
"""

# mypy: disable-error-code="arg-type, assignment, union-attr"
import numpy as np
import onnx_ir as ir

WEIGHTED = {"Attention", "Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "Loop", "MatMul", "RNN", "Scan"}
"""Operators of layers with weights. What they read is not an output."""


def sigmoid_tails(graph: ir.Graph) -> None:
    """Write 1 / (1 + exp(-x)) for each `Sigmoid` that no layer with weights reads, directly or later."""
    read_by_layer: set[ir.Node] = set()
    for node in reversed(graph):
        readers = {user for y in node.outputs for user, _ in y.uses()}
        if any(user.op_type in WEIGHTED or user in read_by_layer for user in readers):
            read_by_layer.add(node)
        elif node.op_type == "Sigmoid":
            _replace(graph, node)


def _replace(graph: ir.Graph, sigmoid: ir.Node) -> None:
    (x,), (y,) = sigmoid.inputs, sigmoid.outputs
    name = f"{y.name}/one"
    one = ir.Value(name=name, const_value=ir.tensor(np.array(1, x.dtype.numpy()), name=name))
    one.dtype, one.shape = x.dtype, ir.Shape([])
    graph.initializers[name] = one
    negative = ir.node("Neg", [x], name=f"{sigmoid.name}/negative")
    power = ir.node("Exp", negative.outputs, name=f"{sigmoid.name}/exp")
    total = ir.node("Add", [power.outputs[0], one], name=f"{sigmoid.name}/sum")
    result = ir.node("Reciprocal", total.outputs, name=sigmoid.name)
    nodes = [negative, power, total, result]
    for node in nodes:
        node.outputs[0].dtype, node.outputs[0].shape, node.outputs[0].name = x.dtype, x.shape, node.name
    result.outputs[0].name = y.name
    if y.is_graph_output():
        graph.outputs[graph.outputs.index(y)] = result.outputs[0]
        result.outputs[0].shape = y.shape
    graph.insert_before(sigmoid, nodes)
    y.replace_all_uses_with(result.outputs[0])
    graph.remove(sigmoid, safe=True)
