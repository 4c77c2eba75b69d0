"""The error for a model that a file format cannot hold: which layer, why, and how to fix it."""

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator

import keras
import msgspec

from kerasfound.errors import UserError, one_line

from . import patching
from .scope_names import scope_name

DO_OUTSIDE = "do that step outside the model, or export a SavedModel"
TOKENIZE = (
    "convert text to token ids outside the model, with the tokenizer as an asset next to it, or export a SavedModel"
)
USE_VOCABULARY = (
    "give the layer's words or numbers as the vocabulary of a StringLookup or IntegerLookup, or export a SavedModel"
)
FIXES = {
    "AsString": USE_VOCABULARY,
    "RaggedTensorToTensor": TOKENIZE,
    "StaticRegexReplace": TOKENIZE,
    "StringLower": TOKENIZE,
    "StringSplitV2": TOKENIZE,
    "StringToHashBucketFast": USE_VOCABULARY,
    "StringToHashBucketStrong": USE_VOCABULARY,
    "UnicodeDecodeWithOffsets": TOKENIZE,
}
"""TensorFlow operation without an ONNX equivalent to what the user can do instead."""
KEEPS_STATE = "it keeps a state from one call to the next, so a request would change the outputs of later ones"
WITHOUT_STATE = "build the layer with stateful=False, or make the state an input and an output of the model"

UNKNOWN_OPERATION = re.compile(r"Tensorflow op \[(?P<node>.+): (?P<operation>\w+)\] is not supported")
FAILED_NODE = re.compile(r"Failed to convert node '(?P<node>[^']+)'")
"""The messages that tf2onnx logs."""


class UnsupportedLayer(msgspec.Struct, frozen=True):
    layer: str
    """From `describe_layer`."""
    reason: str
    fix: str = DO_OUTSIDE


class UnsupportedModelError(UserError):
    """A model that cannot be exported.

    Args:
        unsupported_layers: at least one.
        file_format: the format that the model cannot be exported to, `None` for both formats.
    """

    def __init__(self, unsupported_layers: Iterable[UnsupportedLayer], file_format: str | None = None):
        self.unsupported_layers = list(_merge_by_layer(unsupported_layers))
        target = f" to {file_format}" if file_format else ""
        reasons = "; ".join(f"{x.layer}: {x.reason}" for x in self.unsupported_layers)
        fixes = "; ".join(dict.fromkeys(x.fix for x in self.unsupported_layers))
        super().__init__(f"the model cannot be exported{target}: {reasons}. Fix: {fixes}.")


def _merge_by_layer(unsupported_layers: Iterable[UnsupportedLayer]) -> Iterator[UnsupportedLayer]:
    """Join the reasons of the same layer."""
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for x in unsupported_layers:
        reasons.setdefault((x.layer, x.fix), {})[x.reason] = None
    for (layer, fix), of_layer in reasons.items():
        yield UnsupportedLayer(layer, ", ".join(of_layer), fix)


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The model and every layer in it, at any depth. Keras has no public way to list the layers of a layer."""
    return list(dict.fromkeys(model._flatten_layers()))


def describe_layer(layer: keras.layers.Layer) -> str:
    """The name and class of a layer, for messages."""
    return f'layer "{layer.name}" ({type(layer).__name__})'


def stateful_layers(model: keras.Model) -> Iterator[UnsupportedLayer]:
    """The recurrent layers that start a call with the state of the last one."""
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            yield UnsupportedLayer(describe_layer(layer), KEEPS_STATE, WITHOUT_STATE)


def layer_of_node(node: str, model: keras.Model) -> str:
    """The description of the layer that a graph's node belongs to: the node's name is the path of the layers.

    Keras opens the scope of a layer at least twice, and TensorFlow appends a number from the second time on.
    """
    layers = {scope_name(layer.name): layer for layer in all_layers(model)}
    for part in reversed(re.split(r"[/;]", node)):
        if layer := layers.get(re.sub(r"_\d+$", "", part)) or layers.get(part):
            return describe_layer(layer)
    return describe_layer(model)


def layer_in_message(message: str, model: keras.Model) -> str:
    """The description of the layer of the first node that a message quotes, or of the model."""
    layers = (layer_of_node(node, model) for node in re.findall(r"[^\s'\"()]+/[^\s'\"()]+", message))
    return next((layer for layer in layers if layer != describe_layer(model)), describe_layer(model))


def layer_of_error(error: BaseException, model: keras.Model) -> str:
    """The description of the innermost layer whose code raised the error, or of the model."""
    layer, trace = model, error.__traceback__
    while trace:
        owner = trace.tb_frame.f_locals.get("self")
        layer = owner if isinstance(owner, keras.layers.Layer) else layer
        trace = trace.tb_next
    return describe_layer(layer)


def first_line(error: BaseException) -> str:
    return one_line(next(iter(str(error).strip().splitlines()), type(error).__name__))


@contextlib.contextmanager
def raise_conversion_errors(model: keras.Model) -> Iterator[None]:
    """Raise `UnsupportedModelError` for whatever goes wrong in the block.

    tf2onnx logs the operations that it cannot convert, raises for some of them and continues with the rest.
    The libraries that rewrite a converted graph raise errors of many kinds.
    """
    errors: list[UnsupportedLayer] = []
    thread = threading.get_ident()

    def record_error(record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.thread != thread:
            return
        if match := UNKNOWN_OPERATION.match(text):
            operation = match["operation"]
            fix = FIXES.get(operation, DO_OUTSIDE)
            errors.append(UnsupportedLayer(layer_of_node(match["node"], model), f"ONNX has no {operation}", fix))
        elif (match := FAILED_NODE.match(text)) and record.exc_info and record.exc_info[1]:
            errors.append(UnsupportedLayer(layer_of_node(match["node"], model), first_line(record.exc_info[1])))

    with patching.lock:
        try:
            with _receive_log("tf2onnx", record_error):
                yield
        except Exception as error:  # tf2onnx and the rewriter raise errors of any class
            errors = errors or [UnsupportedLayer(layer_in_message(str(error), model), first_line(error))]
            raise UnsupportedModelError(errors, "ONNX") from error
    if errors:
        raise UnsupportedModelError(errors, "ONNX")


@contextlib.contextmanager
def _receive_log(name: str, receive: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Pass the errors that a library logs to `receive`, and to no other handler."""
    log = logging.getLogger(name)
    handler = logging.Handler(logging.ERROR)
    handler.emit = receive  # type: ignore[method-assign, assignment]
    log.addHandler(handler)
    level, propagate, disabled = log.level, log.propagate, logging.root.manager.disable
    log.setLevel(logging.ERROR)
    log.propagate = False
    logging.disable(logging.NOTSET)  # `logging.disable` in the user's code would hide the errors
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
        logging.disable(disabled)
