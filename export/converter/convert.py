"""A Keras model as one graph: to a SavedModel, to an ONNX file. Runs on the TensorFlow backend."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from kerasfound.atomic import replacing
from kerasfound.errors import UserError

from ..tracing import traced_model
from ..tracing.traced_model import DynamicShapes, Signature, TracedModel
from ..tracing.unsupported import NoFormError, Obstacle, described, layer_of, layers, refused
from . import recurrent_operators, scan
from .handlers import elementwise
from .rewrite import pipeline

if TYPE_CHECKING:
    import onnx as onnx_format

OPSET = 18
"""The newest version of ONNX's operators that tf2onnx writes; newer ones are made from it."""
LARGEST = 2**31 - 1
"""Bytes of a protocol buffer."""
ASSIGN = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


def save_onnx(traced: TracedModel, path: str | Path, opset: int = OPSET) -> None:
    """Write an ONNX file with the names of the signature.

    Args:
        traced: from `trace_for_onnx`.
        path: the file to write; it appears whole or not at all.
        opset: the version of ONNX's operators, from 18 to what the installed ONNX Runtime reads.

    Raises:
        UserError: naming the layers that have no ONNX form, or if the file cannot be written.
    """
    import onnx as onnx_format

    newest = onnx_format.defs.onnx_opset_version()
    if not OPSET <= opset <= newest:
        raise UserError(
            f"opset {opset}: onnx {onnx_format.__version__} writes {OPSET} to {newest}; choose one of these."
        )
    proto, path = convert(traced, opset), Path(path)
    try:
        with replacing(path) as part:
            onnx_format.save(proto, part)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); choose another place.") from error


def convert(traced: TracedModel, opset: int = OPSET) -> "onnx_format.ModelProto":
    """The model as an ONNX graph in memory, not yet checked.

    Raises:
        UserError: naming every layer that has no ONNX form.
    """
    from onnx import version_converter

    model = traced.model
    if found := [*_in_float8(model), *_changing(model, traced.concrete_function)]:
        raise NoFormError("ONNX", found)
    proto = _named(_converted(model, traced), traced.signature)
    _pad_outputs(proto)
    if (size := proto.ByteSize()) > LARGEST:
        reason = f"{size:,} bytes, where a file holds {LARGEST:,}"
        raise NoFormError("ONNX", [Obstacle(described(model), reason, "export a SavedModel")])
    with refused(model):
        return pipeline.fuse(proto if opset == OPSET else version_converter.convert_version(proto, opset))


def trace_for_onnx(model: keras.Model, sizes: DynamicShapes | None = None) -> TracedModel:
    """The graph from which an ONNX file is written, with loops that ONNX has operators for, or tf2onnx can read.

    Raises:
        UserError: naming the layer that cannot be traced.
    """
    with recurrent_operators.as_operators(), scan.readable():
        return traced_model.trace_model(model, sizes)


def _converted(model: keras.Model, traced: TracedModel) -> "onnx_format.ModelProto":
    import tf2onnx

    function = traced.concrete_function
    captured = {inner.name for _, inner in function.graph.captures}
    inputs = [tensor.name for tensor in function.inputs if tensor.name not in captured]
    outputs = {tensor.name: name for name, tensor in function.structured_outputs.items()}
    names = dict(zip(inputs, (x.name for x in traced.signature.inputs), strict=True)) | outputs
    with refused(model), tf.device("/cpu:0"):
        graph, tables = tf2onnx.tf_loader.from_trackable(model, function, inputs, list(outputs), False)
        _freeze_captured(graph, function)
        if _may_inline(graph):
            with tf.Graph().as_default():
                tf.import_graph_def(graph, name="")
                graph = tf2onnx.tf_loader.tf_optimize(inputs, list(outputs), graph)
        proto, _ = tf2onnx.convert._convert_common(  # the public call goes on after an error and writes a broken file
            graph,
            name=model.name,
            continue_on_error=False,
            opset=OPSET,
            custom_op_handlers=elementwise.handlers(tables) | recurrent_operators.HANDLERS,
            input_names=inputs,
            output_names=list(outputs),
            tensors_to_rename=names,
            initialized_tables=tables,
        )
    proto.graph.name = model.name  # fusion names the nodes after it
    return proto


def _may_inline(graph: Any) -> bool:
    """Whether there were functions compiled by Keras, such as a grouped convolution; they are now as any other.

    ONNX has no calls, and TensorFlow inlines no function that it must compile.
    """
    bodies = graph.library.function
    calls = [node for nodes in (graph.node, *(body.node_def for body in bodies)) for node in nodes]
    compiled = [call for call in (*calls, *bodies) if "_XlaMustCompile" in call.attr]
    for call in compiled:
        del call.attr["_XlaMustCompile"]
        call.attr.pop("_noinline", None)
    return bool(compiled)


def _freeze_captured(graph: Any, function: Any) -> None:
    """Make constants of the tensors that layers hold, such as the statistics of `Normalization`."""
    values = {
        inner.name.partition(":")[0]: outer.numpy()
        for outer, inner in function.graph.captures
        if inner.dtype not in (tf.resource, tf.variant)
    }
    for node in graph.node:
        if node.op == "Placeholder" and node.name in values:
            value = tf.make_tensor_proto(values[node.name])
            constant = tf.compat.v1.NodeDef(name=node.name, op="Const")
            constant.attr["dtype"].type = value.dtype
            constant.attr["value"].tensor.CopyFrom(value)
            node.CopyFrom(constant)


def _named(proto: "onnx_format.ModelProto", signature: Signature) -> "onnx_format.ModelProto":
    """Give the inputs and outputs the signature's shapes, with the names of their free sizes."""
    declared = {tensor.name: tensor for tensor in [*signature.inputs, *signature.outputs]}
    for value in [*proto.graph.input, *proto.graph.output]:
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        shape.SetInParent()  # a number alone has no sizes, which is not the same as sizes that nobody knows
        for size in declared[value.name].shape:
            shape.dim.add(**{"dim_param" if isinstance(size, str) else "dim_value": size})
    del proto.graph.value_info[:]  # left over from before tf2onnx moved the transposes; the strict checker rejects them
    return proto


def _pad_outputs(proto: "onnx_format.ModelProto") -> None:
    """tf2onnx takes the `output_padding` of a transposed convolution for a negative padding, which ONNX rejects."""
    from onnx.helper import make_attribute

    for node in proto.graph.node:
        pads: Any = next((a.ints for a in node.attribute if node.op_type == "ConvTranspose" and a.name == "pads"), [])
        if min(pads, default=0) < 0:
            ends = range(len(pads) // 2, len(pads))
            node.attribute.append(make_attribute("output_padding", [max(-pads[i], 0) for i in ends]))
            for i in ends:
                pads[i] = max(pads[i], 0)


def _in_float8(model: keras.Model) -> Iterator[Obstacle]:
    for layer in layers(model):
        if layer.quantization_mode == "float8":
            yield Obstacle(described(layer), "it computes in float8", "export the model that was quantized")


def _changing(model: keras.Model, function: Any) -> Iterator[Obstacle]:
    """The layers that write variables of their own, which ONNX cannot. Counters of random numbers may stay behind."""
    handles = {inner.name.partition(":")[0]: outer for outer, inner in function.graph.captures}
    names = {id(variable.handle): variable.name for variable in function.graph.variables}
    for node in traced_model.nodes(function):
        if node.op in ASSIGN and "seed_generator_state" not in names.get(id(handles.get(node.input[0])), ""):
            reason, mend = (
                "it changes its own state when it answers",
                "build the layer without a state (stateful=False)",
            )
            yield Obstacle(layer_of(node.name, model), reason, mend)
