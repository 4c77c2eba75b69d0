"""What an export will do to each layer of a model, before the export."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kerasfound.errors import UserError
from kerasfound.wording import counted

from .converter import convert, recurrent_operators, scan
from .converter.handlers import handler_table
from .options import ExportOptions
from .raw_inputs import vectorized_texts
from .raw_inputs.vectorized_texts import SplitModel
from .tracing import traced_model
from .tracing.dynamic_shapes import SCOPES
from .tracing.traced_model import DynamicShapes, TracedModel
from .tracing.unsupported import UnsupportedModelError, all_layers, describe_layer, layer_of_node
from .verification import verify

BOTH = "both"
FORMATS = ("SavedModel", "ONNX")
IDLE = ("Cast", "Const", "Identity")
"""The operations of a layer that returns its input."""


@dataclass(frozen=True)
class LayerChange:
    """What an export does to one layer, in one format or in both."""

    layer: str
    format: str
    action: str
    """`"rewritten"`, `"left out"` or `"unsupported"`."""
    reason: str
    fix: str = ""
    """How to fix an unsupported layer."""


@dataclass(frozen=True)
class Explanation:
    """What an export will do to a model."""

    model: str
    changes: list[LayerChange]

    @property
    def supported_formats(self) -> list[str]:
        """The formats that the model can be exported to."""
        unsupported = {change.format for change in self.changes if change.action == "unsupported"}
        return [name for name in FORMATS if not unsupported & {name, BOTH}]

    def __str__(self) -> str:
        formats = self.supported_formats
        if formats:
            title = f"{self.model} can be exported to {' and '.join(formats)}"
        else:
            title = f"{self.model} cannot be exported"
        if not self.changes:
            return f"{title}; every layer stays as it is."
        rows = [(x.layer, x.format, x.action, x.reason) for x in self.changes]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]) for row in rows]
        fixes = dict.fromkeys(change.fix for change in self.changes if change.fix)
        return "\n".join([f"{title}:", *lines, *(f"Fix: {fix}." for fix in fixes)])


def explain(model: keras.Model, dynamic_shapes: DynamicShapes | None = None, opset: int = convert.OPSET) -> Explanation:
    """Say what an export will do to each layer: rewrite it, leave it out, or fail, and then how to fix it.

    This runs the steps of an export up to the verified ONNX file, so it takes long and refuses what an export refuses.

    Args:
        model: built, on the TensorFlow backend.
        dynamic_shapes: names for the dynamic dimensions of an input, as for `kerasfound.export.onnx`.
        opset: as for `kerasfound.export.onnx`.

    Returns:
        The changed layers; `print` shows them as a table.

    Raises:
        UserError: if the model is not built or not a Keras model.

    Example:
        >>> words = keras.Input((1,), dtype="string")
        >>> model = keras.Model(words, keras.layers.Hashing(8, name="hash")(words), name="hashed")
        >>> print(explain(model))  # doctest: +ELLIPSIS
        hashed can be exported to SavedModel:
        layer "hash" (Hashing)  ONNX  unsupported  ONNX has no StringToHashBucketFast
        Fix: give the layer's words or numbers as the vocabulary of a StringLookup or IntegerLookup, ...
    """
    traced_model.check_model(model)
    traced_model.input_tensors(model, dynamic_shapes)
    changes = [*_changed_precisions(model), *_layers_without_cudnn(model)]
    try:
        vectorized_texts.check_vectorizers(model)
        traced = traced_model.trace_model(model, dynamic_shapes)
        expected = verify.expected_outputs(model, traced.signature, ExportOptions(dynamic_shapes, opset))
    except UserError as error:
        return Explanation(model.name, [*changes, *_refusals(model, error, BOTH)])
    try:
        if vectorized_texts.has_vectorizer(model):
            split = vectorized_texts.split(model, traced.signature)
            changes += _left_out_vectorizers(split)
            traced = convert.trace_for_onnx(split.rest)
            expected = split.onnx_outputs(split.with_texts(expected), traced.signature)
        else:
            traced = convert.trace_for_onnx(model, dynamic_shapes)
        changes += [*_left_out_layers(traced), *_rewritten_layers(traced)]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / verify.ONNX
            convert.save_onnx(traced, file, opset)
            verify.verify_file("onnx", file, traced.model, expected)
    except UserError as error:
        changes += _refusals(model, error, "ONNX")
    return Explanation(model.name, changes)


def _left_out_vectorizers(split: SplitModel) -> list[LayerChange]:
    layers = dict.fromkeys(describe_layer(text.layer) for text in split.texts)
    return [LayerChange(layer, "ONNX", "left out", vectorized_texts.REASON) for layer in layers]


def _refusals(model: keras.Model, error: UserError, file_format: str) -> list[LayerChange]:
    """The layers that an error of the export names, or the model."""
    if isinstance(error, UnsupportedModelError):
        layers = error.unsupported_layers
        return [LayerChange(x.layer, file_format, "unsupported", x.reason, x.fix) for x in layers]
    return [LayerChange(describe_layer(model), file_format, "unsupported", str(error))]


def _changed_precisions(model: keras.Model) -> list[LayerChange]:
    """The layers that compute in another precision than float32: one line for each precision."""
    counts = Counter(
        layer.compute_dtype for layer in all_layers(model) if traced_model.has_unsupported_precision(layer)
    )
    return [
        LayerChange(
            describe_layer(model), BOTH, "rewritten", f"computed in float32, not in {dtype}: {counted(count, 'layer')}"
        )
        for dtype, count in counts.items()
    ]


def _layers_without_cudnn(model: keras.Model) -> list[LayerChange]:
    reason = "without the cuDNN kernel, which needs an Nvidia GPU"
    return [
        LayerChange(describe_layer(layer), BOTH, "rewritten", reason)
        for layer in all_layers(model)
        if getattr(layer, "use_cudnn", False)
    ]


def _nodes_of_outputs(function: Any) -> list[Any]:
    """The nodes that the outputs depend on, and those of the functions that the graph calls."""
    names, operations = set(), [y.op for y in function.structured_outputs.values()]
    while operations:
        operation = operations.pop()
        if operation.name not in names:
            names.add(operation.name)
            operations += [x.op for x in operation.inputs]
    graph = function.graph.as_graph_def()
    called = [node for body in graph.library.function for node in body.node_def]
    return [*(node for node in graph.node if node.name in names), *called]


def _left_out_layers(traced: TracedModel) -> list[LayerChange]:
    """The augmentations without nodes in the graph. Some, such as a resize, also work in inference."""
    model, nodes = traced.model, _nodes_of_outputs(traced.concrete_function)
    working = {layer_of_node(node.name, model) for node in nodes if node.op not in IDLE}
    return [
        LayerChange(describe_layer(layer), BOTH, "left out", "changes its input in training only")
        for layer in all_layers(model)
        if hasattr(layer, "get_random_transformation") and describe_layer(layer) not in working
    ]


def _rewritten_layers(traced: TracedModel) -> list[LayerChange]:
    """The layers whose scopes or operations in the graph are not Keras's own."""
    model = traced.model
    changes: dict[tuple[str, str, str], None] = {}
    for node in _nodes_of_outputs(traced.concrete_function):
        layer = layer_of_node(node.name, model)
        for scope, reason in SCOPES.items():
            if f"/{scope}" in node.name:
                changes[layer_of_node(node.name.partition(f"/{scope}")[0], model), BOTH, reason] = None
        if f"/{scan.SCOPE}" in node.name:
            changes[layer, "ONNX", scan.REASON] = None
        if node.op in recurrent_operators.HANDLERS:
            changes[layer, "ONNX", recurrent_operators.REASON] = None
        elif handler_table.has_handler(node):
            changes[layer, "ONNX", f"{node.op}: {handler_table.describe_handler(node.op)}"] = None
    return [LayerChange(layer, file_format, "rewritten", reason) for layer, file_format, reason in changes]
