"""A Keras model as one graph: to a SavedModel, to an ONNX file. Runs on the TensorFlow backend."""

import contextlib
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from kerasfound.errors import UserError
from kerasfound.export import operations, structure, tracing
from kerasfound.export.manifest import Tensor
from kerasfound.export.tracing import BATCH as BATCH
from kerasfound.export.tracing import TIME as TIME
from kerasfound.export.tracing import Signature as Signature
from kerasfound.export.tracing import Sizes, Traced
from kerasfound.export.tracing import answer as answer
from kerasfound.export.tracing import signature as signature

if TYPE_CHECKING:
    import onnx as onnx_format

OPSET = 18
"""The newest version of ONNX's operators that tf2onnx writes; newer ones are made from it."""
LARGEST = 2**31 - 1
"""Bytes of a protocol buffer."""
MEND = "do that step outside the model, or export a SavedModel"
UNSUPPORTED = re.compile(r"Tensorflow op \[(?P<node>.+): (?P<reason>\w+)\] is not supported")
FAILED = re.compile(r"Failed to convert node '(?P<node>[^']+)'")
ASSIGN = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


class NoFormError(UserError):
    """A model that a format cannot hold; `reasons` has one layer and reason each."""

    def __init__(self, file_format: str, reasons: list[tuple[str, str]], mend: str = MEND):
        self.reasons = list(dict.fromkeys(reasons))
        what = "; ".join(f"{layer}: {reason}" for layer, reason in self.reasons)
        super().__init__(f"no {file_format} form for {what}. To mend it, {mend}.")


def saved_model(model: keras.Model, folder: str | Path, sizes: Sizes | None = None) -> None:
    """Write a TensorFlow SavedModel whose one signature, `serving_default`, has the model's own names.

    Args:
        model: built, on the TensorFlow backend.
        folder: made by this call; it must not exist, or be empty.
        sizes: names for the free sizes of an input, as for `signature`.

    Raises:
        UserError: if the model cannot be traced, naming the layer, or the folder cannot be written.
    """
    folder = Path(folder)
    tracing.check(model, "SavedModel")
    inputs = tracing.specs(tracing.traced(model, sizes).signature.inputs)
    with _beside(folder) as made:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serving_default", answer(model), input_signature=inputs)
        archive.write_out(str(made), verbose=False)


def onnx(model: keras.Model, path: str | Path, opset: int = OPSET, sizes: Sizes | None = None) -> None:
    """Write an ONNX file with the model's own input and output names and named free sizes.

    Args:
        model: built, on the TensorFlow backend.
        path: the file to write; it appears whole or not at all.
        opset: the version of ONNX's operators, from 18 to what the installed ONNX Runtime reads.
        sizes: names for the free sizes of an input, as for `signature`.

    Raises:
        UserError: naming the layers that have no ONNX form, or if the file cannot be written.
    """
    import onnx as onnx_format

    if not OPSET <= opset <= onnx_format.defs.onnx_opset_version():
        newest = onnx_format.defs.onnx_opset_version()
        raise UserError(
            f"opset {opset}: onnx {onnx_format.__version__} can write {OPSET} to {newest}; choose one of these."
        )
    proto = convert(model, opset, sizes)
    with _beside(Path(path)) as made:
        onnx_format.save(proto, made)
        if fault := structure.fault(made):
            raise NoFormError("ONNX", [(_layer_named_in(fault, model), fault)])


def convert(model: keras.Model, opset: int = OPSET, sizes: Sizes | None = None) -> "onnx_format.ModelProto":
    """The model as an ONNX graph in memory, not yet checked.

    Raises:
        NoFormError: with every layer that has no ONNX form.
    """
    from onnx import version_converter

    tracing.check(model, "ONNX")
    found = tracing.traced(model, sizes)
    if changing := _changing(model, found.function):
        raise NoFormError("ONNX", changing, "make the layer keep nothing between two calls")
    proto = _named(_converted(model, found), found.signature)
    if proto.ByteSize() > LARGEST:
        raise NoFormError(
            "ONNX", [(tracing.described(model), f"{proto.ByteSize():,} bytes, more than a file of 2 GiB holds")]
        )
    return proto if opset == OPSET else version_converter.convert_version(proto, opset)


def _converted(model: keras.Model, found: Traced) -> "onnx_format.ModelProto":
    import tf2onnx

    function = found.function
    captured = {inner.name for _, inner in function.graph.captures}
    inputs = [tensor.name for tensor in function.inputs if tensor.name not in captured]
    outputs = {tensor.name: name for name, tensor in function.structured_outputs.items()}
    names = dict(zip(inputs, (x.name for x in found.signature.inputs), strict=True)) | outputs
    with _refusals(model), tf.device("/cpu:0"):
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
            custom_op_handlers=operations.handlers(tables),
            input_names=inputs,
            output_names=list(outputs),
            tensors_to_rename=names,
            initialized_tables=tables,
        )
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


def _named(proto: "onnx_format.ModelProto", found: Signature) -> "onnx_format.ModelProto":
    """Give the inputs and outputs the signature's shapes, with the names of their free sizes."""
    declared = {tensor.name: tensor for tensor in [*found.inputs, *found.outputs]}
    for value in [*proto.graph.input, *proto.graph.output]:
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in declared[value.name].shape:
            shape.dim.add(**{"dim_param" if isinstance(size, str) else "dim_value": size})
    del proto.graph.value_info[:]  # left over from before tf2onnx moved the transposes; the strict checker rejects them
    return proto


def _changing(model: keras.Model, function: Any) -> list[tuple[str, str]]:
    """The layers that write variables of their own, which ONNX cannot. Counters of random numbers may stay behind."""
    handles = {inner.name.partition(":")[0]: outer for outer, inner in function.graph.captures}
    names = {id(v.handle): v.name for v in function.graph.variables}
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for body in graph.library.function for node in body.node_def)]
    found = []
    for node in nodes:
        if node.op in ASSIGN and "seed_generator_state" not in names.get(id(handles.get(node.input[0])), ""):
            found.append((_layer_of(node.name, model), "it changes its own state when it answers"))
    return found


@contextlib.contextmanager
def _refusals(model: keras.Model) -> Iterator[None]:
    """tf2onnx logs what it cannot convert, raises for some of it and goes on with the rest; refuse for all of it."""
    log = logging.getLogger("tf2onnx")
    reasons: list[tuple[str, str]] = []

    def note(record: logging.LogRecord) -> None:
        text = record.getMessage()
        if found := UNSUPPORTED.match(text):
            reasons.append((_layer_of(found["node"], model), f"ONNX has no {found['reason']}"))
        elif (found := FAILED.match(text)) and record.exc_info:
            reasons.append((_layer_of(found["node"], model), str(record.exc_info[1]).splitlines()[0]))

    handler = logging.Handler(logging.ERROR)
    handler.emit = note  # type: ignore[method-assign]
    log.addHandler(handler)
    level, propagate, disabled = log.level, log.propagate, logging.root.manager.disable
    log.setLevel(logging.ERROR)
    log.propagate = False
    logging.disable(logging.NOTSET)  # or somebody else's `logging.disable` would hide what went wrong
    try:
        yield
    except Exception as error:  # tf2onnx raises whatever its code runs into
        text = str(error).strip().splitlines() or [type(error).__name__]
        raise NoFormError("ONNX", reasons or [(_layer_named_in(str(error), model), text[0])]) from error
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
        logging.disable(disabled)
    if reasons:
        raise NoFormError("ONNX", reasons)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A place in the folder of `path`, renamed to `path` at the end; after an error it is gone."""
    if path.exists() and (path.is_dir() and any(path.iterdir())):
        raise UserError(f"{path}: exists already and is not empty; name a new place.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".export-", dir=path.parent))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name another place.") from error
    try:
        yield staging / path.name
        (staging / path.name).replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); name another place.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _layer_of(node: str, model: keras.Model) -> str:
    """The layer that a node of a graph comes from: its name is the path of the layers.

    Keras opens the scope of a layer at least twice, and TensorFlow numbers every time but the first.
    """
    named = {layer.name: layer for layer in tracing.layers(model)}
    for part in reversed(re.split(r"[/;]", node)):
        if layer := named.get(re.sub(r"_\d+$", "", part)) or named.get(part):
            return tracing.described(layer)
    return tracing.described(model)


def _layer_named_in(text: str, model: keras.Model) -> str:
    """The layer of the first node that a message quotes."""
    node = re.search(rf"{re.escape(model.name)}\S*/[^\s'\")]+", text)
    return _layer_of(node[0] if node else "", model)


def output_names(model: keras.Model) -> list[str]:
    """The names of the outputs."""
    return [tensor.name for tensor in signature(model).outputs]


def specs(model: keras.Model) -> list[tf.TensorSpec]:
    """The model's inputs, named as in the signature."""
    return tracing.specs(signature(model).inputs)


__all__ = ["Signature", "Tensor", "answer", "convert", "onnx", "saved_model", "signature"]
