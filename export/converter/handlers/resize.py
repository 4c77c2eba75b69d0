"""Resizing of images: ONNX's operator where it is TensorFlow's, else matrix products with TensorFlow's weights."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from .node_builder import NotWritableError, Replacement

STEPS = 1024
"""TensorFlow reads its bicubic weights from a table with so many places between two pixels."""


def bilinear(new: Replacement) -> None:
    """`Resize` to sizes: tf2onnx writes scales, which round to other sizes."""
    from onnx import TensorProto

    if not new.attributes["half_pixel_centers"].i:
        raise NotWritableError("only TensorFlow 2's half-pixel centers have an ONNX form")
    channels_first = new.node("Transpose", [_in_float32(new)], perm=[0, 3, 1, 2])
    kept = new.node("Shape", [channels_first], TensorProto.INT64, end=2)
    sizes = new.node("Concat", [kept, new.cast(new.inputs[1], TensorProto.INT64)], axis=0)
    how: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    unused = new.const([], "float32")
    resized = new.node("Resize", [channels_first, unused, unused, sizes], **how)
    new.result("Transpose", [resized], perm=[0, 2, 3, 1])


def nearest(new: Replacement) -> None:
    """Two `Gather`s, of rows and of columns."""
    from onnx import TensorProto

    if not new.attributes["half_pixel_centers"].i:
        raise NotWritableError("only TensorFlow 2's half-pixel centers have an ONNX form")
    x = new.inputs[0]
    sizes = new.node("Shape", [x], TensorProto.INT64, start=1, end=3), new.cast(new.inputs[1], TensorProto.INT64)
    for axis in (1, 2):
        place = new.const([axis - 1], "int64")
        given, wanted = (new.node("Gather", [size, place], axis=0) for size in sizes)
        scale = new.node("Div", [new.cast(given, TensorProto.FLOAT), new.cast(wanted, TensorProto.FLOAT)])
        zero, one = new.const(0, "int64"), new.const(1, "int64")
        pixels = new.node("Range", [zero, new.node("Squeeze", [wanted]), one], TensorProto.INT64)
        centers = new.node("Add", [new.cast(pixels, TensorProto.FLOAT), new.const(0.5, "float32")])
        nearest = new.cast(new.node("Floor", [new.node("Mul", [centers, scale])]), TensorProto.INT64)
        last = new.node("Sub", [given, one])
        x = new.node("Gather", [x, new.node("Min", [nearest, last])], axis=axis)
    new.result("Identity", [x])


def weighted(new: Replacement) -> None:
    """Two matrix products, of rows and of columns; of a free size the weights are made when the graph runs."""
    channels_first = new.node("Transpose", [_in_float32(new)], perm=[0, 3, 1, 2])
    rows, columns = _weights(new, 0), new.node("Transpose", [_weights(new, 1)], perm=[1, 0])
    resized = new.node("MatMul", [new.node("MatMul", [rows, channels_first]), columns])
    new.result("Transpose", [resized], perm=[0, 2, 3, 1])


def _in_float32(new: Replacement) -> str:
    from onnx import TensorProto

    x = new.inputs[0]
    return x if new.graph.get_dtype(x) == TensorProto.FLOAT else new.cast(x, TensorProto.FLOAT)


def _weights(new: Replacement, axis: int) -> str:
    """What each pixel along an axis gives to each one that is wanted, `(wanted, pixels)`."""
    if new.kind == "ScaleAndTranslate":
        translation = new.value(3)
        if translation is None or translation.any() or not _reads_shape(new.sources[2], new.inputs[0]):
            raise NotWritableError("only resizing a whole image has an ONNX form")
    size, shape = new.value(1), new.shape()
    if size is None or shape is None or shape[axis + 1] == -1:
        return _computed_weights(new, axis)
    return new.const(_resized_identity(new, shape[axis + 1], size[axis]))


def _resized_identity(new: Replacement, pixels: int, wanted: int) -> np.ndarray:
    """What each of `pixels` alone becomes: resizing is linear."""
    arguments: dict[str, Any] = {}
    if new.kind == "ResizeBicubic":
        arguments["half_pixel_centers"] = bool(new.attributes["half_pixel_centers"].i)
    if new.kind == "ScaleAndTranslate":
        arguments |= {"scale": [wanted / pixels, 1.0], "translation": [0.0, 0.0]}
        arguments |= {"kernel_type": new.attributes["kernel_type"].s.decode()}
        arguments |= {"antialias": bool(new.attributes["antialias"].i)}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        resize = getattr(tf.raw_ops, new.kind)
        identity = tf.eye(pixels)[None, :, :, None]
        return session.run(resize(images=identity, size=[wanted, pixels], **arguments))[0, :, :, 0]


def _reads_shape(node: Any, image: str) -> bool:
    """Whether a node is made of constants and of the shape of `image`, as the scale between two sizes is."""
    if node.type == "Shape":
        return node.input[0] == image
    return node.is_const() or (bool(node.inputs) and all(_reads_shape(source, image) for source in node.inputs))


def _computed_weights(new: Replacement, axis: int) -> str:
    """As nodes, from the sizes that are known when the graph runs."""
    from onnx import TensorProto

    def size(sizes: str, place: int) -> str:
        return new.node("Gather", [new.cast(sizes, TensorProto.INT64), new.const(place, "int64")], axis=0)

    def counted(size: str) -> str:
        numbers = new.node("Range", [new.const(0, "int64"), size, new.const(1, "int64")], TensorProto.INT64)
        return new.cast(numbers, TensorProto.FLOAT)

    pixels, wanted = size(new.node("Shape", new.inputs[:1], TensorProto.INT64), axis + 1), size(new.inputs[1], axis)
    if new.kind == "ScaleAndTranslate":  # rounded as TensorFlow rounds: a place is far from 0
        scale = new.node("Reciprocal", [new.node("Gather", [new.inputs[2], new.const(axis, "int64")], axis=0)])
    else:
        scale = new.node("Div", [new.cast(pixels, TensorProto.FLOAT), new.cast(wanted, TensorProto.FLOAT)])
    places = new.node("Unsqueeze", [counted(wanted), new.const([1], "int64")])
    return WEIGHTS[new.kind](new, counted(pixels), places, scale)


def _area(new: Replacement, pixels: str, places: str, scale: str) -> str:
    """How much of a wanted pixel lies over each pixel."""
    starts = new.node("Max", [new.node("Mul", [places, scale]), pixels])
    ends = new.node("Mul", [_with(new, "Add", places, 1), scale])
    ends = new.node("Min", [ends, _with(new, "Add", pixels, 1)])
    return _shared(new, _with(new, "Max", new.node("Sub", [ends, starts]), 0))


def _bicubic(new: Replacement, pixels: str, places: str, scale: str) -> str:
    if not new.attributes["half_pixel_centers"].i:
        raise NotWritableError("only TensorFlow 2's half-pixel centers have an ONNX form")
    centers = _with(new, "Sub", new.node("Mul", [_with(new, "Add", places, 0.5), scale]), 0.5)
    whole = new.node("Floor", [centers])
    steps = new.node("Round", [_with(new, "Mul", new.node("Sub", [centers, whole]), STEPS)])
    centers = new.node("Add", [whole, _with(new, "Div", steps, STEPS)])
    return _shared(new, _cubic(new, new.node("Abs", [new.node("Sub", [pixels, centers])])))


def _kernel(new: Replacement, pixels: str, places: str, scale: str) -> str:
    """By the distance of the centers; antialiased, the kernel grows with what a wanted pixel covers."""
    name = new.attributes["kernel_type"].s.decode()
    if name not in KERNELS:
        raise NotWritableError(f"resizing with the kernel {name} needs a known height and width; give keras.Input them")
    centers = new.node("Mul", [_with(new, "Add", places, 0.5), scale])
    distances = new.node("Abs", [new.node("Sub", [_with(new, "Add", pixels, 0.5), centers])])
    if new.attributes["antialias"].i:
        distances = new.node("Div", [distances, _with(new, "Max", scale, 1)])
    return _shared(new, KERNELS[name](new, distances))


def _shared(new: Replacement, weights: str) -> str:
    """Divided by their sum."""
    return new.node("Div", [weights, new.node("ReduceSum", [weights, new.const([1], "int64")], keepdims=1)])


def _triangle(new: Replacement, x: str) -> str:
    return _with(new, "Max", new.node("Sub", [new.const(1, "float32"), x]), 0)


def _cubic(new: Replacement, x: str) -> str:
    """Keys's: 1 at 0, 0 at all other whole numbers and from 2 on."""
    from onnx import TensorProto

    x = _with(new, "Min", x, 2)
    near, far = _polynomial(new, x, 1.5, -2.5, 0, 1), _polynomial(new, x, -0.5, 2.5, -4, 2)
    return new.node("Where", [_with(new, "Less", x, 1, TensorProto.BOOL), near, far], TensorProto.FLOAT)


def _polynomial(new: Replacement, x: str, first: float, *others: float) -> str:
    y = new.const(first, "float32")
    for coefficient in others:
        y = _with(new, "Add", new.node("Mul", [y, x]), coefficient)
    return y


def _lanczos(radius: int, new: Replacement, x: str) -> str:
    """sinc(x) sinc(x / radius), which is 0 from the radius on; so near 0 it is 1."""
    x = _with(new, "Mul", _with(new, "Max", _with(new, "Min", x, radius), 1e-3), np.pi)
    waves = new.node("Mul", [new.node("Sin", [x]), new.node("Sin", [_with(new, "Div", x, radius)])])
    return new.node("Div", [_with(new, "Mul", waves, radius), new.node("Mul", [x, x])])


def _with(new: Replacement, kind: str, x: str, value: float, dtype: int | None = None) -> str:
    """An operation with a number."""
    return new.node(kind, [x, new.const(value, "float32")], dtype)


WEIGHTS: dict[str, Callable] = {"ResizeArea": _area, "ResizeBicubic": _bicubic, "ScaleAndTranslate": _kernel}
"""Operation to its weights, from the places of the pixels and of the wanted ones, and the pixels to one wanted."""
KERNELS: dict[str, Callable] = {
    "keyscubic": _cubic,
    "lanczos3": functools.partial(_lanczos, 3),
    "lanczos5": functools.partial(_lanczos, 5),
    "triangle": _triangle,
}
"""Weight by the distance, which is not below 0."""
HANDLERS: dict[str, Callable] = {
    "ResizeArea": weighted,
    "ResizeBicubic": weighted,
    "ResizeBilinear": bilinear,
    "ResizeNearestNeighbor": nearest,
    "ScaleAndTranslate": weighted,
}
"""TensorFlow operation to what writes it."""
