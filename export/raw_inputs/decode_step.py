"""One decoding step of a language model as a graph: the caches of the attention layers are inputs and outputs."""

import itertools

import keras
import numpy as np

from kerasfound.bundle.manifest import TextGeneration
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.layers import CausalTransformerBlock

from ..tracing import traced_model

NAME = "step"
TOKENS, START, LOGITS = "ids", "start", "logits"
BATCH_SIZES = (1, 2, 5)


def decode_model(model: keras.Model, window: int) -> keras.Model:
    """Build a model from new token ids, the position of the first one, and the cache of each block.

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


def text_generation(decoder: keras.Model, window: int) -> TextGeneration:
    """Describe the inputs and outputs of the file for the manifest."""
    caches = {x.name.replace("past", "present"): x.name for x in decoder.inputs[2:]}
    return TextGeneration(f"{NAME}.onnx", window, TOKENS, START, LOGITS, caches)


def expected_cases(model: keras.Model, decoder: keras.Model, window: int) -> list[RecordedCase]:
    """Return the expected outputs of the decoder: the logits of `model` on whole texts, and the decoder's caches."""
    rng = np.random.default_rng(0)
    num_ids = model.get_layer("embedding").input_dim
    cases = []
    for batch_size, prompt in zip(BATCH_SIZES, (1, window // 2, window - 2), strict=True):
        ids = rng.integers(num_ids, size=(batch_size, window), dtype="int32")
        cases += _decode(model, decoder, ids, max(prompt, 1))
    return cases


def _decode(model: keras.Model, decoder: keras.Model, ids: np.ndarray, prompt: int) -> list[RecordedCase]:
    """Run the first `prompt` ids in one call, then two more, one in each call."""
    expected = np.asarray(traced_model.reference_function(model)(ids)[model.output_names[0]])
    step, caches = traced_model.reference_function(decoder), empty_caches(decoder, len(ids))
    cases = []
    for first, last in itertools.pairwise([0, *range(prompt, min(prompt + 2, ids.shape[1]) + 1)]):
        inputs = {TOKENS: ids[:, first:last], START: np.full(len(ids), first, "int32"), **caches}
        outputs = {name: np.asarray(y).astype("float32") for name, y in step(*inputs.values()).items()}
        cases.append(RecordedCase("text" if first else "prompt", inputs, outputs | {LOGITS: expected[:, first:last]}))
        caches = {name.replace("present", "past"): y for name, y in outputs.items() if name != LOGITS}
    return cases


def empty_caches(decoder: keras.Model, batch_size: int) -> Tensors:
    """Return the caches before the first token."""
    return {x.name: np.zeros((batch_size, *x.shape[1:]), "float32") for x in decoder.inputs[2:]}
