"""A language model one character at a time: a graph whose input and output is what it keeps of the past."""

import itertools

import keras
import numpy as np

from kerasfound.bundle.manifest import TextGeneration
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.layers import CausalTransformerBlock

from ..tracing import traced_model

NAME = "step"
TOKENS, START, LOGITS = "ids", "start", "logits"
BATCHES = (1, 2, 5)


def step(model: keras.Model, window: int) -> keras.Model:
    """The model as a function of new characters, the place of the first, and the cache of each block so far.

    Args:
        model: a stack of layers, with `CausalTransformerBlock` among them.
        window: steps that a cache holds.
    """
    from kerasfound.training.text_generation import DecodeStep

    blocks = [layer for layer in model.layers if isinstance(layer, CausalTransformerBlock)]
    width = model.get_layer("embedding").output.shape[-1]
    ids, start = keras.Input((None,), dtype="int32", name=TOKENS), keras.Input((), dtype="int32", name=START)
    past = [
        keras.Input((2, window, block.num_heads, width // block.num_heads), dtype="float32", name=f"past_{i}")
        for i, block in enumerate(blocks, start=1)
    ]
    logits, *present = DecodeStep(model)([ids, start, *past])
    outputs = {LOGITS: logits} | {f"present_{i}": cache for i, cache in enumerate(present, start=1)}
    return keras.Model([ids, start, *past], outputs, name=f"{model.name}_{NAME}")


def text_generation(stepping: keras.Model, window: int) -> TextGeneration:
    """How the file is to be used."""
    caches = {x.name.replace("past", "present"): x.name for x in stepping.inputs[2:]}
    return TextGeneration(f"{NAME}.onnx", window, TOKENS, START, LOGITS, caches)


def cases(model: keras.Model, stepping: keras.Model, window: int) -> list[RecordedCase]:
    """What the graph must answer: the model's own logits of whole texts, and the caches that belong to them."""
    rng = np.random.default_rng(0)
    characters = model.get_layer("embedding").input_dim
    found = []
    for batch, known in zip(BATCHES, (1, window // 2, window - 2), strict=True):
        ids = rng.integers(characters, size=(batch, window), dtype="int32")
        found += _text(model, stepping, ids, max(known, 1))
    return found


def _text(model: keras.Model, stepping: keras.Model, ids: np.ndarray, known: int) -> list[RecordedCase]:
    """The first `known` characters at once, then two more, one at a time."""
    whole = np.asarray(traced_model.reference_function(model)(ids)[model.output_names[0]])
    ask, caches = traced_model.reference_function(stepping), empty(stepping, len(ids))
    found = []
    for first, last in itertools.pairwise([0, *range(known, min(known + 2, ids.shape[1]) + 1)]):
        inputs = {TOKENS: ids[:, first:last], START: np.full(len(ids), first, "int32"), **caches}
        answers = {name: np.asarray(y).astype("float32") for name, y in ask(*inputs.values()).items()}
        found.append(RecordedCase("text" if first else "prompt", inputs, answers | {LOGITS: whole[:, first:last]}))
        caches = {name.replace("present", "past"): y for name, y in answers.items() if name != LOGITS}
    return found


def empty(stepping: keras.Model, batch: int) -> Tensors:
    """The caches of no text yet."""
    return {x.name: np.zeros((batch, *x.shape[1:]), "float32") for x in stepping.inputs[2:]}
