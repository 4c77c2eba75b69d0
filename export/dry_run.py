"""What an export will do to a model, told before it is done."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kerasfound.errors import UserError

from .converter import convert, recurrent_operators, scan
from .converter.handlers import elementwise
from .tracing import dynamic_shapes, traced_model
from .tracing.traced_model import DynamicShapes
from .tracing.unsupported import NoFormError, Obstacle, described, layer_in_message, layer_of, layers
from .verification.subprocess_session import find_fault

BOTH = "both"
FORMATS = ("SavedModel", "ONNX")
IDLE = ("Cast", "Const", "Identity")
"""Operations of a layer that does nothing."""


@dataclass(frozen=True)
class Finding:
    """What happens to one layer in one format or in both."""

    layer: str
    format: str
    fate: str
    """`"rewritten"`, `"left out"` or `"refused"`."""
    reason: str
    mend: str = ""
    """What to do about a refusal."""


@dataclass(frozen=True)
class Explanation:
    """What an export will do to a model."""

    model: str
    findings: list[Finding]

    @property
    def possible(self) -> list[str]:
        """The formats that hold the model."""
        refused = {finding.format for finding in self.findings if finding.fate == "refused"}
        return [name for name in FORMATS if not refused & {name, BOTH}]

    def __str__(self) -> str:
        head = f"{self.model} goes to {' and '.join(self.possible) or 'neither format'}"
        if not self.findings:
            return f"{head}, every layer as it is."
        rows = [(x.layer, x.format, x.fate, x.reason) for x in self.findings]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]) for row in rows]
        mends = dict.fromkeys(finding.mend for finding in self.findings if finding.mend)
        return "\n".join([f"{head}:", *lines, *(f"To mend it: {mend}." for mend in mends)])


def explain(model: keras.Model, sizes: DynamicShapes | None = None, opset: int = convert.OPSET) -> Explanation:
    """Tell what an export will do to each layer: rewrite it, leave it out, or refuse it, and what to do then.

    The model is exported to a temporary folder to find out, which takes as long as an export.

    Args:
        model: built, on the TensorFlow backend.
        sizes: names for the free sizes of an input, as for `kerasfound.export.onnx`.
        opset: as for `kerasfound.export.onnx`.

    Returns:
        The findings, which print as a table.

    Raises:
        UserError: if the model is not built or not a Keras model.

    Example:
        >>> words = keras.Input((1,), dtype="string")
        >>> model = keras.Model(words, keras.layers.Hashing(8, name="hash")(words), name="hashed")
        >>> print(explain(model))  # doctest: +ELLIPSIS
        hashed goes to SavedModel:
        layer "hash" (Hashing)  ONNX  refused  ONNX has no StringToHashBucketFast
        To mend it: give the layer's words or numbers as the vocabulary of a StringLookup or IntegerLookup, ...
    """
    traced_model.check_model(model)
    traced_model.input_tensors(model, sizes)
    findings = [*_precision(model), *_without_cudnn(model)]
    try:
        traced = convert.trace_for_onnx(model, sizes)
    except NoFormError as error:
        return Explanation(model.name, [*findings, *_refusals(error, _untraceable(model, sizes))])
    findings += [*_left_out(model, traced), *_written_otherwise(model, traced)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            convert.save_onnx(traced, file, opset)
            if fault := find_fault("onnx", file):
                raise NoFormError("ONNX", [Obstacle(layer_in_message(fault, model), fault)])
    except NoFormError as error:
        findings += _refusals(error, "ONNX")
    except UserError as error:
        findings.append(Finding(described(model), "ONNX", "refused", str(error)))
    return Explanation(model.name, findings)


def _untraceable(model: keras.Model, sizes: DynamicShapes | None) -> str:
    """Whether a model that cannot be traced for ONNX cannot be for a SavedModel either, which has Keras's own loops."""
    try:
        traced_model.trace_model(model, sizes)
    except NoFormError:
        return BOTH
    return "ONNX"


def _refusals(error: NoFormError, file_format: str) -> list[Finding]:
    return [Finding(x.layer, file_format, "refused", x.reason, x.mend) for x in error.obstacles]


def _precision(model: keras.Model) -> list[Finding]:
    """The layers that compute in another precision: one finding for all of one kind."""
    found = Counter(layer.compute_dtype for layer in layers(model) if traced_model.in_other_precision(layer))
    return [
        Finding(described(model), BOTH, "rewritten", f"{count} layers compute in float32, not in {dtype}")
        for dtype, count in found.items()
    ]


def _without_cudnn(model: keras.Model) -> list[Finding]:
    reason = "without cuDNN's kernel, which only a GPU of Nvidia's has"
    return [
        Finding(described(layer), BOTH, "rewritten", reason)
        for layer in layers(model)
        if getattr(layer, "use_cudnn", False)
    ]


def _read(function: Any) -> list[Any]:
    """The nodes from which the outputs are computed, and those of the functions that a graph calls."""
    found, left = set(), [y.op for y in function.structured_outputs.values()]
    while left:
        operation = left.pop()
        if operation.name not in found:
            found.add(operation.name)
            left += [x.op for x in operation.inputs]
    graph = function.graph.as_graph_def()
    called = [node for body in graph.library.function for node in body.node_def]
    return [*(node for node in graph.node if node.name in found), *called]


def _left_out(model: keras.Model, traced: traced_model.TracedModel) -> list[Finding]:
    """The augmentations that leave nothing in the graph: some, such as a resize, do work when a model answers."""
    working = {layer_of(node.name, model) for node in _read(traced.concrete_function) if node.op not in IDLE}
    return [
        Finding(described(layer), BOTH, "left out", "changes its input in training only")
        for layer in layers(model)
        if hasattr(layer, "get_random_transformation") and described(layer) not in working
    ]


def _written_otherwise(model: keras.Model, traced: traced_model.TracedModel) -> list[Finding]:
    """What can be told from the graph: its scopes and its operations that are not Keras's own."""
    told: dict[tuple[str, str, str], None] = {}
    for node in _read(traced.concrete_function):
        layer = layer_of(node.name, model)
        for scope, reason in dynamic_shapes.SCOPES.items():
            if f"/{scope}" in node.name:
                told[layer_of(node.name.partition(f"/{scope}")[0], model), BOTH, reason] = None
        if f"/{scan.SCOPE}" in node.name:
            told[layer, "ONNX", scan.REASON] = None
        if node.op in recurrent_operators.HANDLERS:
            told[layer, "ONNX", recurrent_operators.REASON] = None
        elif elementwise.written_here(node):
            told[layer, "ONNX", f"{node.op}: {elementwise.summary(node.op)}"] = None
    return [Finding(layer, file_format, "rewritten", reason) for layer, file_format, reason in told]
