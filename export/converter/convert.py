"""A traced Keras model as an ONNX graph and as an ONNX file. Runs on the TensorFlow backend."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from kerasfound.atomic import replacing
from kerasfound.errors import UserError

from ..tracing import traced_model
from ..tracing.scope_names import scope_name
from ..tracing.traced_model import DynamicShapes, Signature, TracedModel
from ..tracing.unsupported import (
    KEEPS_STATE,
    WITHOUT_STATE,
    UnsupportedLayer,
    UnsupportedModelError,
    all_layers,
    describe_layer,
    layer_of_node,
    raise_conversion_errors,
)
from . import recurrent_operators, scan
from .handlers import handler_table
from .rewrite import pipeline
from .tf2onnx_graph import ASSIGN, convert_graph, freeze, large_variables

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""The newest version of ONNX's operators that tf2onnx writes; newer ones are converted from it."""
LOOPS = ("While", "StatelessWhile")
"""Operations that every scan becomes."""
MAX_BYTES = 2**31 - 1
"""The largest protocol buffer."""


def trace_for_onnx(
    model: keras.Model, dynamic_shapes: DynamicShapes | None = None, traced: TracedModel | None = None
) -> TracedModel:
    """Trace a model for `convert`: recurrent layers and scans become what ONNX has operators for or tf2onnx reads.

    Args:
        model: built, on the TensorFlow backend.
        dynamic_shapes: names for the dynamic dimensions of an input, as for `traced_model.signature`.
        traced: from `trace_model` with these dynamic shapes. A model without loops is not traced again.

    Raises:
        UserError: naming the layer that cannot be traced.
    """
    if traced and not _has_loops(traced):
        return traced
    with recurrent_operators.recurrent_layers_as_operators(), scan.scan_with_loop_variables():
        return traced_model.trace_model(model, dynamic_shapes)


def _has_loops(traced: TracedModel) -> bool:
    return any(isinstance(layer, keras.layers.RNN) for layer in all_layers(traced.model)) or any(
        node.op in LOOPS for node in traced_model.all_nodes(traced.concrete_function)
    )


def save_onnx(traced: TracedModel, path: str | Path, opset: int = OPSET) -> None:
    """Write an ONNX file with the names of the signature. A reader of `path` sees the old file or the new one.

    Args:
        traced: from `trace_for_onnx`.
        path: the file to write.
        opset: the version of ONNX's operators, from 18 to the newest that the installed onnx knows.

    Raises:
        UserError: naming the layers that cannot be exported, or if the file cannot be written.
    """
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if not OPSET <= opset <= newest:
        raise UserError(f"`opset` {opset}: onnx {onnx.__version__} writes {OPSET} to {newest}; choose one of these.")
    proto, path = convert(traced, opset), Path(path)
    try:
        with replacing(path) as part:
            onnx.save(proto, part)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); choose another place.") from error


def convert(traced: TracedModel, opset: int = OPSET) -> "onnx.ModelProto":
    """The traced model as an ONNX graph in memory, not yet checked.

    Raises:
        UserError: naming every layer that cannot be exported.
    """
    from onnx import version_converter

    model = traced.model
    if unsupported := [*_float8_layers(model), *_layers_with_changing_state(traced)]:
        raise UnsupportedModelError(unsupported, "ONNX")
    proto = _declare_shapes(_run_tf2onnx(traced), traced.signature)
    _fix_output_padding(proto)
    if (size := proto.ByteSize()) > MAX_BYTES:
        reason = f"{size:,} bytes, where a file holds {MAX_BYTES:,}"
        raise UnsupportedModelError([UnsupportedLayer(describe_layer(model), reason, "export a SavedModel")], "ONNX")
    with raise_conversion_errors(model):
        proto = pipeline.rewrite(proto if opset == OPSET else version_converter.convert_version(proto, opset))
    if unsupported := [*_unknown_operators(proto.graph, model)]:
        raise UnsupportedModelError(unsupported, "ONNX")
    return proto


def _run_tf2onnx(traced: TracedModel) -> "onnx.ModelProto":
    import tf2onnx

    model, function = traced.model, traced.concrete_function
    captured = {inner.name for _, inner in function.graph.captures}
    inputs = [tensor.name for tensor in function.inputs if tensor.name not in captured]
    outputs = {tensor.name: name for name, tensor in function.structured_outputs.items()}
    names = dict(zip(inputs, (x.name for x in traced.signature.inputs), strict=True)) | outputs
    with raise_conversion_errors(model), tf.device("/cpu:0"):
        graph, tables = freeze(model, function, inputs, list(outputs))
        _freeze_captured_tensors(graph, function)
        if _allow_inlining(graph):
            with tf.Graph().as_default():
                tf.import_graph_def(graph, name="")
                graph = tf2onnx.tf_loader.tf_optimize(inputs, list(outputs), graph)
        proto = convert_graph(
            graph,
            large_variables(function),
            model.name,
            opset=OPSET,
            custom_op_handlers=handler_table.tf2onnx_handlers(tables) | recurrent_operators.HANDLERS,
            input_names=inputs,
            output_names=list(outputs),
            tensors_to_rename=names,
            initialized_tables=tables,
        )
    proto.graph.name = scope_name(model.name)  # the rewriter takes the model's scope out of the node names
    return proto


def _allow_inlining(graph: Any) -> bool:
    """Let TensorFlow inline the functions that Keras compiles with XLA, such as a grouped convolution.

    ONNX has no calls, and TensorFlow does not inline a function that must be compiled.

    Returns:
        Whether there were any.
    """
    bodies = graph.library.function
    calls = [node for nodes in (graph.node, *(body.node_def for body in bodies)) for node in nodes]
    compiled = [call for call in (*calls, *bodies) if "_XlaMustCompile" in call.attr]
    for call in compiled:
        del call.attr["_XlaMustCompile"]
        call.attr.pop("_noinline", None)
    return bool(compiled)


def _freeze_captured_tensors(graph: Any, function: Any) -> None:
    """Replace the tensors that layers hold by constants, such as the statistics of `Normalization`."""
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


def _declare_shapes(proto: "onnx.ModelProto", signature: Signature) -> "onnx.ModelProto":
    """Give the inputs and outputs the shapes of the signature, with the names of their dynamic dimensions."""
    tensors = {tensor.name: tensor for tensor in [*signature.inputs, *signature.outputs]}
    for value in [*proto.graph.input, *proto.graph.output]:
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        shape.SetInParent()  # a scalar has the shape (), which differs from an unknown shape
        for size in tensors[value.name].shape:
            shape.dim.add(**{"dim_param" if isinstance(size, str) else "dim_value": size})
    del proto.graph.value_info[:]  # older than tf2onnx's last transposes; the strict checker rejects them
    return proto


def _fix_output_padding(proto: "onnx.ModelProto") -> None:
    """tf2onnx writes `output_padding` of a transposed convolution as a negative padding, which ONNX rejects."""
    from onnx.helper import make_attribute

    for node in proto.graph.node:
        pads: Any = next((a.ints for a in node.attribute if node.op_type == "ConvTranspose" and a.name == "pads"), [])
        if min(pads, default=0) < 0:
            ends = range(len(pads) // 2, len(pads))
            node.attribute.append(make_attribute("output_padding", [max(-pads[i], 0) for i in ends]))
            for i in ends:
                pads[i] = max(pads[i], 0)


def _unknown_operators(graph: "onnx.GraphProto", model: keras.Model) -> Iterator[UnsupportedLayer]:
    """The nodes that are not operators of ONNX, such as the TensorFlow operations for complex numbers."""
    import onnx

    for node in graph.node:
        if not onnx.defs.has(node.op_type, node.domain):
            yield UnsupportedLayer(layer_of_node(node.name, model), f"ONNX has no {node.op_type}")
        for attribute in node.attribute:
            yield from _unknown_operators(attribute.g, model)


def _float8_layers(model: keras.Model) -> Iterator[UnsupportedLayer]:
    for layer in all_layers(model):
        if layer.quantization_mode == "float8":
            fix = "export the model from before its quantization"
            yield UnsupportedLayer(describe_layer(layer), "it computes in float8", fix)


def _layers_with_changing_state(traced: TracedModel) -> Iterator[UnsupportedLayer]:
    """The layers that write to their variables, which ONNX cannot. Counters of random numbers may stay constant."""
    function = traced.concrete_function
    handles = {inner.name.partition(":")[0]: outer for outer, inner in function.graph.captures}
    names = {id(variable.handle): variable.name for variable in function.graph.variables}
    for node in traced_model.all_nodes(function):
        if node.op in ASSIGN and "seed_generator_state" not in names.get(id(handles.get(node.input[0])), ""):
            yield UnsupportedLayer(layer_of_node(node.name, traced.model), KEEPS_STATE, WITHOUT_STATE)
