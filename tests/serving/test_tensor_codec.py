"""JSON and bytes to arrays: valid tensors become arrays, everything else is a ClientError."""

import base64
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
    """Returns the result of `read` or its ClientError; any other error fails the test."""
    try:
        return read(*arguments)
    except ClientError as error:
        return error


@given(st.sampled_from(sorted(DTYPES)), SHAPES, JSON)
def test_any_json_value_gives_an_array_or_a_client_error(dtype, shape, value):
    reader = TensorReader(Tensor("x", dtype, shape))
    result = outcome(reader.read_nested, raw(value))
    if isinstance(result, ClientError):
        assert result.status == 400
        assert "'x'" in result.reason
        assert "\n" not in result.reason
    else:
        assert result.dtype == DTYPES[dtype].numpy
        assert result.ndim == len(shape)
        outcome(reader.check, result.shape, {})


@given(st.sampled_from(sorted(DTYPES)), SHAPES, JSON, st.lists(st.integers(), max_size=4))
def test_any_json_value_with_any_shape_gives_an_array_or_a_client_error(dtype, declared, value, shape):
    result = outcome(TensorReader(Tensor("x", dtype, declared)).read_flat, raw(value), shape)
    assert isinstance(result, ClientError) or list(result.shape) == shape


NUMBERS = st.integers(-(2**65), 2**65) | st.integers(-9, 300) | st.floats() | st.floats(width=16)


@given(
    st.sampled_from(sorted(DTYPES)),
    st.booleans(),
    st.lists(NUMBERS, min_size=1, max_size=6) | st.lists(NUMBERS | JSON, min_size=1, max_size=4),
)
def test_simdjson_and_msgspec_give_the_same_result(dtype, nullable, values):
    """Errors have the same message too."""
    reader, text = TensorReader(Tensor("x", dtype, ["n"], nullable)), msgspec.Raw(json.dumps(values).encode())
    result = outcome(reader.read_flat, text, [len(values)])
    with mock.patch.object(tensor_codec, "MAX_SIMDJSON_BYTES", 0):
        msgspec_result = outcome(reader.read_flat, text, [len(values)])
    assert type(result) is type(msgspec_result)
    if isinstance(result, np.ndarray):
        assert result.dtype == msgspec_result.dtype
        np.testing.assert_array_equal(result, msgspec_result)
    else:
        assert result.reason == msgspec_result.reason


@given(st.sampled_from(["float32", "int64", "string"]), st.binary())
def test_any_bytes_give_an_array_or_a_client_error(dtype, text):
    assert isinstance(outcome(TensorReader(Tensor("x", dtype, ["batch"])).read_nested, text), np.ndarray | ClientError)


@given(st.sampled_from(sorted(DTYPES)), SHAPES, st.binary(max_size=64), st.lists(st.integers(), max_size=4))
def test_any_bytes_with_any_shape_give_an_array_or_a_client_error(dtype, declared, data, shape):
    result = outcome(TensorReader(Tensor("x", dtype, declared)).read_binary, memoryview(data), shape)
    assert isinstance(result, ClientError) or list(result.shape) == shape


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@given(data=st.data())
def test_binary_tensors_round_trip(dtype, data):
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=4))
    elements = st.text() if dtype == "string" else hnp.from_dtype(np.dtype(DTYPES[dtype].numpy), **FINITE)
    array = data.draw(hnp.arrays(DTYPES[dtype].numpy, shape, elements=elements))
    offset = data.draw(st.integers(0, 7))  # binary data after JSON can start at any offset
    data_with_offset = memoryview(bytes(offset) + to_binary(array))[offset:]
    result = TensorReader(Tensor("x", dtype, [*map(str, range(len(shape)))])).read_binary(data_with_offset, [*shape])
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


def test_binary_tensors_are_little_endian_in_c_order_with_string_lengths():
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


def test_too_many_values_are_413(monkeypatch):
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
def test_numbers_are_read_exactly(rows):
    reader = TensorReader(Tensor("x", "float32", ["batch", 3]))
    expected = np.array(rows, "float32")
    np.testing.assert_array_equal(reader.read_nested(raw(rows)), expected)
    np.testing.assert_array_equal(reader.read_flat(raw(rows), [len(rows), 3]), expected)
    np.testing.assert_array_equal(reader.read_flat(raw(expected.ravel().tolist()), [len(rows), 3]), expected)


@pytest.mark.parametrize("dtype", [name for name, names in DTYPES.items() if names.json is int])
def test_integers_outside_the_dtype_are_refused(dtype):
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
        (b"[[1, null]]", "this model takes no missing values"),
        (b'[[1, "2"]]', "str"),
        (b"[[1, true]]", "bool"),
        (b"[1, 2]", "array"),
        (b"[[1, [2]]]", "array"),
        (b"[[1, NaN]]", "this model takes no missing values"),
        (b"[[1, -Infinity]]", "JSON has no Infinity"),
        (b"[[1, 1e999]]", "out of range"),
        (b"[[1, 1e300]]", "too large"),
        (b"[[1, 2, 3]]", "(batch, 2)"),
        (b"[" * 100_000, "input"),
        (b'["\xff"]', "input"),
        (b"", "it is empty"),
    ],
)
def test_invalid_tensors_are_errors_that_name_the_input(text, reason):
    reader = TensorReader(Tensor("image", "float32", ["batch", 2]))
    with pytest.raises(ClientError) as raised:
        reader.check(reader.read_nested(text).shape, {})
    assert raised.value.status == 400
    for part in ("input 'image'", reason, "expected float32 of shape (batch, 2)"):
        assert part in raised.value.reason


@pytest.mark.parametrize("missing", [b"null", b"NaN", b"-NaN"])
def test_a_missing_number_is_nan_in_a_nullable_input(missing):
    array = TensorReader(Tensor("x", "float32", ["batch", 2], nullable=True)).read_nested(b"[[1, %s]]" % missing)
    np.testing.assert_array_equal(array, np.array([[1, np.nan]], "float32"))


@pytest.mark.parametrize("text", ["NaN", 'say "NaN"', "\\", "Zürich", ""])
def test_a_string_may_be_base64_and_keeps_the_letters_nan(text):
    reader = TensorReader(Tensor("city", "string", ["batch"], nullable=True))
    encoded = {"b64": base64.b64encode(text.encode()).decode()}
    body = f"[{json.dumps(text)}, {json.dumps(encoded)}, NaN]".encode()
    assert reader.read_nested(body).tolist() == [text, text, ""]


@pytest.mark.parametrize(("b64", "reason"), [("###", "not base64"), ("/w==", "not UTF-8")])
def test_base64_that_is_no_text_is_an_error(b64, reason):
    with pytest.raises(ClientError, match=rf"input 'city': .*{reason}"):
        TensorReader(Tensor("city", "string", ["batch"])).read_nested(json.dumps([{"b64": b64}]).encode())


def test_dynamic_dimensions_agree_across_inputs():
    sizes = {}
    TensorReader(Tensor("a", "float32", ["batch", "time"])).check((2, 5), sizes)
    assert sizes == {"batch": 2, "time": 5}
    with pytest.raises(ClientError, match="time is 5"):
        TensorReader(Tensor("b", "float32", ["batch", "time"])).check((2, 4), sizes)


def test_deep_nesting_is_an_error_that_names_the_input():
    reader = TensorReader(Tensor("x", "string", ["batch"] + [1] * 30))
    with pytest.raises(ClientError, match="'x'"):
        reader.read_nested(b"[" * 100_000)


def test_a_reason_is_one_short_line():
    error = ClientError(400, "a\nb\r\n" + "c" * 10**6)
    assert error.reason.startswith("a b c")
    assert len(error.reason) <= 400


def test_floats_round_trip_through_json():
    values = np.random.default_rng(0).normal(size=100).astype("float32")
    assert np.array_equal(np.array(json.loads(msgspec.json.encode(values.tolist())), "float32"), values)
    assert json.loads(msgspec.json.encode([math.nan, math.inf])) == [None, None]
