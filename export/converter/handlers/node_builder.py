"""What takes the place of one operation of TensorFlow in a graph of tf2onnx."""

from typing import Any

import numpy as np


class NotWritableError(ValueError):
    """A node that the handler of its operation cannot write."""


class Replacement:
    """The nodes that take the place of one."""

    def __init__(self, graph: Any, node: Any):
        self.graph, self.old, self.name, self.kind = graph, node, node.name, node.type
        self.inputs, self.outputs, self.attributes = list(node.input), list(node.output), dict(node.attr)
        self.sources = list(node.inputs)
        self.shapes = [graph.get_shape(x) for x in node.output]
        self.dtypes = [graph.get_dtype(x) for x in node.output]
        self.made = 0

    def const(self, value: Any, dtype: Any = None) -> str:
        self.made += 1
        return self.graph.make_const(f"{self.name}/const_{self.made}", np.array(value, dtype)).output[0]

    def like(self, value: Any, tensor: str) -> str:
        """A constant of the type of `tensor`."""
        from onnx.helper import tensor_dtype_to_np_dtype

        return self.const(value, tensor_dtype_to_np_dtype(self.graph.get_dtype(tensor)))

    def node(self, kind: str, inputs: list[str], dtype: int | None = None, **attributes: Any) -> str:
        dtype = dtype or self.graph.get_dtype(inputs[0])
        return self.graph.make_node(kind, inputs, attr=attributes, dtypes=[dtype]).output[0]

    def cast(self, tensor: str, dtype: int) -> str:
        return self.node("Cast", [tensor], dtype, to=dtype)

    def result(
        self, kind: str, inputs: list[str], domain: str = "", dtype: int | None = None, **attributes: Any
    ) -> None:
        """The last node, which takes the outputs of the old one."""
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

    def shape(self, i: int = 0) -> list[int] | None:
        """The sizes of an input, an unknown one -1."""
        return self.graph.get_shape(self.inputs[i])

    def value(self, i: int) -> np.ndarray | None:
        """The value of an input that is a constant."""
        return self.sources[i].get_tensor_value(as_list=False) if self.sources[i].is_const() else None


def tensor(value: np.ndarray) -> Any:
    """A value as the attribute of a node."""
    from onnx import numpy_helper

    return numpy_helper.from_array(value)
