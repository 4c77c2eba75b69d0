"""Random numbers, drawn when the file runs."""

from collections.abc import Callable

import numpy as np

from .node_builder import NodeBuilder, tensor


def random_normal(builder: NodeBuilder) -> None:
    """`RandomNormalLike`: the distribution of TensorFlow, but other numbers."""
    builder.add_result("RandomNormalLike", [_zeros(builder)])


def random_uniform(builder: NodeBuilder) -> None:
    """`RandomUniformLike`: the distribution of TensorFlow, but other numbers."""
    builder.add_result("RandomUniformLike", [_zeros(builder)])


def _zeros(builder: NodeBuilder) -> str:
    from onnx import TensorProto

    zero = {"value": tensor(np.zeros(1, "float32"))}
    shape = builder.cast(builder.inputs[0], TensorProto.INT64)
    return builder.graph.make_node("ConstantOfShape", [shape], attr=zero, dtypes=[TensorProto.FLOAT]).output[0]


HANDLERS: dict[str, Callable] = {
    "StatelessRandomNormalV2": random_normal,
    "StatelessRandomUniformV2": random_uniform,
}
"""TensorFlow operation to its handler."""
