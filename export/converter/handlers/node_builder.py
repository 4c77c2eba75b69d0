"""Builds the ONNX nodes that replace one TensorFlow node in a tf2onnx graph."""

from typing import Any

import numpy as np


class UnsupportedOperationError(ValueError):
    """A node that the handler of its operation cannot convert."""


class NodeBuilder:
    """The node to replace, and methods that add nodes; `add_result` adds the last one.

    Tensors are names.
    """

    def __init__(self, graph: Any, node: Any):
        self.graph, self.old_node, self.name, self.kind = graph, node, node.name, node.type
        self.inputs, self.outputs, self.attributes = list(node.input), list(node.output), dict(node.attr)
        self.input_nodes = list(node.inputs)
        self.shapes = [graph.get_shape(x) for x in node.output]
        self.dtypes = [graph.get_dtype(x) for x in node.output]
        self.num_constants = 0

    def constant(self, value: Any, dtype: Any = None) -> str:
        self.num_constants += 1
        return self.graph.make_const(f"{self.name}/const_{self.num_constants}", np.array(value, dtype)).output[0]

    def constant_like(self, value: Any, tensor: str) -> str:
        """A constant of the dtype of `tensor`."""
        from onnx.helper import tensor_dtype_to_np_dtype

        return self.constant(value, tensor_dtype_to_np_dtype(self.graph.get_dtype(tensor)))

    def add(self, kind: str, inputs: list[str], dtype: int | None = None, **attributes: Any) -> str:
        """Add a node and return its first output, by default of the dtype of the first input."""
        dtype = dtype or self.graph.get_dtype(inputs[0])
        return self.graph.make_node(kind, inputs, attr=attributes, dtypes=[dtype]).output[0]

    def cast(self, tensor: str, dtype: int) -> str:
        return self.add("Cast", [tensor], dtype, to=dtype)

    def add_result(
        self, kind: str, inputs: list[str], domain: str = "", dtype: int | None = None, **attributes: Any
    ) -> None:
        """Add the last node, which takes over the outputs of the old node."""
        self.graph.remove_node(self.name)
        self.graph.make_node(
            kind,
            inputs,
            attr=attributes,
            name=self.name,
            outputs=self.outputs,
            shapes=self.shapes,
            dtypes=[dtype or self.dtypes[0]],
            domain=domain,
        )

    def input_shape(self, i: int = 0) -> list[int] | None:
        """The shape of an input, -1 for each unknown size."""
        return self.graph.get_shape(self.inputs[i])

    def constant_input(self, i: int) -> np.ndarray | None:
        """The value of an input if it is a constant."""
        node = self.input_nodes[i]
        return node.get_tensor_value(as_list=False) if node.is_const() else None


def tensor(value: np.ndarray) -> Any:
    """An array as the attribute of a node."""
    from onnx import numpy_helper

    return numpy_helper.from_array(value)
