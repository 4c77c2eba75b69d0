"""JSON and bytes to arrays: what is declared comes in, anything else is one ClientError."""

import json
import math
from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Tensor
from kerasfound.serving import tensor_codec
from kerasfound.serving.client_error import ClientError
from kerasfound.serving.tensor_codec import TensorReader, split_strings, to_binary, to_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
FINITE = {"allow_nan": False, "allow_infinity": False}
SHAPES = st.lists(st.sampled_from(["batch", "time", 1, 2, 3]), max_size=4)


def raw(value):
    return msgspec.Raw(json.dumps(value).encode())


def outcome(read, *arguments):
    """What `read` returns, or the client error that it raises; any other error is the test's failure."""
    try:
        return read(*arguments)
    except ClientError as error:
        return error


@given(st.sampled_from(sorted(DTYPES)), SHAPES, JSON)
def test_any_json_value_is_an_array_or_a_client_error(dtype, shape, value):
    reader = TensorReader(Tensor("x", dtype, shape))
    found = outcome(reader.read_nested, raw(value))
    if isinstance(found, ClientError):
        assert found.status == 400
        assert "'x'" in found.reason
        assert "\n" not in found.reason
    else:
        assert found.dtype == DTYPES[dtype].numpy
        assert found.ndim == len(shape)
        outcome(reader.check, found.shape, {})


@given(st.sampled_from(sorted(DTYPES)), SHAPES, JSON, st.lists(st.integers(), max_size=4))
def test_any_json_value_beside_any_shape_is_an_array_or_a_client_error(dtype, declared, value, shape):
    found = outcome(TensorReader(Tensor("x", dtype, declared)).read_flat, raw(value), shape)
    assert isinstance(found, ClientError) or list(found.shape) == shape


NUMBERS = st.integers(-(2**65), 2**65) | st.integers(-9, 300) | st.floats() | st.floats(width=16)


@given(
    st.sampled_from(sorted(DTYPES)),
    st.booleans(),
    st.lists(NUMBERS, min_size=1, max_size=6) | st.lists(NUMBERS | JSON, min_size=1, max_size=4),
)
def test_what_simdjson_reads_is_what_msgspec_reads(dtype, missing, values):
    """And what one of them refuses, the other one does in the same words."""
    reader, text = TensorReader(Tensor("x", dtype, ["n"], missing)), msgspec.Raw(json.dumps(values).encode())
    found = outcome(reader.read_flat, text, [len(values)])
    with mock.patch.object(tensor_codec, "MAX_SIMDJSON_BYTES", 0):
        slowly = outcome(reader.read_flat, text, [len(values)])
    assert type(found) is type(slowly)
    if isinstance(found, np.ndarray):
        assert found.dtype == slowly.dtype
        np.testing.assert_array_equal(found, slowly)
    else:
        assert found.reason == slowly.reason


@given(st.sampled_from(["float32", "int64", "string"]), st.binary())
def test_any_bytes_are_an_array_or_a_client_error(dtype, text):
    assert isinstance(outcome(TensorReader(Tensor("x", dtype, ["batch"])).read_nested, text), np.ndarray | ClientError)


@given(st.sampled_from(sorted(DTYPES)), SHAPES, st.binary(max_size=64), st.lists(st.integers(), max_size=4))
def test_any_bytes_beside_any_shape_are_an_array_or_a_client_error(dtype, declared, data, shape):
    found = outcome(TensorReader(Tensor("x", dtype, declared)).read_binary, memoryview(data), shape)
    assert isinstance(found, ClientError) or list(found.shape) == shape


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@given(data=st.data())
def test_what_is_written_in_binary_is_read_back_the_same(dtype, data):
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=4))
    elements = st.text() if dtype == "string" else hnp.from_dtype(np.dtype(DTYPES[dtype].numpy), **FINITE)
    array = data.draw(hnp.arrays(DTYPES[dtype].numpy, shape, elements=elements))
    offset = data.draw(st.integers(0, 7))  # what comes behind JSON may begin anywhere
    written = memoryview(bytes(offset) + to_binary(array))[offset:]
    found = TensorReader(Tensor("x", dtype, [*map(str, range(len(shape)))])).read_binary(written, [*shape])
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_binary_is_little_endian_in_c_order_with_lengths_before_texts():
    assert to_binary(np.array([[1, 2], [3, -1]], ">i2").T) == b"\1\0\3\0\2\0\xff\xff"
    assert to_binary(np.array([True, False])) == b"\1\0"
    assert to_binary(np.array(["é", ""], object)) == b"\2\0\0\0\xc3\xa9\0\0\0\0"
    assert split_strings(memoryview(b"\2\0\0\0\xc3\xa9\0\0\0\0"), "x") == ["é".encode(), b""]


def test_missing_values_are_null_in_json_and_nan_or_empty_in_binary():
    number, text, flag = (TensorReader(Tensor("x", dtype, ["batch"], True)) for dtype in ("float32", "string", "bool"))
    np.testing.assert_array_equal(number.read_nested(b"[1, null]"), np.array([1, np.nan], "float32"))
    np.testing.assert_array_equal(
        number.read_binary(memoryview(to_binary(np.array([np.nan], "float32"))), [1]), [np.nan]
    )
    assert text.read_nested(b'["a", null]').tolist() == ["a", ""]
    for reader, value in ((flag, b"[null]"), (TensorReader(Tensor("x", "float32", ["batch"])), b"[null]")):
        with pytest.raises(ClientError, match="null"):
            reader.read_nested(value)
    with pytest.raises(ClientError, match="infinite"):
        number.read_binary(memoryview(to_binary(np.array([np.inf], "float32"))), [1])


def test_more_values_than_memory_is_kept_for_are_413(monkeypatch):
    monkeypatch.setattr(tensor_codec, "MAX_VALUES", 10)
    reader = TensorReader(Tensor("x", "float32", ["batch"]))
    assert len(reader.read_nested(b"[" + b"1," * 10 + b"1]")) == 11
    for read, arguments in (
        (reader.read_nested, [b"[" + b"1," * 11 + b"1]"]),
        (split_strings, [memoryview(bytes(4 * 11)), "x"]),
        (to_json, ["y", np.zeros(11)]),
    ):
        with pytest.raises(ClientError) as raised:
            read(*arguments)
        assert raised.value.status == 413
        assert "10" in raised.value.reason


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1)
)
def test_numbers_come_in_as_they_are(rows):
    reader = TensorReader(Tensor("x", "float32", ["batch", 3]))
    expected = np.array(rows, "float32")
    np.testing.assert_array_equal(reader.read_nested(raw(rows)), expected)
    np.testing.assert_array_equal(reader.read_flat(raw(rows), [len(rows), 3]), expected)
    np.testing.assert_array_equal(reader.read_flat(raw(expected.ravel().tolist()), [len(rows), 3]), expected)


@pytest.mark.parametrize("dtype", [name for name, names in DTYPES.items() if names.json is int])
def test_integers_end_where_the_dtype_ends(dtype):
    reader, limits = TensorReader(Tensor("x", dtype, ["batch"])), np.iinfo(dtype)
    assert reader.read_nested(raw([int(limits.min), int(limits.max)])).tolist() == [limits.min, limits.max]
    for value in (int(limits.min) - 1, int(limits.max) + 1, 10**400):
        with pytest.raises(ClientError, match=dtype):
            reader.read_nested(raw([value]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[[1, 2], [3]]", "ragged"),
        (b"[[1, 2], []]", "ragged"),
        (b"[]", "empty"),
        (b"[[], []]", "shape"),
        (b"[[1, null]]", "null"),
        (b'[[1, "2"]]', "str"),
        (b"[[1, true]]", "bool"),
        (b"[1, 2]", "array"),
        (b"[[1, [2]]]", "array"),
        (b"[[1, NaN]]", "malformed"),
        (b"[[1, -Infinity]]", "malformed"),
        (b"[[1, 1e999]]", "out of range"),
        (b"[[1, 1e300]]", "too large"),
        (b"[[1, 2, 3]]", "(batch, 2)"),
        (b"[" * 100_000, "input"),
        (b'["\xff"]', "input"),
        (b"", "it is empty"),
    ],
)
def test_what_is_not_the_tensor_is_refused_by_name(text, reason):
    reader = TensorReader(Tensor("image", "float32", ["batch", 2]))
    with pytest.raises(ClientError) as raised:
        reader.check(reader.read_nested(text).shape, {})
    assert raised.value.status == 400
    for part in ("input 'image'", reason, "expected float32 of shape (batch, 2)"):
        assert part in raised.value.reason


def test_free_sizes_agree_across_inputs():
    sizes = {}
    TensorReader(Tensor("a", "float32", ["batch", "time"])).check((2, 5), sizes)
    assert sizes == {"batch": 2, "time": 5}
    with pytest.raises(ClientError, match="time is 5"):
        TensorReader(Tensor("b", "float32", ["batch", "time"])).check((2, 4), sizes)


def test_deep_nesting_is_refused_by_name_at_any_depth():
    reader = TensorReader(Tensor("x", "string", ["batch"] + [1] * 30))
    with pytest.raises(ClientError, match="'x'"):
        reader.read_nested(b"[" * 100_000)


def test_a_reason_is_one_short_line():
    error = ClientError(400, "a\nb\r\n" + "c" * 10**6)
    assert error.reason.startswith("a b c")
    assert len(error.reason) <= 400


def test_floats_are_written_so_that_they_read_back_the_same():
    values = np.random.default_rng(0).normal(size=100).astype("float32")
    assert np.array_equal(np.array(json.loads(msgspec.json.encode(values.tolist())), "float32"), values)
    assert json.loads(msgspec.json.encode([math.nan, math.inf])) == [None, None]
