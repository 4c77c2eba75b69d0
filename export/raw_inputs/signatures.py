"""The extra signatures of text models: raw texts in the SavedModel, and one decoding step in an ONNX file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kerasfound.bundle.manifest import NamedSignature, Tensor, TextGeneration
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.training.run import Run

from ..converter import convert
from ..saved_model_writer import SavedModelSignature
from ..tracing.traced_model import TracedModel, reference_function
from ..verification.verify import ExpectedOutputs

if TYPE_CHECKING:
    import keras

BATCH_SIZES = (1, 2, 5, 32)


class ExtraSignature(NamedTuple):
    """An extra signature with its expected outputs. It is written from `saved_model`, or as a file from `traced`."""

    signature: NamedSignature
    expected: ExpectedOutputs
    saved_model: SavedModelSignature | None = None
    traced: TracedModel | None = None
    text_generation: TextGeneration | None = None


def saved_model_signatures(extras: list[ExtraSignature]) -> dict[str, SavedModelSignature]:
    """Return those that belong to the SavedModel, by name."""
    return {extra.signature.name: extra.saved_model for extra in extras if extra.saved_model}


def write_onnx_files(extras: list[ExtraSignature], folder: Path, opset: int) -> None:
    """Write those that are ONNX files."""
    for extra in extras:
        if extra.traced:
            convert.save_onnx(extra.traced, folder / f"{extra.signature.name}.onnx", opset)


def tokenized_text(model: "keras.Model", run: Run, expected: ExpectedOutputs) -> ExtraSignature:
    """Raw texts to the outputs of a model that takes token ids."""
    from kerasfound.preprocessing import encode_texts

    from . import text

    tokenizer, function = run.tokenizer, reference_function(model)
    signature = NamedSignature(text.NAME, "saved_model", [text.INPUT], expected.signature.outputs)

    def outputs(texts: list[str]) -> Tensors:
        return {name: np.asarray(y) for name, y in function(encode_texts(tokenizer, texts)).items()}

    cases = _expected_cases(text.review_texts(tokenizer, run.samples["x"]), outputs)
    return ExtraSignature(
        signature, expected._replace(signature=signature, cases=cases), text.tokenizer_signature(tokenizer)
    )


def next_character(model: "keras.Model", run: Run, expected: ExpectedOutputs) -> ExtraSignature:
    """Raw texts to the probabilities of the next character."""
    from scipy.special import softmax

    from kerasfound.preprocessing import encode_characters

    from . import text

    labels, window, function = run.schema.labels, run.settings["block_size"], reference_function(model)
    output = Tensor(text.PROBABILITIES, "float32", ["batch", len(labels)])
    signature = NamedSignature(text.NAME, "saved_model", [text.INPUT], [output])

    def probabilities(passage: str) -> np.ndarray:
        ids = encode_characters(passage, "".join(labels))[None, -window:].astype("int32")
        (logits,) = function(ids).values()
        return softmax(np.asarray(logits)[0, -1])

    def outputs(texts: list[str]) -> Tensors:
        return {output.name: np.stack([probabilities(passage) for passage in texts])}

    cases = _expected_cases(text.passage_texts(labels, run.samples["x"], window), outputs)
    expected = expected._replace(signature=signature, cases=cases)
    return ExtraSignature(signature, expected, text.next_character_signature(labels, window))


def decoding_step(model: "keras.Model", run: Run, expected: ExpectedOutputs) -> ExtraSignature:
    """One decoding step with caches, which is an ONNX file of its own."""
    from . import decode_step

    window = run.settings["block_size"]
    decoder = decode_step.decode_model(model, window)
    traced = convert.trace_for_onnx(decoder)
    signature = NamedSignature(decode_step.NAME, "onnx", traced.signature.inputs, traced.signature.outputs)
    cases = decode_step.expected_cases(model, decoder, window)
    return ExtraSignature(
        signature,
        expected._replace(signature=signature, cases=cases),
        traced=traced,
        text_generation=decode_step.text_generation(decoder, window),
    )


def _expected_cases(texts: list[str], outputs: Callable[[list[str]], Tensors]) -> list[RecordedCase]:
    """Split the texts into batches of several sizes and compute the expected outputs."""
    cases, start = [], 0
    for batch_size in BATCH_SIZES:
        batch = texts[start : start + batch_size] or texts[:batch_size]
        start += batch_size
        cases.append(RecordedCase("texts", {"text": np.array(batch, dtype=str)}, outputs(batch)))
    return cases
