"""Resizing of images: `Resize` where it equals TensorFlow's, otherwise matrix products with TensorFlow's weights."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from .node_builder import NodeBuilder, UnsupportedOperationError

STEPS = 1024
"""TensorFlow reads bicubic weights from a table with this number of positions between two pixels."""


def bilinear(builder: NodeBuilder) -> None:
    """`Resize` with sizes: tf2onnx writes scales, and rounding turns them into other sizes."""
    from onnx import TensorProto

    if not builder.attributes["half_pixel_centers"].i:
        raise UnsupportedOperationError("only the half-pixel centers of TensorFlow 2 can be exported")
    channels_first = builder.add("Transpose", [_in_float32(builder)], perm=[0, 3, 1, 2])
    unchanged = builder.add("Shape", [channels_first], TensorProto.INT64, end=2)
    sizes = builder.add("Concat", [unchanged, builder.cast(builder.inputs[1], TensorProto.INT64)], axis=0)
    attributes: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    unused = builder.constant([], "float32")
    resized = builder.add("Resize", [channels_first, unused, unused, sizes], **attributes)
    builder.add_result("Transpose", [resized], perm=[0, 2, 3, 1])


def nearest(builder: NodeBuilder) -> None:
    """Two `Gather`s, of rows and of columns."""
    from onnx import TensorProto

    if not builder.attributes["half_pixel_centers"].i:
        raise UnsupportedOperationError("only the half-pixel centers of TensorFlow 2 can be exported")
    x = builder.inputs[0]
    sizes = (
        builder.add("Shape", [x], TensorProto.INT64, start=1, end=3),
        builder.cast(builder.inputs[1], TensorProto.INT64),
    )
    for axis in (1, 2):
        place = builder.constant([axis - 1], "int64")
        old_size, new_size = (builder.add("Gather", [size, place], axis=0) for size in sizes)
        scale = builder.add(
            "Div", [builder.cast(old_size, TensorProto.FLOAT), builder.cast(new_size, TensorProto.FLOAT)]
        )
        zero, one = builder.constant(0, "int64"), builder.constant(1, "int64")
        pixels = builder.add("Range", [zero, builder.add("Squeeze", [new_size]), one], TensorProto.INT64)
        centers = builder.add("Add", [builder.cast(pixels, TensorProto.FLOAT), builder.constant(0.5, "float32")])
        nearest = builder.cast(builder.add("Floor", [builder.add("Mul", [centers, scale])]), TensorProto.INT64)
        last = builder.add("Sub", [old_size, one])
        x = builder.add("Gather", [x, builder.add("Min", [nearest, last])], axis=axis)
    builder.add_result("Identity", [x])


def with_weights(builder: NodeBuilder) -> None:
    """Two matrix products, of rows and of columns. For a dynamic size the graph computes the weights."""
    channels_first = builder.add("Transpose", [_in_float32(builder)], perm=[0, 3, 1, 2])
    rows, columns = _weights(builder, 0), builder.add("Transpose", [_weights(builder, 1)], perm=[1, 0])
    resized = builder.add("MatMul", [builder.add("MatMul", [rows, channels_first]), columns])
    builder.add_result("Transpose", [resized], perm=[0, 2, 3, 1])


def _in_float32(builder: NodeBuilder) -> str:
    from onnx import TensorProto

    x = builder.inputs[0]
    return x if builder.graph.get_dtype(x) == TensorProto.FLOAT else builder.cast(x, TensorProto.FLOAT)


def _weights(builder: NodeBuilder, axis: int) -> str:
    """The weight of each pixel along an axis for each pixel of the output, `(new_size, old_size)`."""
    if builder.kind == "ScaleAndTranslate":
        translation = builder.constant_input(3)
        if translation is None or translation.any() or not _reads_shape(builder.input_nodes[2], builder.inputs[0]):
            raise UnsupportedOperationError("only resizing of a whole image can be exported")
    size, shape = builder.constant_input(1), builder.input_shape()
    if size is None or shape is None or shape[axis + 1] == -1:
        return _computed_weights(builder, axis)
    return builder.constant(_resized_identity(builder, shape[axis + 1], size[axis]))


def _resized_identity(builder: NodeBuilder, old_size: int, new_size: int) -> np.ndarray:
    """The weights as TensorFlow computes them: resizing is linear, so they are the resized identity matrix."""
    arguments: dict[str, Any] = {}
    if builder.kind == "ResizeBicubic":
        arguments["half_pixel_centers"] = bool(builder.attributes["half_pixel_centers"].i)
    if builder.kind == "ScaleAndTranslate":
        arguments |= {"scale": [new_size / old_size, 1.0], "translation": [0.0, 0.0]}
        arguments |= {"kernel_type": builder.attributes["kernel_type"].s.decode()}
        arguments |= {"antialias": bool(builder.attributes["antialias"].i)}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        resize = getattr(tf.raw_ops, builder.kind)
        identity = tf.eye(old_size)[None, :, :, None]
        return session.run(resize(images=identity, size=[new_size, old_size], **arguments))[0, :, :, 0]


def _reads_shape(node: Any, image: str) -> bool:
    """Whether a node depends on constants and the shape of `image` only, as the scale between two sizes does."""
    if node.type == "Shape":
        return node.input[0] == image
    return node.is_const() or (bool(node.inputs) and all(_reads_shape(source, image) for source in node.inputs))


def _computed_weights(builder: NodeBuilder, axis: int) -> str:
    """The weights as nodes, for sizes that are known when the graph runs."""
    from onnx import TensorProto

    def size(sizes: str, place: int) -> str:
        return builder.add("Gather", [builder.cast(sizes, TensorProto.INT64), builder.constant(place, "int64")], axis=0)

    def count_up_to(size: str) -> str:
        numbers = builder.add(
            "Range", [builder.constant(0, "int64"), size, builder.constant(1, "int64")], TensorProto.INT64
        )
        return builder.cast(numbers, TensorProto.FLOAT)

    old_size = size(builder.add("Shape", builder.inputs[:1], TensorProto.INT64), axis + 1)
    new_size = size(builder.inputs[1], axis)
    if builder.kind == "ScaleAndTranslate":  # the rounding of TensorFlow's own scale matters for positions far from 0
        scale = builder.add(
            "Reciprocal", [builder.add("Gather", [builder.inputs[2], builder.constant(axis, "int64")], axis=0)]
        )
    else:
        scale = builder.add(
            "Div", [builder.cast(old_size, TensorProto.FLOAT), builder.cast(new_size, TensorProto.FLOAT)]
        )
    new_pixels = builder.add("Unsqueeze", [count_up_to(new_size), builder.constant([1], "int64")])
    return WEIGHTS[builder.kind](builder, count_up_to(old_size), new_pixels, scale)


def _area(builder: NodeBuilder, old_pixels: str, new_pixels: str, scale: str) -> str:
    """The overlap of each pixel of the output with each pixel of the input."""
    starts = builder.add("Max", [builder.add("Mul", [new_pixels, scale]), old_pixels])
    ends = builder.add("Mul", [_with_number(builder, "Add", new_pixels, 1), scale])
    ends = builder.add("Min", [ends, _with_number(builder, "Add", old_pixels, 1)])
    return _normalize(builder, _with_number(builder, "Max", builder.add("Sub", [ends, starts]), 0))


def _bicubic(builder: NodeBuilder, old_pixels: str, new_pixels: str, scale: str) -> str:
    if not builder.attributes["half_pixel_centers"].i:
        raise UnsupportedOperationError("only the half-pixel centers of TensorFlow 2 can be exported")
    centers = _with_number(
        builder, "Sub", builder.add("Mul", [_with_number(builder, "Add", new_pixels, 0.5), scale]), 0.5
    )
    whole = builder.add("Floor", [centers])
    steps = builder.add("Round", [_with_number(builder, "Mul", builder.add("Sub", [centers, whole]), STEPS)])
    centers = builder.add("Add", [whole, _with_number(builder, "Div", steps, STEPS)])
    return _normalize(builder, _cubic(builder, builder.add("Abs", [builder.add("Sub", [old_pixels, centers])])))


def _kernel(builder: NodeBuilder, old_pixels: str, new_pixels: str, scale: str) -> str:
    """Weights by the distance of the centers. With antialiasing the kernel is as wide as a pixel of the output."""
    name = builder.attributes["kernel_type"].s.decode()
    if name not in KERNELS:
        raise UnsupportedOperationError(
            f"resizing with the kernel {name} needs a known height and width; give keras.Input them"
        )
    centers = builder.add("Mul", [_with_number(builder, "Add", new_pixels, 0.5), scale])
    distances = builder.add("Abs", [builder.add("Sub", [_with_number(builder, "Add", old_pixels, 0.5), centers])])
    if builder.attributes["antialias"].i:
        distances = builder.add("Div", [distances, _with_number(builder, "Max", scale, 1)])
    return _normalize(builder, KERNELS[name](builder, distances))


def _normalize(builder: NodeBuilder, weights: str) -> str:
    """Divide the weights by their sum."""
    return builder.add(
        "Div", [weights, builder.add("ReduceSum", [weights, builder.constant([1], "int64")], keepdims=1)]
    )


def _triangle(builder: NodeBuilder, x: str) -> str:
    return _with_number(builder, "Max", builder.add("Sub", [builder.constant(1, "float32"), x]), 0)


def _cubic(builder: NodeBuilder, x: str) -> str:
    """The kernel of Keys: 1 at 0, and 0 at the other integers and above 2."""
    from onnx import TensorProto

    x = _with_number(builder, "Min", x, 2)
    near, far = _polynomial(builder, x, 1.5, -2.5, 0, 1), _polynomial(builder, x, -0.5, 2.5, -4, 2)
    return builder.add("Where", [_with_number(builder, "Less", x, 1, TensorProto.BOOL), near, far], TensorProto.FLOAT)


def _polynomial(builder: NodeBuilder, x: str, first: float, *others: float) -> str:
    y = builder.constant(first, "float32")
    for coefficient in others:
        y = _with_number(builder, "Add", builder.add("Mul", [y, x]), coefficient)
    return y


def _lanczos(radius: int, builder: NodeBuilder, x: str) -> str:
    """sinc(x) sinc(x / radius), which is 1 at 0, and 0 at the radius and above."""
    x = _with_number(builder, "Mul", _with_number(builder, "Max", _with_number(builder, "Min", x, radius), 1e-3), np.pi)
    waves = builder.add("Mul", [builder.add("Sin", [x]), builder.add("Sin", [_with_number(builder, "Div", x, radius)])])
    return builder.add("Div", [_with_number(builder, "Mul", waves, radius), builder.add("Mul", [x, x])])


def _with_number(builder: NodeBuilder, kind: str, x: str, value: float, dtype: int | None = None) -> str:
    """Add an operation of a tensor and a number."""
    return builder.add(kind, [x, builder.constant(value, "float32")], dtype)


WEIGHTS: dict[str, Callable] = {"ResizeArea": _area, "ResizeBicubic": _bicubic, "ScaleAndTranslate": _kernel}
"""TensorFlow operation to its weights, from the positions of both sets of pixels and the scale."""
KERNELS: dict[str, Callable] = {
    "keyscubic": _cubic,
    "lanczos3": functools.partial(_lanczos, 3),
    "lanczos5": functools.partial(_lanczos, 5),
    "triangle": _triangle,
}
"""Kernel name to the weight as a function of the distance."""
HANDLERS: dict[str, Callable] = {
    "ResizeArea": with_weights,
    "ResizeBicubic": with_weights,
    "ResizeBilinear": bilinear,
    "ResizeNearestNeighbor": nearest,
    "ScaleAndTranslate": with_weights,
}
"""TensorFlow operation to its handler."""
