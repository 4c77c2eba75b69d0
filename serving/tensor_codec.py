"""JSON to arrays and back, by the manifest's names, dtypes and shapes, and by nothing looser.

JSON is decoded straight into the declared type, so `null`, a string or a boolean in a number tensor is refused where
it stands; nothing is converted but an integer written where a float is expected.

Binary tensors are the elements' bytes, little-endian and in C order; a text has its length before it, in four bytes.

JSON has no NaN or infinity: as input they are malformed, and as output they are written `null`, as JavaScript does.
TensorFlow Serving writes a bare `NaN` there, which strict JSON readers refuse. Where the manifest says that values may
be missing, `null` is taken for one: NaN among numbers, an empty text among texts.
"""

import math
import re
import struct
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import simdjson

from kerasfound.bundle.manifest import Tensor

from .client_error import ClientError


class Dtype(NamedTuple):
    """What one element type is called in NumPy, JSON, ONNX Runtime and the two protocols."""

    numpy: Any
    json: type
    onnx: str
    v1: str
    v2: str


DTYPES = {
    "bool": Dtype(np.bool_, bool, "tensor(bool)", "DT_BOOL", "BOOL"),
    "uint8": Dtype(np.uint8, int, "tensor(uint8)", "DT_UINT8", "UINT8"),
    "uint16": Dtype(np.uint16, int, "tensor(uint16)", "DT_UINT16", "UINT16"),
    "uint32": Dtype(np.uint32, int, "tensor(uint32)", "DT_UINT32", "UINT32"),
    "uint64": Dtype(np.uint64, int, "tensor(uint64)", "DT_UINT64", "UINT64"),
    "int8": Dtype(np.int8, int, "tensor(int8)", "DT_INT8", "INT8"),
    "int16": Dtype(np.int16, int, "tensor(int16)", "DT_INT16", "INT16"),
    "int32": Dtype(np.int32, int, "tensor(int32)", "DT_INT32", "INT32"),
    "int64": Dtype(np.int64, int, "tensor(int64)", "DT_INT64", "INT64"),
    "float16": Dtype(np.float16, float, "tensor(float16)", "DT_HALF", "FP16"),
    "float32": Dtype(np.float32, float, "tensor(float)", "DT_FLOAT", "FP32"),
    "float64": Dtype(np.float64, float, "tensor(double)", "DT_DOUBLE", "FP64"),
    "string": Dtype(np.object_, str, "tensor(string)", "DT_STRING", "BYTES"),
}

LENGTH = struct.Struct("<I")

MAX_VALUES = 1 << 19
"""Of numbers in JSON, and of texts, read or written at once: each takes a hundred bytes of memory meanwhile."""

MAX_SIMD = 1 << 18
"""Bytes of JSON that simdjson reads: it takes 14 times the memory."""

_NO_JSON = re.compile(rb"NaN|Infinity")
_NESTED = re.compile(rb"\s*\[\s*\[")
_BUFFERS: dict[str, tuple[Literal["d", "i", "u"], type]] = {
    "f": ("d", np.float64),
    "i": ("i", np.int64),
    "u": ("u", np.uint64),
}
_PARSER = simdjson.Parser()


def decode(decoder: msgspec.json.Decoder, text: bytes | msgspec.Raw, what: str) -> Any:
    """`text` decoded, or a 400 that begins with `what` and says where the JSON went wrong."""
    if isinstance(text, bytes) and len(text) > MAX_VALUES and text.count(b",") > MAX_VALUES:
        raise ClientError(413, f"{what}: more than {MAX_VALUES} values in JSON; send fewer rows, or binary tensors")
    try:
        return decoder.decode(text)
    except RecursionError:
        raise ClientError(400, f"{what}: nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:  # ValueError: invalid UTF-8, or an integer of 5,000 digits
        given = bytes(text)
        reason = str(error) if given.strip() else "it is empty"
        if "invalid character" in reason and _NO_JSON.search(given):
            reason += "; JSON has no NaN or Infinity, a value that is not known is null"
        raise ClientError(400, f"{what}: {reason}") from None


def described(shape: list[int | str]) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ")"


class Reader:
    """Reads one declared input from JSON."""

    def __init__(self, declared: Tensor):
        self.name = declared.name
        self.shape = declared.shape
        self.dtype = DTYPES[declared.dtype]
        self.kind = np.dtype(self.dtype.numpy).kind
        self.expected = f"expected {declared.dtype} of shape {described(declared.shape)}"
        self.what = f"input {declared.name!r}"
        self.nullable = declared.nullable and self.dtype.json in (float, str)
        self.num_ids = declared.num_ids
        value: Any = self.dtype.json | None if self.nullable else self.dtype.json
        nested: Any = value
        for _ in declared.shape:
            nested = list[nested]  # type: ignore[misc]
        self._nested = msgspec.json.Decoder(nested)
        self._flat = msgspec.json.Decoder(list[value])  # type: ignore[valid-type]

    def fail(self, reason: str) -> ClientError:
        return ClientError(400, f"{self.what}: {reason}; {self.expected}")

    def nested(self, text: bytes | msgspec.Raw) -> np.ndarray:
        """From lists inside lists, one level for each axis."""
        array = self._array(self._decode(self._nested, text))
        if array.ndim != len(self.shape):
            raise self.fail("ragged or empty lists")
        return array

    def shaped(self, text: msgspec.Raw, shape: list[int]) -> np.ndarray:
        """From a list, flat or nested, beside the shape that it claims."""
        self.check(shape, {})
        numbers = self._numbers(bytes(text))
        if numbers is not None and len(numbers) == math.prod(shape):
            return numbers.reshape(shape)
        if len(shape) != 1 and _NESTED.match(memoryview(text)):
            array = self.nested(text)
            if list(array.shape) != shape:
                raise self.fail(
                    f"the data has shape {described(list(array.shape))}, `shape` says {described([*shape])}"
                )
            return array
        values = self._decode(self._flat, text)
        if math.prod(shape) != len(values):
            raise self.fail(f"{len(values)} elements do not fill the shape {described([*shape])}")
        return self._array(values).reshape(shape)

    def binary(self, data: memoryview, shape: list[int]) -> np.ndarray:
        """From the elements' bytes."""
        self.check(shape, {})
        count = math.prod(shape)
        if self.dtype.json is str:
            return np.array(self._texts(data, count), dtype=object).reshape(shape)
        dtype = np.dtype(self.dtype.numpy).newbyteorder("<")
        if count * dtype.itemsize != len(data):
            raise self.fail(f"{len(data)} bytes do not fill the shape {described([*shape])}")
        array = np.frombuffer(data, np.uint8 if dtype.kind == "b" else dtype)
        if dtype.kind == "b":
            if array.max() > 1:
                raise self.fail("a boolean is neither 0 nor 1")
            array = array.view(dtype)
        self._refuse_infinite(array)
        return np.require(array, dtype.newbyteorder("="), "A").reshape(shape)

    def _texts(self, data: memoryview, count: int) -> list[str]:
        found = split(data, self.what)
        if len(found) != count:
            raise self.fail(f"{len(found)} texts where {count} are expected")
        try:
            return [text.decode() for text in found]
        except UnicodeDecodeError:
            raise self.fail("a text is not UTF-8") from None

    def _refuse_infinite(self, array: np.ndarray) -> None:
        if array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
            return
        if not (self.nullable and (finite | np.isnan(array)).all()):
            raise self.fail("a number is infinite, not a number, or too large for the dtype")

    def check_ids(self, array: np.ndarray) -> None:
        """Refuses what a table of embeddings has no row for: ONNX Runtime would count from its end, or fail."""
        if self.num_ids is not None and (wrong := array[(array < 0) | (array >= self.num_ids)]).size:
            raise self.fail(f"got {wrong[0]}, where ids are from 0 to {self.num_ids - 1}")

    def check(self, shape: Sequence[int], sizes: dict[str, int]) -> None:
        """Holds `shape` against the manifest; `sizes` collects what each free size turned out to be."""
        if len(shape) != len(self.shape):
            raise self.fail(f"got shape {described([*shape])}")
        for got, declared in zip(shape, self.shape, strict=True):
            wanted = declared if isinstance(declared, int) else sizes.setdefault(declared, got)
            if got != wanted:
                also = f" with {declared} = {wanted} as in another axis" if isinstance(declared, str) else ""
                raise self.fail(f"got shape {described([*shape])}{also}")
            if got < 1:
                raise self.fail(f"got shape {described([*shape])}, where every size must be at least 1")

    def _decode(self, decoder: msgspec.json.Decoder, text: bytes | msgspec.Raw) -> list:
        try:
            return decode(decoder, text, self.what)
        except ClientError as error:
            raise ClientError(error.status, f"{error.reason}; {self.expected}") from None

    def _numbers(self, text: bytes) -> np.ndarray | None:
        """A flat list of numbers, in a third of the time that msgspec takes, which judges whatever else it may be."""
        if self.kind not in _BUFFERS or len(text) > MAX_SIMD or text.find(b"[") != text.rfind(b"["):
            return None
        letter, dtype = _BUFFERS[self.kind]
        try:
            read = _PARSER.parse(text)
            if not isinstance(read, simdjson.Array):
                return None
            found: np.ndarray = np.frombuffer(read.as_buffer(of_type=letter), dtype)
        except (ValueError, TypeError, RuntimeError):
            return None
        with np.errstate(over="ignore"):
            array = found.astype(self.dtype.numpy)
        if self.kind == "f":
            self._refuse_infinite(array)
        elif (array != found).any():
            return None
        return array

    def _array(self, values: list) -> np.ndarray:
        try:
            with np.errstate(over="ignore"):
                array = np.array(values, dtype=self.dtype.numpy)  # of null among numbers it makes NaN
        except OverflowError as error:
            raise self.fail(str(error)) from None
        except ValueError:
            raise self.fail("ragged lists") from None
        # JSON holds finite numbers only, so what is not finite now was too large for the dtype.
        self._refuse_infinite(array)
        if self.dtype.json is str and self.nullable:
            array = np.where(array == np.array(None), "", array)
        return array


def split(data: memoryview, what: str) -> list[bytes]:
    """The parts of a binary tensor of texts: each behind its length."""
    found, place = [], 0
    while place < len(data):
        first = place + LENGTH.size
        length = LENGTH.unpack(data[place:first])[0] if first <= len(data) else len(data)
        place = first + length
        if place > len(data):
            raise ClientError(400, f"{what}: its last text is longer than the tensor")
        found.append(bytes(data[first:place]))
        if len(found) > MAX_VALUES:
            raise ClientError(413, f"{what}: more than {MAX_VALUES} texts; send fewer rows")
    return found


def joined(array: np.ndarray) -> bytes:
    """An answer as a binary tensor."""
    if array.dtype.kind in "OU":
        texts = [str(text).encode() for text in array.ravel()]
        return b"".join(LENGTH.pack(len(text)) + text for text in texts)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def listed(name: str, array: np.ndarray) -> list:
    """An answer for JSON."""
    if array.size > MAX_VALUES:
        reason = f"output {name!r} has {array.size} values, at most {MAX_VALUES} are written as JSON"
        raise ClientError(413, f"{reason}; send fewer rows, or ask for binary tensors")
    return array.tolist()
