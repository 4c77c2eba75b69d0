"""Nodes named after the layers they come from."""

# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"
import itertools
import re

import onnx_ir as ir


def _name(graph: ir.Graph) -> None:
    """Nodes, what they give and weights get the name of their layer and of what they do."""
    names = _Names(graph)
    for node in reversed(graph):  # a node that a rule made belongs to the layer of the node that it is for
        value = node.outputs[0]
        if not value.is_graph_output():
            node.name = value.name
        elif "/" not in (node.name or ""):
            node.name = f"{value.name}/{node.op_type}"
        used = [user for output in node.outputs for user, _ in output.uses()]
        node.name = names.of(node.name, node.op_type, used[0].name if used else "")
    for node in graph:
        for i, value in enumerate(node.outputs):
            if not value.is_graph_output():
                value.name = node.name if i == 0 else f"{node.name}:{i}"
    for value in list(graph.initializers.values()):
        del graph.initializers[value.name]
        value.name = value.const_value.name = names.of(value.name, "constant", next(iter(value.uses())).node.name)
        graph.initializers[value.name] = value


class _Names:
    """`model_1/dense_1/Cast/ReadVariableOp:0` to `dense`: TensorFlow counts how often a model was traced."""

    def __init__(self, graph: ir.Graph):
        self.taken = {value.name for value in (*graph.inputs, *graph.outputs)}
        scopes = [node.name.split("/")[0] for node in graph if "/" in (node.name or "")]
        self.root = max(set(scopes), key=scopes.count, default="")
        again = re.fullmatch(re.escape(graph.name or "") + r"(_\d+)", self.root)
        self.again = again.group(1) if again else ""

    def of(self, name: str | None, otherwise: str, user: str) -> str:
        name = re.sub(r"(:\d+|__\d+)+$", "", name or "")
        parts = [part.removesuffix(self.again) for part in name.split("/") if part not in NOISE]
        if "/" not in name:
            parts = [*user.split("/")[:-1], otherwise]
        elif parts[:1] == [self.root.removesuffix(self.again)]:
            parts = parts[1:]
        return self.unique("/".join(parts) or otherwise)

    def unique(self, name: str) -> str:
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
        found = next(name for name in names if name not in self.taken)
        self.taken.add(found)
        return found


NOISE = {"Cast", "ReadVariableOp", "resource", "ConstantFolding"}
