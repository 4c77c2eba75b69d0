"""Raw inputs and labels: clients may send image files or texts instead of tensors, and get labels with the scores.

`manifest.json` names the preprocessing and the meaning of the outputs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from kerasfound.bundle.manifest import Manifest, ProcessingStep
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError
from kerasfound.preprocessing import characters, pixels
from kerasfound.preprocessing.text_vectorizer import load_vectorizer

from .client_error import ClientError
from .tensor_codec import Base64, decode, split_strings

LONG = 1 << 12
"""Bytes. Preprocessing more takes so long that it runs in a thread: other requests would wait."""
MAX_TEXT_BYTES = 1 << 19
"""For all texts of a request: a tokenizer needs about a hundred bytes of memory for each byte."""


_VALUES = msgspec.json.Decoder(list[str | Base64 | tuple[str | Base64]])
"""A text in a list of its own is a row of one text, as Keras models often declare them."""


Preprocess = Callable[[list[bytes]], np.ndarray]
"""Turns images or texts into one row each."""


class RawInput(NamedTuple):
    """The model input that accepts images or texts.

    Args:
        name: the name of the tensor.
        dtype: the dtype of the tensor.
        kind: `"image"` or `"text"`.
        preprocess: turns images or texts into the tensor.
    """

    name: str
    dtype: str
    kind: str
    preprocess: Preprocess

    def from_json(self, text: bytes, count: int | None = None) -> np.ndarray:
        """Read a JSON list of texts, or of images as base64: plain strings or `{"b64": ...}`."""
        values = decode(_VALUES, text, f"{self.label}, a list of {self.kind}s")
        flat = (value[0] if isinstance(value, tuple) else value for value in values)
        return self._to_tensor([self._bytes(value) for value in flat], count)

    def from_binary(self, data: memoryview, count: int) -> np.ndarray:
        """Read a binary tensor of texts, or of image files."""
        return self._to_tensor(split_strings(data, self.label), count)

    @property
    def label(self) -> str:
        """The start of every error message about this input."""
        return f"input {self.name!r}"

    def _to_tensor(self, values: list[bytes], count: int | None) -> np.ndarray:
        if not values:
            raise ClientError(400, f"{self.label}: an empty list; expected at least one {self.kind}")
        if count not in (None, len(values)):
            raise ClientError(400, f"{self.label}: got {len(values)} {self.kind}s; `shape` says {count}")
        try:
            return self.preprocess(values).astype(self.dtype)
        except UserError as error:
            raise ClientError(400, f"{self.label}: {error}") from None
        except ImportError as error:
            reason = f"this server needs {error.name} for raw inputs"
            raise ClientError(415, f"{reason}; pip install 'kerasfound[raw]' there, or send tensors") from None

    def _bytes(self, value: str | Base64) -> bytes:
        if isinstance(value, str) and self.kind == "text":
            return value.encode()
        return (value if isinstance(value, Base64) else Base64(value)).decode(self.label)


def find_raw_inputs(manifest: Manifest, folder: Path) -> dict[str, RawInput]:
    """Return the raw inputs that the manifest names, by the name of the tensor.

    Raises:
        UserError: if the asset file of the preprocessing cannot be read.
    """
    raw = {}
    for step in manifest.preprocessing:
        if step.name in PREPROCESSING:
            for declared in manifest.inputs:
                if len(manifest.inputs) == 1 or declared.name == step.parameters.get("input"):
                    kind, make = PREPROCESSING[step.name]
                    raw[declared.name] = RawInput(declared.name, declared.dtype, kind, make(manifest, step, folder))
    return raw


def top_labels(manifest: Manifest, outputs: Tensors) -> dict[str, list]:
    """Return the most likely label of each row and its score; an empty dictionary if the model is no classifier.

    Example:
        {"labels": ["7"], "scores": [0.98]}
    """
    scores = class_scores(manifest, outputs)
    if scores is None:
        return {}
    best = scores.argmax(-1)
    rows = np.arange(len(best))
    return {"labels": [manifest.labels[i] for i in best], "scores": scores[rows, best].tolist()}


def class_scores(manifest: Manifest, outputs: Tensors) -> np.ndarray | None:
    """Return the scores of all labels, of shape `(rows, labels)`; None if the model is no classifier."""
    for step in manifest.postprocessing:
        scores = outputs.get(str(step.parameters.get("output")))
        if step.name == "classification" and scores is not None and scores.shape[1:] == (len(manifest.labels),):
            return scores
    return None


def _image(manifest: Manifest, step: ProcessingStep, folder: Path) -> Preprocess:
    height, width, channels = (int(step.parameters[side]) for side in ("height", "width", "channels"))
    return lambda files: pixels.decode_images(files, (height, width, channels))


def _tokenizer(manifest: Manifest, step: ProcessingStep, folder: Path) -> Preprocess:
    try:
        from tokenizers import Tokenizer

        from kerasfound.preprocessing.tokenizer import encode_texts
    except ImportError as error:
        return _raise_later(error)
    try:
        tokenizer = Tokenizer.from_file(str(folder / str(step.file)))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{step.file} cannot be read as a tokenizer ({error}).") from error
    return lambda values: encode_texts(tokenizer, _decode_texts(values))


def _text_vectorization(manifest: Manifest, step: ProcessingStep, folder: Path) -> Preprocess:
    vectorizer = load_vectorizer(folder / str(step.file))

    def preprocess(values: list[bytes]) -> np.ndarray:
        array = vectorizer.encode(_decode_texts(values))
        if not array.size:
            raise UserError("no text has a token; send a text with at least one word.")
        return array

    return preprocess


def _characters(manifest: Manifest, step: ProcessingStep, folder: Path) -> Preprocess:
    alphabet = "".join(manifest.labels)

    def preprocess(values: list[bytes]) -> np.ndarray:
        texts = _decode_texts(values)
        if len(set(map(len, texts))) > 1 or not texts[0]:
            raise UserError("expected texts of one length, with at least one character.")
        return np.stack([characters.encode_characters(text, alphabet) for text in texts])

    return preprocess


def _decode_texts(values: list[bytes]) -> list[str]:
    if (size := sum(map(len, values))) > MAX_TEXT_BYTES:
        raise UserError(f"{size} bytes of text; expected at most {MAX_TEXT_BYTES} in one request.")
    try:
        return [text.decode() for text in values]
    except UnicodeDecodeError as error:
        raise UserError(f"a text is not UTF-8 ({error.reason} at byte {error.start}).") from None


def _raise_later(error: ImportError) -> Preprocess:
    def preprocess(values: list[bytes]) -> np.ndarray:
        raise error

    return preprocess


PREPROCESSING = {
    "image": ("image", _image),
    "tokenizer": ("text", _tokenizer),
    "characters": ("text", _characters),
    "text_vectorization": ("text", _text_vectorization),
}
"""For each preprocessing step of a manifest: the kind of raw input, and the function that builds `preprocess`."""
