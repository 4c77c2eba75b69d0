"""The further ways to ask a model of texts: raw texts in the SavedModel, and text written on step by step in ONNX."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kerasfound.bundle.manifest import NamedSignature, Tensor, TextGeneration
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.training.run import Run

from ..formats import write_onnx
from ..saved_model_writer import Endpoint
from ..tracing import traced_model
from ..verification.verify import Expected

if TYPE_CHECKING:
    import keras

BATCHES = (1, 2, 5, 32)


class Further(NamedTuple):
    """One entry: what it must answer, and the signature or the model that it is written from."""

    asked: Expected
    endpoint: Endpoint | None = None
    model: "keras.Model | None" = None
    text_generation: TextGeneration | None = None

    @property
    def entry(self) -> NamedSignature:
        assert isinstance(self.asked.signature, NamedSignature)
        return self.asked.signature


def of(model: "keras.Model", run: Run | None, asked: Expected) -> list[Further]:
    """The entries that a bundle has beside the model's own inputs.

    Args:
        model: of the run.
        run: tells the task, the tokenizer or the characters, and has samples.
        asked: of the model itself.
    """
    task = run.schema.task if run else ""
    if run and task == "text_classification":
        return [_words(model, run, asked)]
    if run and task == "text_generation":
        return [_characters(model, run, asked), _step(model, run, asked)]
    return []


def endpoints(found: list[Further]) -> dict[str, Endpoint]:
    """The further signatures of the SavedModel, by name."""
    return {each.entry.name: each.endpoint for each in found if each.endpoint}


def write_files(found: list[Further], folder: Path, opset: int) -> None:
    """The further ONNX files."""
    for each in found:
        if each.model is not None:
            write_onnx(each.model, folder / f"{each.entry.name}.onnx", opset, None)


def _words(model: "keras.Model", run: Run, asked: Expected) -> Further:
    from kerasfound.preprocessing import encode_texts

    from . import text as text_inputs

    tokenizer, ask = run.tokenizer, traced_model.reference_function(model)
    entry = NamedSignature(text_inputs.NAME, "saved_model", [text_inputs.INPUT], asked.signature.outputs)
    given = text_inputs.reviews(tokenizer, run.samples["x"])
    cases = _cases(given, lambda part: {name: np.asarray(y) for name, y in ask(encode_texts(tokenizer, part)).items()})
    return Further(asked._replace(signature=entry, cases=cases), text_inputs.words(tokenizer))


def _characters(model: "keras.Model", run: Run, asked: Expected) -> Further:
    from scipy.special import softmax

    from kerasfound.preprocessing import encode_characters

    from . import text as text_inputs

    labels, window, ask = run.schema.labels, run.settings["block_size"], traced_model.reference_function(model)

    def follows(text: str) -> np.ndarray:
        ids = encode_characters(text, "".join(labels))[None, -window:].astype("int32")
        (logits,) = ask(ids).values()
        return softmax(np.asarray(logits)[0, -1])

    output = Tensor(text_inputs.PROBABILITIES, "float32", ["batch", len(labels)])
    entry = NamedSignature(text_inputs.NAME, "saved_model", [text_inputs.INPUT], [output])
    given = text_inputs.passages(labels, run.samples["x"], window)
    cases = _cases(given, lambda part: {output.name: np.stack([follows(text) for text in part])})
    return Further(asked._replace(signature=entry, cases=cases), text_inputs.characters(labels, window))


def _step(model: "keras.Model", run: Run, asked: Expected) -> Further:
    from . import decode_step

    window = run.settings["block_size"]
    stepping = decode_step.step(model, window)
    signature = traced_model.signature(stepping)
    entry = NamedSignature(decode_step.NAME, "onnx", signature.inputs, signature.outputs)
    asked = asked._replace(signature=entry, cases=decode_step.cases(model, stepping, window))
    return Further(asked, model=stepping, text_generation=decode_step.text_generation(stepping, window))


def _cases(texts: list[str], answer: Callable[[list[str]], Tensors]) -> list[RecordedCase]:
    """The texts in batches of several sizes, and what is right."""
    found, start = [], 0
    for batch in BATCHES:
        part = texts[start : start + batch] or texts[:batch]
        start += batch
        found.append(RecordedCase("texts", {"text": np.array(part, dtype=str)}, answer(part)))
    return found
