"""Names of nodes and weights after the layers that they belong to."""

# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"
import itertools
import re

import onnx_ir as ir


def name_nodes(graph: ir.Graph) -> None:
    """Name nodes, their outputs and weights after their layer and what they compute."""
    names = _NodeNames(graph)
    for node in reversed(graph):  # a node that a rule added belongs to the layer of the node that reads it
        value = node.outputs[0]
        if not value.is_graph_output():
            node.name = value.name
        elif "/" not in (node.name or ""):
            node.name = f"{value.name}/{node.op_type}"
        readers = [user for output in node.outputs for user, _ in output.uses()]
        node.name = names.make(node.name, node.op_type, readers[0].name if readers else "")
    for node in graph:
        for i, value in enumerate(node.outputs):
            if not value.is_graph_output():
                value.name = node.name if i == 0 else f"{node.name}:{i}"
    for value in list(graph.initializers.values()):
        del graph.initializers[value.name]
        value.name = value.const_value.name = names.make(value.name, "constant", next(iter(value.uses())).node.name)
        graph.initializers[value.name] = value


class _NodeNames:
    """Makes unique names, such as `dense` from `model_1/dense_1/Cast/ReadVariableOp:0`.

    TensorFlow appends to each scope how often the model was traced before.
    """

    def __init__(self, graph: ir.Graph):
        self.used = {value.name for value in (*graph.inputs, *graph.outputs)}
        scopes = [node.name.split("/")[0] for node in graph if "/" in (node.name or "")]
        self.root = max(set(scopes), key=scopes.count, default="")
        trace_number = re.fullmatch(re.escape(graph.name or "") + r"(_\d+)", self.root)
        self.suffix = trace_number.group(1) if trace_number else ""

    def make(self, name: str | None, default: str, reader: str) -> str:
        """A name from the old one. One without a scope becomes `default` in the scope of the reader."""
        name = re.sub(r"(:\d+|__\d+)+$", "", name or "")
        parts = [part.removesuffix(self.suffix) for part in name.split("/") if part not in NOISE]
        if "/" not in name:
            parts = [*reader.split("/")[:-1], default]
        elif parts[:1] == [self.root.removesuffix(self.suffix)]:
            parts = parts[1:]
        return self.unique("/".join(parts) or default)

    def unique(self, name: str) -> str:
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
        unused = next(name for name in names if name not in self.used)
        self.used.add(unused)
        return unused


NOISE = {"Cast", "ReadVariableOp", "resource", "ConstantFolding"}
"""Parts of a name that say nothing about the model."""
