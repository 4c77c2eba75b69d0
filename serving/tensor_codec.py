"""Conversion between JSON or binary data and arrays, with the names, dtypes and shapes of the manifest.

JSON is decoded directly into the declared type: `null`, a string or a boolean in a numeric tensor is an error. The only
conversion is from integers to floats.

A binary tensor holds the elements' bytes, little-endian and in C order. Each string has a prefix of four bytes with its
length.

For a nullable input, `null` is a missing value: NaN in a numeric tensor, an empty string in a string tensor. JSON has
no NaN or infinity. Python's `json` module writes a bare `NaN`, which is read as `null`, and `Infinity`, which is an
error. As outputs both become `null`, as in JavaScript; TensorFlow Serving writes a bare `NaN`, which strict parsers
reject.

A string may be given as base64, `{"b64": ...}`, in the notation of TensorFlow Serving.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import simdjson

from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Tensor
from kerasfound.wording import counted

from .client_error import ClientError

LENGTH = struct.Struct("<I")

MAX_VALUES = 1 << 19
"""In one JSON or string tensor: converting each value needs about a hundred bytes of memory."""

MAX_SIMDJSON_BYTES = 1 << 18
"""simdjson needs 14 times the memory of its input."""

_NAN = re.compile(rb'("(?:[^"\\]|\\.)*")|-?NaN')
"""A string, which is kept, or a bare NaN."""
_NESTED = re.compile(rb"\s*\[\s*\[")
_BUFFERS: dict[str, tuple[Literal["d", "i", "u"], type]] = {
    "f": ("d", np.float64),
    "i": ("i", np.int64),
    "u": ("u", np.uint64),
}
_PARSER = simdjson.Parser()


def decode(decoder: msgspec.json.Decoder, text: bytes | msgspec.Raw, label: str) -> Any:
    """Decode `text`.

    Raises:
        ClientError: 400 with the position of the error, or 413 for too many values; the message starts with `label`.
    """
    if isinstance(text, bytes) and len(text) > MAX_VALUES and text.count(b",") > MAX_VALUES:
        raise ClientError(413, f"{label}: more than {MAX_VALUES} values in JSON; send fewer rows, or binary tensors")
    try:
        try:
            return decoder.decode(text)
        except msgspec.DecodeError:
            if b"NaN" not in (source := bytes(text)):
                raise
            return decoder.decode(_NAN.sub(lambda match: match[1] or b"null", source))
    except RecursionError:
        raise ClientError(400, f"{label}: nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:  # ValueError: invalid UTF-8, or an integer of 5,000 digits
        source = bytes(text)
        reason = str(error) if source.strip() else "it is empty"
        if "invalid character" in reason and b"Infinity" in source:
            reason += "; JSON has no Infinity, use null for a missing value"
        raise ClientError(400, f"{label}: {reason}") from None


def format_shape(shape: Sequence[int | str]) -> str:
    """Return a shape as text, such as `(batch, 28, 28)`."""
    return "(" + ", ".join(str(size) for size in shape) + ")"


class Base64(msgspec.Struct):
    """Bytes in JSON, in the notation of TensorFlow Serving."""

    b64: str

    def decode(self, label: str) -> bytes:
        """Return the bytes, or raise a 400 that starts with `label`."""
        try:
            return base64.b64decode(self.b64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ClientError(400, f"{label}: not base64 ({error})") from None


class TensorReader:
    """Reads one declared input from JSON or binary data, and checks it."""

    texts = str | Base64
    """The JSON values of string tensors."""

    def __init__(self, declared: Tensor):
        self.name = declared.name
        self.shape = declared.shape
        self.dtype = DTYPES[declared.dtype]
        self.kind = np.dtype(self.dtype.numpy).kind
        self.expected = f"expected {declared.dtype} of shape {format_shape(declared.shape)}"
        self.label = f"input {declared.name!r}"
        self.nullable = declared.nullable and self.dtype.json in (float, str)
        self.num_ids = declared.num_ids
        value: Any = self.texts if self.dtype.json is str else self.dtype.json
        value = value | None if self.nullable else value
        nested: Any = value
        for _ in declared.shape:
            nested = list[nested]  # type: ignore[misc]
        self._nested_decoder = msgspec.json.Decoder(nested)
        self._flat_decoder = msgspec.json.Decoder(list[value])  # type: ignore[valid-type]

    def error(self, reason: str) -> ClientError:
        """A 400 that names the input, the reason, and the expected dtype and shape."""
        return ClientError(400, f"{self.label}: {reason}; {self.expected}")

    def read_nested(self, text: bytes | msgspec.Raw) -> np.ndarray:
        """Read nested JSON lists, one level for each axis."""
        array = self._to_array(self._decode(self._nested_decoder, text))
        if array.ndim != len(self.shape):
            raise self.error("ragged or empty lists")
        return array

    def read_flat(self, text: msgspec.Raw, shape: list[int]) -> np.ndarray:
        """Read a JSON list with the given shape; the list may be flat or nested."""
        self.check(shape, {})
        numbers = self._read_numbers(bytes(text))
        if numbers is not None and len(numbers) == math.prod(shape):
            return numbers.reshape(shape)
        if len(shape) != 1 and _NESTED.match(memoryview(text)):
            array = self.read_nested(text)
            if list(array.shape) != shape:
                raise self.error(f"the data has shape {format_shape(array.shape)}, `shape` says {format_shape(shape)}")
            return array
        values = self._decode(self._flat_decoder, text)
        if math.prod(shape) != len(values):
            raise self.error(f"got {counted(len(values), 'element')} for the shape {format_shape(shape)}")
        return self._to_array(values).reshape(shape)

    def read_binary(self, data: memoryview, shape: list[int]) -> np.ndarray:
        """Read the elements' bytes."""
        self.check(shape, {})
        count = math.prod(shape)
        if self.dtype.json is str:
            return np.array(self._read_strings(data, count), dtype=object).reshape(shape)
        dtype = np.dtype(self.dtype.numpy).newbyteorder("<")
        if count * dtype.itemsize != len(data):
            raise self.error(f"got {counted(len(data), 'byte')} for the shape {format_shape(shape)}")
        array = np.frombuffer(data, np.uint8 if dtype.kind == "b" else dtype)
        if dtype.kind == "b":
            if array.max() > 1:
                raise self.error("a boolean byte is neither 0 nor 1")
            array = array.view(dtype)
        self._check_finite(array)
        return np.require(array, dtype.newbyteorder("="), "A").reshape(shape)

    def _read_strings(self, data: memoryview, count: int) -> list[str]:
        strings = split_strings(data, self.label)
        if len(strings) != count:
            raise self.error(f"got {counted(len(strings), 'string')} for a shape of {counted(count, 'element')}")
        try:
            return [string.decode() for string in strings]
        except UnicodeDecodeError:
            raise self.error("a string is not UTF-8") from None

    def _check_finite(self, array: np.ndarray) -> None:
        if array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
            return
        if not (self.nullable and (finite | np.isnan(array)).all()):
            raise self.error("a value is infinite, NaN, or too large for the dtype")

    def check_ids(self, array: np.ndarray) -> None:
        """Check that ids are in the embedding table: ONNX Runtime counts negative ids from its end."""
        if self.num_ids is not None and (wrong := array[(array < 0) | (array >= self.num_ids)]).size:
            raise self.error(f"got id {wrong[0]}, expected ids from 0 to {self.num_ids - 1}")

    def check(self, shape: Sequence[int], sizes: dict[str, int]) -> None:
        """Compare `shape` with the manifest; `sizes` collects the size of each dynamic dimension."""
        if len(shape) != len(self.shape):
            raise self.error(f"got shape {format_shape(shape)}")
        for got, declared in zip(shape, self.shape, strict=True):
            expected = declared if isinstance(declared, int) else sizes.setdefault(declared, got)
            if got != expected:
                conflict = f", but {declared} is {expected} in another axis" if isinstance(declared, str) else ""
                raise self.error(f"got shape {format_shape(shape)}{conflict}")
            if got < 1:
                raise self.error(f"got shape {format_shape(shape)}, where every size must be at least 1")

    def _decode(self, decoder: msgspec.json.Decoder, text: bytes | msgspec.Raw) -> list:
        try:
            return decode(decoder, text, self.label)
        except ClientError as error:
            missing = "; this model takes no missing values" if "got `null`" in error.reason else ""
            raise ClientError(error.status, f"{error.reason}{missing}; {self.expected}") from None

    def _read_numbers(self, text: bytes) -> np.ndarray | None:
        """Read a flat list of numbers in a third of msgspec's time; None for everything else, which msgspec reads."""
        if self.kind not in _BUFFERS or len(text) > MAX_SIMDJSON_BYTES or text.find(b"[") != text.rfind(b"["):
            return None
        letter, dtype = _BUFFERS[self.kind]
        try:
            parsed = _PARSER.parse(text)
            if not isinstance(parsed, simdjson.Array):
                return None
            values: np.ndarray = np.frombuffer(parsed.as_buffer(of_type=letter), dtype)
        except (ValueError, TypeError, RuntimeError):
            return None
        with np.errstate(over="ignore"):
            array = values.astype(self.dtype.numpy)
        if self.kind == "f":
            self._check_finite(array)
        elif (array != values).any():
            return None
        return array

    def _to_array(self, values: list) -> np.ndarray:
        try:
            with np.errstate(over="ignore"):
                array = np.array(values, dtype=self.dtype.numpy)  # null becomes NaN
        except OverflowError as error:
            raise self.error(str(error)) from None
        except ValueError:
            raise self.error("ragged lists") from None
        if self.dtype.json is str:
            for index, value in enumerate(array.flat):
                if isinstance(value, Base64):
                    array.flat[index] = self._decode_text(value)
        # JSON has only finite numbers: an infinite value was too large for the dtype.
        self._check_finite(array)
        if self.dtype.json is str and self.nullable:
            array = np.where(array == np.array(None), "", array)
        return array

    def _decode_text(self, value: Base64) -> str:
        try:
            return value.decode(self.label).decode()
        except UnicodeDecodeError:
            raise self.error("a string is not UTF-8") from None


def split_strings(data: memoryview, label: str) -> list[bytes]:
    """Split a binary tensor of strings, each with its length before it."""
    strings, position = [], 0
    while position < len(data):
        first = position + LENGTH.size
        length = LENGTH.unpack(data[position:first])[0] if first <= len(data) else len(data)
        position = first + length
        if position > len(data):
            raise ClientError(400, f"{label}: the last string ends after the end of the tensor")
        strings.append(bytes(data[first:position]))
        if len(strings) > MAX_VALUES:
            raise ClientError(413, f"{label}: more than {MAX_VALUES} strings; send fewer rows")
    return strings


def to_binary(array: np.ndarray) -> bytes:
    """Return an output as a binary tensor."""
    if array.dtype.kind in "OU":
        strings = [str(string).encode() for string in array.ravel()]
        return b"".join(LENGTH.pack(len(string)) + string for string in strings)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def to_json(name: str, array: np.ndarray) -> list:
    """Return an output as nested lists for JSON."""
    if array.size > MAX_VALUES:
        reason = f"output {name!r} has {array.size} values; JSON responses have at most {MAX_VALUES}"
        raise ClientError(413, f"{reason}; send fewer rows, or request binary outputs")
    return array.tolist()
