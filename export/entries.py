"""The further ways to ask a model of texts: raw texts in the SavedModel, and text written on step by step in ONNX."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kerasfound.export import graphs
from kerasfound.export.cases import Case, Tensors
from kerasfound.export.endpoint import Endpoint
from kerasfound.export.files import write_onnx
from kerasfound.export.manifest import Entry, Generation, Tensor
from kerasfound.export.verification import Expected
from kerasfound.training.run import Run

if TYPE_CHECKING:
    import keras

BATCHES = (1, 2, 5, 32)


class Further(NamedTuple):
    """One entry: what it must answer, and the signature or the model that it is written from."""

    asked: Expected
    endpoint: Endpoint | None = None
    model: "keras.Model | None" = None
    generation: Generation | None = None

    @property
    def entry(self) -> Entry:
        assert isinstance(self.asked.signature, Entry)
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
    from kerasfound.data import encode_texts
    from kerasfound.export import texts

    tokenizer, ask = run.tokenizer, graphs.reference(model)
    entry = Entry(texts.NAME, "saved_model", [texts.INPUT], asked.signature.outputs)
    given = texts.reviews(tokenizer, run.samples["x"])
    cases = _cases(given, lambda part: {name: np.asarray(y) for name, y in ask(encode_texts(tokenizer, part)).items()})
    return Further(asked._replace(signature=entry, cases=cases), texts.words(tokenizer))


def _characters(model: "keras.Model", run: Run, asked: Expected) -> Further:
    from scipy.special import softmax

    from kerasfound.data import encode
    from kerasfound.export import texts

    labels, window, ask = run.schema.labels, run.settings["block_size"], graphs.reference(model)

    def follows(text: str) -> np.ndarray:
        ids = encode(text, "".join(labels))[None, -window:].astype("int32")
        (logits,) = ask(ids).values()
        return softmax(np.asarray(logits)[0, -1])

    output = Tensor(texts.PROBABILITIES, "float32", ["batch", len(labels)])
    entry = Entry(texts.NAME, "saved_model", [texts.INPUT], [output])
    given = texts.passages(labels, run.samples["x"], window)
    cases = _cases(given, lambda part: {output.name: np.stack([follows(text) for text in part])})
    return Further(asked._replace(signature=entry, cases=cases), texts.characters(labels, window))


def _step(model: "keras.Model", run: Run, asked: Expected) -> Further:
    from kerasfound.export import steps

    window = run.settings["block_size"]
    stepping = steps.step(model, window)
    signature = graphs.signature(stepping)
    entry = Entry(steps.NAME, "onnx", signature.inputs, signature.outputs)
    asked = asked._replace(signature=entry, cases=steps.cases(model, stepping, window))
    return Further(asked, model=stepping, generation=steps.generation(stepping, window))


def _cases(texts: list[str], answer: Callable[[list[str]], Tensors]) -> list[Case]:
    """The texts in batches of several sizes, and what is right."""
    found, start = [], 0
    for batch in BATCHES:
        part = texts[start : start + batch] or texts[:batch]
        start += batch
        found.append(Case("texts", {"text": np.array(part, dtype=str)}, answer(part)))
    return found
