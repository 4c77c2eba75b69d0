"""What an export will do to a model, told before it is done."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import keras

from kerasfound.errors import UserError
from kerasfound.export import graphs, operations, tracing
from kerasfound.export.obstacles import NoFormError, described, layer_of, layers
from kerasfound.export.tracing import Sizes

BOTH = "both"
FORMATS = ("SavedModel", "ONNX")


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


def explain(model: keras.Model, sizes: Sizes | None = None, opset: int = graphs.OPSET) -> Explanation:
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
    tracing.check(model)
    tracing.inputs(model, sizes)
    findings = [*_precision(model), *(finding for layer in layers(model) for finding in _rewritten(layer))]
    try:
        traced = tracing.traced(model, sizes)
    except NoFormError as error:
        return Explanation(model.name, [*findings, *_refusals(error, BOTH)])
    findings += _operations(model, traced)
    try:
        with tempfile.TemporaryDirectory() as folder:
            graphs.onnx(model, Path(folder) / "model.onnx", opset, sizes)
    except NoFormError as error:
        findings += _refusals(error, "ONNX")
    except UserError as error:
        findings.append(Finding(described(model), "ONNX", "refused", str(error)))
    return Explanation(model.name, findings)


def _refusals(error: NoFormError, file_format: str) -> list[Finding]:
    return [Finding(x.layer, file_format, "refused", x.reason, x.mend) for x in error.obstacles]


def _precision(model: keras.Model) -> list[Finding]:
    """The layers that compute in another precision: one finding for all of one kind."""
    found = Counter(layer.compute_dtype for layer in layers(model) if tracing.in_other_precision(layer))
    return [
        Finding(described(model), BOTH, "rewritten", f"{count} layers compute in float32, not in {dtype}")
        for dtype, count in found.items()
    ]


def _rewritten(layer: keras.layers.Layer) -> list[Finding]:
    """What can be told from a layer alone."""
    found, name = [], described(layer)
    if getattr(layer, "use_cudnn", False):
        found.append(Finding(name, BOTH, "rewritten", "without cuDNN's kernel, which only a GPU of Nvidia's has"))
    if isinstance(layer, keras.layers.TimeDistributed):
        found.append(Finding(name, BOTH, "rewritten", "a free number of steps become rows of the batch"))
    if hasattr(layer, "get_random_transformation"):
        found.append(Finding(name, BOTH, "left out", "changes its input in training only"))
    return found


def _operations(model: keras.Model, traced: tracing.Traced) -> list[Finding]:
    """The operations that are written here, not by tf2onnx."""
    here = [node for node in tracing.nodes(traced.function) if operations.written_here(node)]
    found = [(layer_of(node.name, model), node.op) for node in here]
    return [
        Finding(layer, "ONNX", "rewritten", f"{operation}: {operations.summary(operation)}")
        for layer, operation in dict.fromkeys(found)
    ]
