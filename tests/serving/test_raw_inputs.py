"""Raw inputs: images, texts and table rows are preprocessed as in training."""

import base64
import io
import json
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kerasfound.bundle.manifest import ProcessingStep, Tensor
from kerasfound.preprocessing import pixels
from kerasfound.preprocessing.characters import encode_characters
from kerasfound.preprocessing.tokenizer import encode_texts, train_tokenizer
from kerasfound.serving.raw_inputs import MAX_TEXT_BYTES
from kerasfound.serving.tensor_codec import to_binary

SHAPE = 4, 5, 3
PERSONS = "/v2/models/persons/infer"
REVIEWS = ["A great film, isn't it?", "", "unknown word 日本 é" * 40, "It's <br /> BAD!"]
ALPHABET = "\n abcé日"


def make_image(mode, size, kind="PNG", seed=0):
    noise = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 4)).astype("uint8")
    file = io.BytesIO()
    image = Image.fromarray(noise if mode == "RGBA" else noise[..., :3])
    image.convert(mode).save(file, kind)
    return file.getvalue()


IMAGES = [
    make_image("RGB", (5, 4)),
    make_image("RGB", (50, 9), "JPEG"),
    make_image("L", (3, 3)),
    make_image("L", (40, 40), "JPEG"),
    make_image("RGBA", (7, 8)),
    make_image("P", (8, 8)),
    make_image("1", (8, 8)),
    make_image("CMYK", (9, 9), "JPEG"),
    make_image("LA", (8, 8), "WEBP"),
    make_image("P", (8, 8), "GIF"),
    make_image("I;16", (8, 8), "TIFF"),
    make_image("F", (8, 8), "TIFF"),
]


@pytest.fixture(scope="module")
def image_app(tmp_path_factory, bundle, make_app):
    folder = tmp_path_factory.mktemp("images")
    sides = dict(zip(("height", "width", "channels"), SHAPE, strict=True))
    bundle(folder, "picture", 1, preprocessing=[ProcessingStep("image", None, sides)])
    return make_app(folder)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(np.array(["a great film , isn't it ?", "it's bad !"]), vocabulary=20, length=12)


@pytest.fixture(scope="module")
def text_app(tmp_path_factory, bundle, make_app, tokenizer):
    folder = tmp_path_factory.mktemp("words")
    file = "assets/tokenizer.json"
    bundle(folder, "ids", 1, {file: tokenizer.to_str().encode()}, preprocessing=[ProcessingStep("tokenizer", file)])
    return make_app(folder)


@pytest.fixture(scope="module")
def character_app(tmp_path_factory, bundle, make_app):
    folder = tmp_path_factory.mktemp("characters")
    bundle(folder, "ids", 1, preprocessing=[ProcessingStep("characters")], labels=list(ALPHABET))
    return make_app(folder)


def b64(file):
    return base64.b64encode(file).decode()


def predict_in_every_way(call, model, name, inputs, as_json):
    """Yields the model's inputs, which it returns as outputs, for each way to send `inputs`."""
    values = [as_json(value) for value in inputs]
    objects = [{"b64": b64(value)} for value in inputs]
    predict = f"/v1/models/{model}:predict"
    for rows in (values, objects, [{name: value} for value in values], [{name: value} for value in objects]):
        yield call("POST", predict, {"instances": rows}).json()["predictions"]
    for column in (values, objects, {name: values}, {name: objects}):
        yield call("POST", predict, {"inputs": column}).json()["outputs"]
    binary_data = to_binary(np.array(values, object)) if as_json is not b64 else join_files(inputs)
    for shape in ([len(inputs)], [len(inputs), 1]):
        tensor = {"name": name, "shape": shape, "datatype": "BYTES"}
        for fields, content in (
            ({"data": values}, b""),
            ({"parameters": {"binary_data_size": len(binary_data)}}, binary_data),
        ):
            head = json.dumps({"inputs": [tensor | fields]}).encode()
            headers = {"Inference-Header-Content-Length": len(head)}
            (output,) = call("POST", f"/v2/models/{model}/infer", head + content, headers).json()["outputs"]
            yield np.reshape(output["data"], output["shape"]).tolist()


def join_files(files):
    return b"".join(len(file).to_bytes(4, "little") + file for file in files)


def assert_error(response, *parts, status=400):
    assert response.status == status, response
    assert list(response.json()) == ["error"]
    assert "\n" not in response.json()["error"]
    for part in parts:
        assert part in response.json()["error"]


def test_images_are_preprocessed_as_in_training(image_app, tmp_path):
    for i, file in enumerate(IMAGES):
        (tmp_path / str(i)).write_bytes(file)
    expected = np.stack([pixels.read_image(tmp_path / str(i), SHAPE) for i in range(len(IMAGES))]).astype("float32")
    ways = [*predict_in_every_way(image_app, "picture", "x", IMAGES, b64)]
    assert len(ways) == 12
    for predictions in ways:
        np.testing.assert_array_equal(predictions, expected)
    response = image_app("POST", "/v1/models/picture:predict", {"instances": expected.tolist()})
    np.testing.assert_array_equal(response.json()["predictions"], expected)


def test_texts_are_preprocessed_as_in_training(text_app, tokenizer):
    expected = encode_texts(tokenizer, REVIEWS).tolist()
    ways = [*predict_in_every_way(text_app, "ids", "x", [text.encode() for text in REVIEWS], bytes.decode)]
    assert ways == [expected] * 12


def test_characters_are_preprocessed_as_in_training(character_app):
    texts = ["abé", "日 \n", "aaa"]
    expected = [encode_characters(text, ALPHABET).tolist() for text in texts]
    ways = [*predict_in_every_way(character_app, "ids", "x", [text.encode() for text in texts], bytes.decode)]
    assert ways == [expected] * 12
    for rows, parts in (
        (["abx"], ["'x'", "not in the text"]),
        (["ab", "abc"], ["one length"]),
        ([""], ["at least one character"]),
    ):
        assert_error(character_app("POST", "/v1/models/ids:predict", {"instances": rows}), "input 'x'", *parts)


def test_table_rows_are_json_objects(tmp_path, bundle, make_app):
    columns = [Tensor("age", "float32", ["batch"], True), Tensor("city", "string", ["batch"], True)]
    bundle(tmp_path, "persons", 1, inputs=columns)
    call = make_app(tmp_path)
    rows = [{"age": 3, "city": "Rome"}, {"city": None, "age": None}, {"age": 0.5, "city": ""}]
    response = call("POST", "/v1/models/persons:predict", {"instances": rows})
    assert response.json()["predictions"] == [
        {"its_age": 3.0, "its_city": "Rome"},
        {"its_age": None, "its_city": ""},
        {"its_age": 0.5, "its_city": ""},
    ]
    for bad, parts in (
        ({"age": 3}, ["row 3", "'age'"]),
        ({"age": 3, "city": "a", "more": 1}, ["row 3", "'more'"]),
        ({"age": "3", "city": "a"}, ["'age'", "str"]),
        ({"age": 3, "city": 3}, ["'city'", "int"]),
    ):
        assert_error(call("POST", "/v1/models/persons:predict", {"instances": [*rows, bad]}), *parts)
    incomplete = call("POST", "/v1/models/persons:predict", {"instances": [{"age": 3}]})
    assert_error(incomplete, "'city' is missing", "use null for a missing value")


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_columns_are_tensors_with_or_without_tritons_extra_axis(call, shape):
    """In `config.pbtxt`, the empty shape of a column's value is [1]."""
    age, city = np.array([3, 4.5], "float32"), ["Rome", ""]
    inputs = [
        {"name": "age", "datatype": "FP32", "shape": shape, "data": age.tolist()},
        {"name": "city", "datatype": "BYTES", "shape": shape, "data": city},
    ]
    description = {output["name"]: output for output in call("POST", PERSONS, {"inputs": inputs}).json()["outputs"]}
    assert (description["its_age"]["shape"], description["its_age"]["data"], description["its_city"]["data"]) == (
        [2],
        [3, 4.5],
        city,
    )
    parts = [age.tobytes(), b"\4\0\0\0Rome\0\0\0\0"]
    for tensor, part in zip(inputs, parts, strict=True):
        del tensor["data"]
        tensor["parameters"] = {"binary_data_size": len(part)}
    head = json.dumps({"inputs": inputs}).encode()
    sent = call("POST", PERSONS, b"".join([head, *parts]), {"Inference-Header-Content-Length": len(head)})
    assert [output["data"] for output in sent.json()["outputs"]] == [[3, 4.5], city]


def test_ids_outside_the_table_are_errors_that_name_the_input(tmp_path, bundle, make_app):
    """ONNX Runtime reads -1 as the last id."""
    bundle(tmp_path, "ids", 1, inputs=[Tensor("x", "int32", ["batch", "time"], num_ids=10)])
    call = make_app(tmp_path)
    assert call("POST", "/v1/models/ids:predict", {"instances": [[0, 9]]}).json() == {"predictions": [[0, 9]]}
    for wrong in (-1, 10, 2**31 - 1):
        for body in ({"instances": [[0, wrong]]}, {"inputs": {"x": [[wrong]]}}):
            assert_error(call("POST", "/v1/models/ids:predict", body), "input 'x'", f"got id {wrong}", "from 0 to 9")


def huge_image(width, height):
    """An image file of a few kB with 30 MB of pixels or more."""
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def unknown_range():
    """A TIFF file of floats that neither end at 1 nor at 255."""
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 5]], "float32")).save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("no base64!", ["not base64"]),
        ("aGk", ["not base64"]),
        ("é", ["not base64"]),
        ("", ["image 0", "not an image"]),
        ("aGk=", ["image 0", "not an image"]),
        (b64(IMAGES[0][:60]), ["image 0", "not an image"]),
        (b64(IMAGES[1][:200]), ["image 0", "not an image"]),
        (b64(make_image("RGB", (5, 4), "PCX")), ["not an image", "expected PNG, JPEG"]),
        (b64(make_image("RGB", (5, 4), "EPS")), ["not an image"]),
        (b64(unknown_range()), ["image 0", "values from 0 to 5", "floats in 0..1"]),
        (b64(huge_image(1 << 13, 1 << 12)), ["image 0", "too many pixels"]),
        ({"b64": 1}, ["str"]),
        ({"c64": ""}, ["'c64'"]),
        ([[[1]]], ["'x'"]),
        (None, ["null"]),
        (7, ["int"]),
    ],
)
def test_invalid_images_are_refused(image_app, row, parts):
    assert_error(image_app("POST", "/v1/models/picture:predict", {"instances": [row]}), *parts)


def test_the_total_number_of_pixels_is_limited(image_app):
    rows = [b64(huge_image(1 << 12, 1 << 11))] * 3
    assert image_app("POST", "/v1/models/picture:predict", {"instances": rows[:2]}).status == 200
    response = image_app("POST", "/v1/models/picture:predict", {"instances": rows})
    assert_error(response, "image 2", "too many pixels")


def test_compressed_metadata_of_an_image_is_not_a_memory_bomb(image_app):
    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    bomb = zlib.compress(bytes(1 << 26), 9)
    first, rest = IMAGES[0][:33], IMAGES[0][33:]
    for kind, data in ((b"zTXt", b"a\0\0" + bomb), (b"iTXt", b"a\0\1\0\0\0" + bomb), (b"iCCP", b"a\0\0" + bomb)):
        response = image_app(
            "POST", "/v1/models/picture:predict", {"instances": [b64(first + chunk(kind, data) + rest)]}
        )
        assert response.status in (200, 400)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"data": ["a", "b", "c"]}, ["'x'", "got 3 texts", "2"]),
        ({"data": []}, ["'x'", "empty"]),
        ({"data": [["a"], ["b", "c"]]}, ["'x'", "array"]),
        ({"shape": [2, 2]}, ["[2, 2]", "[n, 1]"]),
        ({"shape": []}, ["[]", "[n, 1]"]),
        ({"shape": [-2]}, ["-2"]),
        ({"shape": [10**30]}, ["1000000"]),
        ({"datatype": "INT32"}, ["'x'", "(2)", "(batch, time)"]),
        ({"datatype": "FP32"}, ["'FP32'", "'INT32'"]),
        ({"data": ["a", "\ud800"]}, ["the request"]),
    ],
)
def test_v2_raw_tensors_are_checked(text_app, change, parts):
    tensor = {"name": "x", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    assert_error(text_app("POST", "/v2/models/ids/infer", {"inputs": [tensor | change]}), *parts)


@pytest.mark.parametrize(
    ("binary_data", "parts"),
    [
        (b"", ["'x'", "empty"]),
        (b"\1\0\0\0", ["after the end of the tensor"]),
        (b"\1\0\0\0\xff", ["not UTF-8", "byte 0"]),
        (b"\0\0\0\0\0\0\0\0", ["got 2 texts"]),
    ],
)
def test_v2_raw_binary_tensors_are_checked(text_app, binary_data, parts):
    description = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(binary_data)}}
    head = json.dumps({"inputs": [description]}).encode()
    headers = {"Inference-Header-Content-Length": len(head)}
    assert_error(text_app("POST", "/v2/models/ids/infer", head + binary_data, headers), *parts)


def test_the_total_size_of_texts_is_limited(text_app):
    half = "a " * (MAX_TEXT_BYTES // 4)
    assert text_app("POST", "/v1/models/ids:predict", {"instances": [half, half]}).status == 200
    assert_error(
        text_app("POST", "/v1/models/ids:predict", {"instances": [half, half, "a"]}),
        "bytes of text; expected at most",
        str(MAX_TEXT_BYTES),
    )


def test_without_pillow_the_error_says_what_to_install(image_app, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    response = image_app("POST", "/v1/models/picture:predict", {"instances": [b64(IMAGES[0])]})
    assert_error(response, "PIL", "pip install 'kerasfound[raw]'", status=415)


@settings(max_examples=150)
@given(st.sampled_from(IMAGES), st.data())
def test_corrupted_files_are_decoded_or_refused(image_app, file, data):
    corrupted = bytearray(file)
    for index in data.draw(st.lists(st.integers(0, len(file) - 1), min_size=1, max_size=6)):
        corrupted[index] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(file)) | st.just(len(file)))
    response = image_app("POST", "/v1/models/picture:predict", {"instances": [b64(bytes(corrupted[:length]))]})
    assert response.status in (200, 400), response
