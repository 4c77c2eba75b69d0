"""Raw input: a picture's file or a text goes in where the model takes numbers, and labels come out beside them.

`manifest.json` says what the numbers are made of, and what the answer means.
"""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from kerasfound.bundle.manifest import Manifest, ProcessingStep
from kerasfound.bundle.recorded_cases import Tensors
from kerasfound.errors import UserError
from kerasfound.preprocessing import characters, pixels

from .client_error import ClientError
from .tensor_codec import decode, split

LONG = 1 << 12
"""Bytes; to read more takes so long that other requests would wait for it."""
MAX_TEXT = 1 << 19
"""Bytes of all texts of a request: a tokenizer takes some hundred bytes of memory for each of them."""


class Base64(msgspec.Struct):
    """Bytes in JSON, as TensorFlow Serving writes them."""

    b64: str


_VALUES = msgspec.json.Decoder(list[str | Base64])


Read = Callable[[list[bytes]], np.ndarray]
"""One raw thing to a row each."""


class RawInput(NamedTuple):
    """The input that may come raw.

    Args:
        name: of the tensor that is made of it.
        dtype: of that.
        kind: `"image"` or `"text"`.
        read: what makes it.
    """

    name: str
    dtype: str
    kind: str
    read: Read

    def from_json(self, text: bytes, count: int | None = None) -> np.ndarray:
        """From a list of texts, or of pictures as base64, each of them alone or as `{"b64": ...}`."""
        values = decode(_VALUES, text, f"{self.what}, a list of {self.kind}s")
        return self._filled([self._bytes(value) for value in values], count)

    def from_binary(self, data: memoryview, count: int) -> np.ndarray:
        """From a binary tensor of texts, or of pictures' files."""
        return self._filled(split(data, self.what), count)

    @property
    def what(self) -> str:
        return f"input {self.name!r}"

    def _filled(self, given: list[bytes], count: int | None) -> np.ndarray:
        if not given:
            raise ClientError(400, f"{self.what}: an empty list; expected at least one {self.kind}")
        if count not in (None, len(given)):
            raise ClientError(400, f"{self.what}: {len(given)} of {self.kind} do not fill a shape of {count}")
        try:
            return self.read(given).astype(self.dtype)
        except UserError as error:
            raise ClientError(400, f"{self.what}: {error}") from None
        except ImportError as error:
            reason = f"this server cannot read raw input without {error.name}"
            raise ClientError(415, f"{reason}: pip install 'kerasfound[raw]', or send tensors") from None

    def _bytes(self, value: str | Base64) -> bytes:
        if isinstance(value, str) and self.kind == "text":
            return value.encode()
        try:
            return base64.b64decode(value.b64 if isinstance(value, Base64) else value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ClientError(400, f"{self.what}: not base64 ({error})") from None


def raw_input(manifest: Manifest, folder: Path) -> RawInput | None:
    """What the manifest says of raw input; None where the tensors are it.

    Raises:
        UserError: if what reads it is not installed, or cannot be read.
    """
    for step in manifest.preprocessing:
        if step.name in READERS and len(manifest.inputs) == 1:
            (declared,) = manifest.inputs
            kind, reader = READERS[step.name]
            return RawInput(declared.name, declared.dtype, kind, reader(manifest, step, folder))
    return None


def labels(manifest: Manifest, answers: Tensors) -> dict[str, list]:
    """The likeliest label of each row and its score, where the manifest names a classifier's output.

    Example:
        {"labels": ["7"], "scores": [0.98]}
    """
    scores = class_scores(manifest, answers)
    if scores is None:
        return {}
    best = scores.argmax(-1)
    rows = np.arange(len(best))
    return {"labels": [manifest.labels[i] for i in best], "scores": scores[rows, best].tolist()}


def class_scores(manifest: Manifest, answers: Tensors) -> np.ndarray | None:
    """A score for each row and label, `(rows, labels)`."""
    for step in manifest.postprocessing:
        scores = answers.get(str(step.parameters.get("output")))
        if step.name == "classification" and scores is not None and scores.shape[1:] == (len(manifest.labels),):
            return scores
    return None


def _image(manifest: Manifest, step: ProcessingStep, folder: Path) -> Read:
    height, width, channels = (int(step.parameters[side]) for side in ("height", "width", "channels"))
    return lambda files: pixels.decode(files, (height, width, channels))


def _words(manifest: Manifest, step: ProcessingStep, folder: Path) -> Read:
    try:
        from tokenizers import Tokenizer

        from kerasfound.preprocessing.tokenizer import encode_texts
    except ImportError as error:
        return _refusing(error)
    try:
        tokenizer = Tokenizer.from_file(str(folder / str(step.file)))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{step.file} is no tokenizer that can be read ({error}).") from error
    return lambda given: encode_texts(tokenizer, _decoded(given))


def _characters(manifest: Manifest, step: ProcessingStep, folder: Path) -> Read:
    alphabet = "".join(manifest.labels)

    def read(given: list[bytes]) -> np.ndarray:
        decoded = _decoded(given)
        if len(set(map(len, decoded))) > 1 or not decoded[0]:
            raise UserError("texts of one length, at least one character, are expected.")
        return np.stack([characters.encode(text, alphabet) for text in decoded])

    return read


def _decoded(given: list[bytes]) -> list[str]:
    if sum(map(len, given)) > MAX_TEXT:
        raise UserError(f"too long; at most {MAX_TEXT} bytes of text are read at once.")
    try:
        return [text.decode() for text in given]
    except UnicodeDecodeError as error:
        raise UserError(f"a text is not UTF-8 ({error.reason} at byte {error.start}).") from None


def _refusing(error: ImportError) -> Read:
    def read(given: list[bytes]) -> np.ndarray:
        raise error

    return read


READERS = {"image": ("image", _image), "tokenizer": ("text", _words), "characters": ("text", _characters)}
"""By the manifest's name of the step: what is read, and what makes the reader."""
