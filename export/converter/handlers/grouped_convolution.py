"""Convolutions with groups in three dimensions, where tf2onnx ignores the groups."""

from collections.abc import Callable

from .node_builder import NodeBuilder, UnsupportedOperationError


def convolution_3d(builder: NodeBuilder) -> None:
    """`Conv` with groups, which tf2onnx ignores in three dimensions."""
    from tf2onnx.onnx_opset.nn import ConvOp

    shape, kernel = builder.input_shape(), builder.input_shape(1)
    channels = 1 if builder.attributes["data_format"].s == b"NCDHW" else -1
    if not shape or not kernel or -1 in (shape[channels], kernel[-2]):
        raise UnsupportedOperationError("the number of channels is not known")
    ConvOp.version_13(builder.graph, builder.old_node)
    builder.old_node.set_attr("group", shape[channels] // kernel[-2])


HANDLERS: dict[str, Callable] = {
    "Conv3D": convolution_3d,
}
"""TensorFlow operation to its handler."""
