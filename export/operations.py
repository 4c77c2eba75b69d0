"""ONNX for the TensorFlow operations that tf2onnx lacks or gets wrong. The first line of a docstring says how.

Each is a handler as tf2onnx's `custom_op_handlers` take them: it replaces one node of a tf2onnx graph.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

Tables = dict[bytes, tuple[np.ndarray, np.ndarray]]
"""Shared name of a lookup table to its keys and values."""

BITS = np.iinfo(np.int32).min
"""The sign bit of a float32."""


def handlers(tables: Tables) -> dict[str, tuple[Callable, list]]:
    """What tf2onnx takes as `custom_op_handlers`."""
    complex_numbers: set[str] = set()  # tensors that hold the real parts and then the imaginary ones in their last axis
    state = {"LookupTableFindV2": tables, **dict.fromkeys(("RFFT", "Real", "Imag", "ComplexAbs"), complex_numbers)}
    return {name: (functools.partial(_replace, handler, state.get(name)), []) for name, handler in HANDLERS.items()}


def summary(operation: str) -> str:
    """How an operation of `HANDLERS` is written."""
    return (HANDLERS[operation].__doc__ or "").splitlines()[0]


def written_here(node: Any) -> bool:
    """Whether a node of TensorFlow is written by one of `HANDLERS`; comparisons of numbers are tf2onnx's."""
    return node.op in HANDLERS and (node.op not in ("Equal", "NotEqual") or node.attr["T"].type == tf.string)


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

    def like(self, value: float, tensor: str) -> str:
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


def _replace(handler: Callable, state: Any, graph: Any, node: Any, name: str, _: list) -> None:
    handler(Replacement(graph, node), *([] if state is None else [state]))


def erf(new: Replacement) -> None:
    """`Erf` itself: tf2onnx writes a polynomial."""
    new.result("Erf", new.inputs)


def erfc(new: Replacement) -> None:
    """1 - `Erf`."""
    new.result("Sub", [new.like(1, new.inputs[0]), new.node("Erf", new.inputs)])


def expm1(new: Replacement) -> None:
    """`Exp` - 1."""
    new.result("Sub", [new.node("Exp", new.inputs), new.like(1, new.inputs[0])])


def log1p(new: Replacement) -> None:
    """`Log` of 1 + x."""
    new.result("Log", [new.node("Add", [new.inputs[0], new.like(1, new.inputs[0])])])


def bucketize(new: Replacement) -> None:
    """The number of boundaries that are not above x, which for NaN is all of them, as in TensorFlow."""
    from onnx import TensorProto

    x = new.inputs[0]
    kind = TensorProto.DOUBLE if new.graph.get_dtype(x) == TensorProto.DOUBLE else TensorProto.FLOAT
    boundaries = np.array(list(new.attributes["boundaries"].floats), "float32")
    boundaries = boundaries.astype("float64" if kind == TensorProto.DOUBLE else "float32")
    last = new.const([-1], "int64")
    below = new.node(
        "Less", [new.node("Unsqueeze", [new.cast(x, kind), last]), new.const(boundaries)], TensorProto.BOOL
    )
    passed = new.cast(new.node("Not", [below]), TensorProto.INT32)
    new.result("ReduceSum", [passed, last], keepdims=0)


def bincount(new: Replacement) -> None:
    """`OneHot`, summed, or its largest where it only says which numbers there are. tf2onnx takes single vectors."""
    from onnx import TensorProto

    weights = new.shape(2)
    if weights is None or (weights != [0] and len(weights) != len(new.shape() or [])):
        raise NotWritableError("whether the counts have weights is not known")
    ids, size = (new.cast(x, TensorProto.INT64) for x in new.inputs[:2])
    counts = new.node("OneHot", [ids, size, new.const([0, 1], "float32")], TensorProto.FLOAT)
    if weights != [0]:
        column = new.node("Unsqueeze", [new.cast(new.inputs[2], TensorProto.FLOAT), new.const([-1], "int64")])
        counts = new.node("Mul", [counts, column])
    reduce = "ReduceMax" if new.attributes["binary_output"].i else "ReduceSum"
    new.result("Cast", [new.node(reduce, [counts, new.const([-2], "int64")], keepdims=0)], to=new.dtypes[0])


def convolution_3d(new: Replacement) -> None:
    """`Conv`, with the groups that tf2onnx leaves out in three dimensions."""
    from tf2onnx.onnx_opset.nn import ConvOp

    shape, kernel = new.shape(), new.shape(1)
    channels = 1 if new.attributes["data_format"].s == b"NCDHW" else -1
    if not shape or not kernel or -1 in (shape[channels], kernel[-2]):
        raise NotWritableError("the number of channels is not known")
    ConvOp.version_13(new.graph, new.old)
    new.old.set_attr("group", shape[channels] // kernel[-2])


def equal(new: Replacement) -> None:
    """Of words a `LabelEncoder` that knows one: `Equal` takes numbers, and tf2onnx makes numbers of words."""
    from onnx import TensorProto
    from tf2onnx.onnx_opset.logical import Equal

    if new.graph.get_dtype(new.inputs[0]) != TensorProto.STRING:
        Equal.version_11(new.graph, new.old)
        return
    known = {i: word for i in (0, 1) if (word := new.value(i)) is not None and word.size == 1}
    if not known:
        raise NotWritableError("words can be compared with a constant word only")
    place, word = next(iter(known.items()))
    found, other = (0, 1) if new.kind == "NotEqual" else (1, 0)
    how = {"keys_strings": _listed(word.ravel()), "values_int64s": [found], "default_int64": other}
    asked = new.inputs[1 - place]
    encoded = new.graph.make_node("LabelEncoder", [asked], attr=how, domain="ai.onnx.ml", dtypes=[TensorProto.INT64])
    new.result("Cast", [encoded.output[0]], to=TensorProto.BOOL)


def lookup(new: Replacement, tables: Tables) -> None:
    """`LabelEncoder`, with the table in it."""
    from onnx import TensorProto

    kinds = {TensorProto.STRING: "string", TensorProto.INT64: "int64", TensorProto.FLOAT: "float"}
    table = new.sources[0]
    while table.type == "Identity":
        table = table.inputs[0]
    shared = table.get_attr_value("shared_name")
    if shared not in tables:
        raise NotWritableError("its lookup table was not found")
    keys, values = tables[shared]
    default = new.value(2)
    if default is None:
        raise NotWritableError("the number of an unknown entry is not a constant")
    asked, found = kinds.get(new.graph.get_dtype(new.inputs[1])), kinds.get(new.dtypes[0])
    if asked is None or found is None:
        raise NotWritableError("a LabelEncoder holds strings, int64 and float32 only")
    attributes: dict[str, Any] = {f"keys_{asked}s": _listed(keys), f"values_{found}s": _listed(values)}
    attributes[f"default_{found}"] = _listed(default.ravel())[0]
    new.result("LabelEncoder", [new.inputs[1]], domain="ai.onnx.ml", **attributes)


def _listed(values: Iterable) -> list:
    return [x.encode() if isinstance(x, str) else x for x in np.asarray(values).tolist()]


def update_slice(new: Replacement) -> None:
    """`ScatterND` at the places of the update, moved as far as they must to fit, as XLA does."""
    from onnx import TensorProto

    x, update, start = new.inputs
    size, part = (new.node("Shape", [t], TensorProto.INT64) for t in (x, update))
    start = new.node("Max", [new.cast(start, TensorProto.INT64), new.const(0, "int64")])
    start = new.node("Min", [start, new.node("Sub", [size, part])])
    one = new.graph.make_node("ConstantOfShape", [part], attr={"value": _tensor(np.ones(1, "int64"))}).output[0]
    places = new.node("Transpose", [new.node("NonZero", [one], TensorProto.INT64)], perm=[1, 0])
    places = new.node("Add", [places, start])
    new.result("ScatterND", [x, places, new.node("Reshape", [update, new.const([-1], "int64")])])


def _tensor(value: np.ndarray) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(value)


def sign_bit(new: Replacement) -> None:
    """The sign alone, from comparisons: ONNX cannot read a number's bits."""
    from onnx import TensorProto

    (x,) = new.inputs
    users = new.graph.find_output_consumers(new.outputs[0])
    masks = [source for user in users for source in user.inputs if source.is_const()]
    reads_sign = all(user.type == "BitwiseAnd" for user in users) and len(masks) == len(users)
    if new.dtypes[0] != TensorProto.INT32 or not reads_sign or any(m.get_tensor_value() != BITS for m in masks):
        raise NotWritableError("ONNX cannot read a number's bits")
    zero = new.like(0, x)
    one_over = new.node("Div", [new.like(1, x), x])  # -inf for -0.0, which is not below 0
    negative = new.node("Less", [new.node("Min", [x, one_over]), zero], TensorProto.BOOL)
    new.result("Where", [negative, new.const(BITS, "int32"), new.const(0, "int32")])


def real_fft(new: Replacement, complex_numbers: set[str]) -> None:
    """A matrix product with cosines and sines."""
    from onnx import TensorProto

    length = new.value(1)
    if length is None or (new.shape() or [-1])[-1] != int(length.ravel()[0]):
        raise NotWritableError("the length of the Fourier transform is not known")
    n = int(length.ravel()[0])
    angles = 2 * np.pi * np.outer(np.arange(n), np.arange(n // 2 + 1)) / n
    waves = np.concatenate([np.cos(angles), -np.sin(angles)], axis=-1).astype("float32")
    complex_numbers.add(new.outputs[0])
    new.shapes = [[*new.shape()[:-1], waves.shape[1]]]  # type: ignore[index]
    new.result("MatMul", [new.inputs[0], new.const(waves)], dtype=TensorProto.FLOAT)
    new.graph.set_dtype(new.outputs[0], TensorProto.FLOAT)


def real_part(new: Replacement, complex_numbers: set[str]) -> None:
    """The first half of the last axis of a `RFFT`."""
    new.result("Identity", [_halves(new, complex_numbers)[0]])


def imaginary_part(new: Replacement, complex_numbers: set[str]) -> None:
    """The second half of the last axis of a `RFFT`."""
    new.result("Identity", [_halves(new, complex_numbers)[1]])


def magnitude(new: Replacement, complex_numbers: set[str]) -> None:
    """The root of the squares of both halves of a `RFFT`."""
    real, imaginary = _halves(new, complex_numbers)
    new.result("Sqrt", [new.node("Add", [new.node("Mul", [part, part]) for part in (real, imaginary)])])


def _halves(new: Replacement, complex_numbers: set[str]) -> list[str]:
    source = new.sources[0]
    while source.type == "Identity" and source.output[0] not in complex_numbers:
        source = source.inputs[0]
    if source.output[0] not in complex_numbers:
        raise NotWritableError("ONNX has no complex numbers")
    return list(
        new.graph.make_node("Split", [source.output[0]], attr={"axis": -1, "num_outputs": 2}, output_count=2).output
    )


def random_normal(new: Replacement) -> None:
    """`RandomNormalLike`, so other numbers than TensorFlow's from the same distribution."""
    new.result("RandomNormalLike", [_of_shape(new)])


def random_uniform(new: Replacement) -> None:
    """`RandomUniformLike`, so other numbers than TensorFlow's from the same distribution."""
    new.result("RandomUniformLike", [_of_shape(new)])


def _of_shape(new: Replacement) -> str:
    from onnx import TensorProto

    zero = {"value": _tensor(np.zeros(1, "float32"))}
    shape = new.cast(new.inputs[0], TensorProto.INT64)
    return new.graph.make_node("ConstantOfShape", [shape], attr=zero, dtypes=[TensorProto.FLOAT]).output[0]


def resize_bilinear(new: Replacement) -> None:
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


def resize_nearest(new: Replacement) -> None:
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


def resize_linear(new: Replacement) -> None:
    """Two matrix products, of rows and of columns, with what TensorFlow makes of a single pixel."""
    (height, width), shape = _known_sizes(new)
    rows, columns = _resized_identity(new, 0, shape[1], height), _resized_identity(new, 1, shape[2], width)
    channels_first = new.node("Transpose", [_in_float32(new)], perm=[0, 3, 1, 2])
    resized = new.node("MatMul", [new.node("MatMul", [new.const(rows), channels_first]), new.const(columns.T)])
    new.result("Transpose", [resized], perm=[0, 2, 3, 1])


def _in_float32(new: Replacement) -> str:
    from onnx import TensorProto

    x = new.inputs[0]
    return x if new.graph.get_dtype(x) == TensorProto.FLOAT else new.cast(x, TensorProto.FLOAT)


def _known_sizes(new: Replacement) -> tuple[list[int], list[int]]:
    size, shape = new.value(1), new.shape()
    if size is None or shape is None or -1 in shape[1:3]:
        raise NotWritableError("this way of resizing needs a known height and width; give them to keras.Input")
    return size.tolist(), shape


def _resized_identity(new: Replacement, axis: int, pixels: int, wanted: int) -> np.ndarray:
    """What each of `pixels` alone becomes: resizing is linear."""
    arguments: dict[str, Any] = {}
    if new.kind == "ResizeBicubic":
        arguments["half_pixel_centers"] = bool(new.attributes["half_pixel_centers"].i)
    if new.kind == "ScaleAndTranslate":
        translation = new.value(3)
        if translation is None or translation.any() or not _reads_shape(new.sources[2], new.inputs[0]):
            raise NotWritableError("only resizing a whole image has an ONNX form")
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


HANDLERS: dict[str, Callable] = {
    "Bitcast": sign_bit,
    "Bucketize": bucketize,
    "ComplexAbs": magnitude,
    "Conv3D": convolution_3d,
    "DenseBincount": bincount,
    "Equal": equal,
    "Erf": erf,
    "Erfc": erfc,
    "Expm1": expm1,
    "Imag": imaginary_part,
    "Log1p": log1p,
    "LookupTableFindV2": lookup,
    "NotEqual": equal,
    "RFFT": real_fft,
    "Real": real_part,
    "ResizeArea": resize_linear,
    "ResizeBicubic": resize_linear,
    "ResizeBilinear": resize_bilinear,
    "ResizeNearestNeighbor": resize_nearest,
    "ScaleAndTranslate": resize_linear,
    "StatelessRandomNormalV2": random_normal,
    "StatelessRandomUniformV2": random_uniform,
    "XlaDynamicUpdateSlice": update_slice,
}
"""TensorFlow operation to what writes it."""
