"""What keeps a model out of a format: which layer, why, and what to do about it."""

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator

import keras
import msgspec

from kerasfound.errors import UserError

ELSEWHERE = "do that step outside the model, or export a SavedModel"
TOKENIZE = "make numbers of texts outside the model, with the tokenizer as an asset beside it, or export a SavedModel"
HASH = "give the layer's words or numbers as the vocabulary of a StringLookup or IntegerLookup, or export a SavedModel"
MENDS = {
    "AsString": HASH,
    "RaggedTensorToTensor": TOKENIZE,
    "StaticRegexReplace": TOKENIZE,
    "StringLower": TOKENIZE,
    "StringSplitV2": TOKENIZE,
    "StringToHashBucketFast": HASH,
    "StringToHashBucketStrong": HASH,
    "UnicodeDecodeWithOffsets": TOKENIZE,
}
"""What to do instead of an operation that ONNX lacks."""

UNSUPPORTED = re.compile(r"Tensorflow op \[(?P<node>.+): (?P<operation>\w+)\] is not supported")
FAILED = re.compile(r"Failed to convert node '(?P<node>[^']+)'")


class Obstacle(msgspec.Struct, frozen=True):
    layer: str
    reason: str
    mend: str = ELSEWHERE


class NoFormError(UserError):
    """A model that a format cannot hold: one obstacle for each layer that stands in the way."""

    def __init__(self, file_format: str, obstacles: Iterable[Obstacle]):
        self.obstacles = list(_by_layer(obstacles))
        what = "; ".join(f"{x.layer}: {x.reason}" for x in self.obstacles)
        mends = "; ".join(dict.fromkeys(x.mend for x in self.obstacles))
        super().__init__(f"the model has no {file_format} form: {what}. To mend it: {mends}.")


def _by_layer(obstacles: Iterable[Obstacle]) -> Iterator[Obstacle]:
    """The obstacles of one layer as one."""
    grouped: dict[tuple[str, str], dict[str, None]] = {}
    for x in obstacles:
        grouped.setdefault((x.layer, x.mend), {})[x.reason] = None
    for (layer, mend), reasons in grouped.items():
        yield Obstacle(layer, ", ".join(reasons), mend)


def layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The model and every layer in it, however deep. Keras has no public way to a layer's own layers."""
    return list(dict.fromkeys(model._flatten_layers()))


def described(layer: keras.layers.Layer) -> str:
    """How a message names a layer."""
    return f'layer "{layer.name}" ({type(layer).__name__})'


def layer_of(node: str, model: keras.Model) -> str:
    """The layer that a node of a graph comes from: its name is the path of the layers.

    Keras opens the scope of a layer at least twice, and TensorFlow numbers every time but the first.
    """
    named = {layer.name: layer for layer in layers(model)}
    for part in reversed(re.split(r"[/;]", node)):
        if layer := named.get(re.sub(r"_\d+$", "", part)) or named.get(part):
            return described(layer)
    return described(model)


def layer_in_message(text: str, model: keras.Model) -> str:
    """The layer of the first node that a message quotes."""
    found = (layer_of(node, model) for node in re.findall(r"[^\s'\"()]+/[^\s'\"()]+", text))
    return next((layer for layer in found if layer != described(model)), described(model))


def raised_in(error: BaseException, model: keras.Model) -> str:
    """The innermost layer whose code was running."""
    layer, trace = model, error.__traceback__
    while trace:
        owner = trace.tb_frame.f_locals.get("self")
        layer = owner if isinstance(owner, keras.layers.Layer) else layer
        trace = trace.tb_next
    return described(layer)


def first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextlib.contextmanager
def refused(model: keras.Model) -> Iterator[None]:
    """tf2onnx logs what it cannot convert, raises for some of it and goes on with the rest; refuse for all of it.

    So is what the libraries raise that convert or rewrite a finished graph.
    """
    log = logging.getLogger("tf2onnx")
    found: list[Obstacle] = []

    def note(record: logging.LogRecord) -> None:
        text = record.getMessage()
        if match := UNSUPPORTED.match(text):
            operation = match["operation"]
            mend = MENDS.get(operation, ELSEWHERE)
            found.append(Obstacle(layer_of(match["node"], model), f"ONNX has no {operation}", mend))
        elif (match := FAILED.match(text)) and record.exc_info and record.exc_info[1]:
            found.append(Obstacle(layer_of(match["node"], model), first_line(record.exc_info[1])))

    handler = logging.Handler(logging.ERROR)
    handler.emit = note  # type: ignore[method-assign]
    log.addHandler(handler)
    level, propagate, disabled = log.level, log.propagate, logging.root.manager.disable
    log.setLevel(logging.ERROR)
    log.propagate = False
    logging.disable(logging.NOTSET)  # somebody else's `logging.disable` would hide what went wrong
    try:
        yield
    except Exception as error:  # they raise whatever their code runs into
        found = found or [Obstacle(layer_in_message(str(error), model), first_line(error))]
        raise NoFormError("ONNX", found) from error
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
        logging.disable(disabled)
    if found:
        raise NoFormError("ONNX", found)
