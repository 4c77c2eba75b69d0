"""Pictures, texts and table rows go in as they are, and are read as training reads them."""

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


def picture(mode, size, kind="PNG", seed=0):
    noise = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 4)).astype("uint8")
    file = io.BytesIO()
    image = Image.fromarray(noise if mode == "RGBA" else noise[..., :3])
    image.convert(mode).save(file, kind)
    return file.getvalue()


PICTURES = [
    picture("RGB", (5, 4)),
    picture("RGB", (50, 9), "JPEG"),
    picture("L", (3, 3)),
    picture("L", (40, 40), "JPEG"),
    picture("RGBA", (7, 8)),
    picture("P", (8, 8)),
    picture("1", (8, 8)),
    picture("CMYK", (9, 9), "JPEG"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, bundle, asking):
    folder = tmp_path_factory.mktemp("pictures")
    sides = dict(zip(("height", "width", "channels"), SHAPE, strict=True))
    bundle(folder, "picture", 1, preprocessing=[ProcessingStep("image", None, sides)])
    return asking(folder)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(np.array(["a great film , isn't it ?", "it's bad !"]), vocabulary=20, length=12)


@pytest.fixture(scope="module")
def words(tmp_path_factory, bundle, asking, tokenizer):
    folder = tmp_path_factory.mktemp("words")
    file = "assets/tokenizer.json"
    bundle(folder, "ids", 1, {file: tokenizer.to_str().encode()}, preprocessing=[ProcessingStep("tokenizer", file)])
    return asking(folder)


@pytest.fixture(scope="module")
def characters(tmp_path_factory, bundle, asking):
    folder = tmp_path_factory.mktemp("characters")
    bundle(folder, "ids", 1, preprocessing=[ProcessingStep("characters")], labels=list(ALPHABET))
    return asking(folder)


def b64(file):
    return base64.b64encode(file).decode()


def every_way(ask, model, name, given, as_json):
    """The rows that the model was asked with, which it says back, for each way to send what was given."""
    values = [as_json(each) for each in given]
    objects = [{"b64": b64(each)} for each in given]
    predict = f"/v1/models/{model}:predict"
    for rows in (values, objects, [{name: value} for value in values], [{name: value} for value in objects]):
        yield ask("POST", predict, {"instances": rows}).json()["predictions"]
    for column in (values, objects, {name: values}, {name: objects}):
        yield ask("POST", predict, {"inputs": column}).json()["outputs"]
    behind = to_binary(np.array(values, object)) if as_json is not b64 else binary(given)
    for shape in ([len(given)], [len(given), 1]):
        tensor = {"name": name, "shape": shape, "datatype": "BYTES"}
        for more, content in (({"data": values}, b""), ({"parameters": {"binary_data_size": len(behind)}}, behind)):
            head = json.dumps({"inputs": [tensor | more]}).encode()
            headers = {"Inference-Header-Content-Length": len(head)}
            (output,) = ask("POST", f"/v2/models/{model}/infer", head + content, headers).json()["outputs"]
            yield np.reshape(output["data"], output["shape"]).tolist()


def binary(files):
    return b"".join(len(file).to_bytes(4, "little") + file for file in files)


def refused(answer, *parts, status=400):
    assert answer.status == status, answer
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.json()["error"]
    for part in parts:
        assert part in answer.json()["error"]


def test_pictures_are_read_as_training_reads_them(pictures, tmp_path):
    for i, file in enumerate(PICTURES):
        (tmp_path / str(i)).write_bytes(file)
    expected = np.stack([pixels.read_image(tmp_path / str(i), SHAPE) for i in range(len(PICTURES))]).astype("float32")
    ways = [*every_way(pictures, "picture", "x", PICTURES, b64)]
    assert len(ways) == 12
    for found in ways:
        np.testing.assert_array_equal(found, expected)
    answer = pictures("POST", "/v1/models/picture:predict", {"instances": expected.tolist()})
    np.testing.assert_array_equal(answer.json()["predictions"], expected)


def test_texts_are_read_as_training_reads_them(words, tokenizer):
    expected = encode_texts(tokenizer, REVIEWS).tolist()
    ways = [*every_way(words, "ids", "x", [text.encode() for text in REVIEWS], bytes.decode)]
    assert ways == [expected] * 12


def test_characters_are_read_as_training_reads_them(characters):
    given = ["abé", "日 \n", "aaa"]
    expected = [encode_characters(text, ALPHABET).tolist() for text in given]
    ways = [*every_way(characters, "ids", "x", [text.encode() for text in given], bytes.decode)]
    assert ways == [expected] * 12
    for rows, parts in (
        (["abx"], ["'x'", "not in the text"]),
        (["ab", "abc"], ["one length"]),
        ([""], ["at least one character"]),
    ):
        refused(characters("POST", "/v1/models/ids:predict", {"instances": rows}), "input 'x'", *parts)


def test_table_rows_go_in_as_objects(tmp_path, bundle, asking):
    columns = [Tensor("age", "float32", ["batch"], True), Tensor("city", "string", ["batch"], True)]
    bundle(tmp_path, "persons", 1, inputs=columns)
    ask = asking(tmp_path)
    rows = [{"age": 3, "city": "Rome"}, {"city": None, "age": None}, {"age": 0.5, "city": ""}]
    answer = ask("POST", "/v1/models/persons:predict", {"instances": rows})
    assert answer.json()["predictions"] == [
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
        refused(ask("POST", "/v1/models/persons:predict", {"instances": [*rows, bad]}), *parts)
    lacking = ask("POST", "/v1/models/persons:predict", {"instances": [{"age": 3}]})
    refused(lacking, "'city' is missing", "use null for a missing value")


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_columns_go_in_as_tensors_in_the_protocols_shape_and_in_tritons(ask, shape):
    """Its `config.pbtxt` has [1] for the empty shape of a column's value."""
    age, city = np.array([3, 4.5], "float32"), ["Rome", ""]
    inputs = [
        {"name": "age", "datatype": "FP32", "shape": shape, "data": age.tolist()},
        {"name": "city", "datatype": "BYTES", "shape": shape, "data": city},
    ]
    told = {output["name"]: output for output in ask("POST", PERSONS, {"inputs": inputs}).json()["outputs"]}
    assert (told["its_age"]["shape"], told["its_age"]["data"], told["its_city"]["data"]) == ([2], [3, 4.5], city)
    parts = [age.tobytes(), b"\4\0\0\0Rome\0\0\0\0"]
    for tensor, part in zip(inputs, parts, strict=True):
        del tensor["data"]
        tensor["parameters"] = {"binary_data_size": len(part)}
    head = json.dumps({"inputs": inputs}).encode()
    sent = ask("POST", PERSONS, b"".join([head, *parts]), {"Inference-Header-Content-Length": len(head)})
    assert [output["data"] for output in sent.json()["outputs"]] == [[3, 4.5], city]


def test_ids_that_are_not_in_the_table_are_refused_by_name(tmp_path, bundle, asking):
    """ONNX Runtime would take -1 for the last one."""
    bundle(tmp_path, "ids", 1, inputs=[Tensor("x", "int32", ["batch", "time"], num_ids=10)])
    ask = asking(tmp_path)
    assert ask("POST", "/v1/models/ids:predict", {"instances": [[0, 9]]}).json() == {"predictions": [[0, 9]]}
    for wrong in (-1, 10, 2**31 - 1):
        for body in ({"instances": [[0, wrong]]}, {"inputs": {"x": [[wrong]]}}):
            refused(ask("POST", "/v1/models/ids:predict", body), "input 'x'", f"got id {wrong}", "from 0 to 9")


def huge(width, height):
    """A picture of a few kB whose pixels take 30 MB or more."""
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("no base64!", ["not base64"]),
        ("aGk", ["not base64"]),
        ("é", ["not base64"]),
        ("", ["image 0", "not an image"]),
        ("aGk=", ["image 0", "not an image"]),
        (b64(PICTURES[0][:60]), ["image 0", "not an image"]),
        (b64(PICTURES[1][:200]), ["image 0", "not an image"]),
        (b64(picture("RGB", (5, 4), "GIF")), ["not an image"]),
        (b64(picture("RGB", (5, 4), "TIFF")), ["not an image"]),
        (b64(huge(1 << 13, 1 << 12)), ["image 0", "too many pixels"]),
        ({"b64": 1}, ["str"]),
        ({"c64": ""}, ["'c64'"]),
        ([[[1]]], ["'x'"]),
        (None, ["null"]),
        (7, ["int"]),
    ],
)
def test_what_is_no_picture_is_refused(pictures, row, parts):
    refused(pictures("POST", "/v1/models/picture:predict", {"instances": [row]}), *parts)


def test_the_pixels_of_all_pictures_are_bounded_together(pictures):
    rows = [b64(huge(1 << 12, 1 << 11))] * 3
    assert pictures("POST", "/v1/models/picture:predict", {"instances": rows[:2]}).status == 200
    answer = pictures("POST", "/v1/models/picture:predict", {"instances": rows})
    refused(answer, "image 2", "too many pixels")


def test_a_picture_may_not_inflate_beyond_its_pixels(pictures):
    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    bomb = zlib.compress(bytes(1 << 26), 9)
    first, rest = PICTURES[0][:33], PICTURES[0][33:]
    for kind, data in ((b"zTXt", b"a\0\0" + bomb), (b"iTXt", b"a\0\1\0\0\0" + bomb), (b"iCCP", b"a\0\0" + bomb)):
        answer = pictures("POST", "/v1/models/picture:predict", {"instances": [b64(first + chunk(kind, data) + rest)]})
        assert answer.status in (200, 400)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"data": ["a", "b", "c"]}, ["'x'", "got 3 texts", "2"]),
        ({"data": []}, ["'x'", "empty"]),
        ({"data": [["a"], ["b"]]}, ["'x'", "array"]),
        ({"shape": [2, 2]}, ["[2, 2]", "[n, 1]"]),
        ({"shape": []}, ["[]", "[n, 1]"]),
        ({"shape": [-2]}, ["-2"]),
        ({"shape": [10**30]}, ["1000000"]),
        ({"datatype": "INT32"}, ["'x'", "(2)", "(batch, time)"]),
        ({"datatype": "FP32"}, ["'FP32'", "'INT32'"]),
        ({"data": ["a", "\ud800"]}, ["the request"]),
    ],
)
def test_v2_raw_tensors_are_checked(words, change, parts):
    tensor = {"name": "x", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    refused(words("POST", "/v2/models/ids/infer", {"inputs": [tensor | change]}), *parts)


@pytest.mark.parametrize(
    ("behind", "parts"),
    [
        (b"", ["'x'", "empty"]),
        (b"\1\0\0\0", ["after the end of the tensor"]),
        (b"\1\0\0\0\xff", ["not UTF-8", "byte 0"]),
        (b"\0\0\0\0\0\0\0\0", ["got 2 texts"]),
    ],
)
def test_v2_raw_binary_tensors_are_checked(words, behind, parts):
    told = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(behind)}}
    head = json.dumps({"inputs": [told]}).encode()
    headers = {"Inference-Header-Content-Length": len(head)}
    refused(words("POST", "/v2/models/ids/infer", head + behind, headers), *parts)


def test_texts_are_bounded_together(words):
    half = "a " * (MAX_TEXT_BYTES // 4)
    assert words("POST", "/v1/models/ids:predict", {"instances": [half, half]}).status == 200
    refused(
        words("POST", "/v1/models/ids:predict", {"instances": [half, half, "a"]}),
        "bytes of text; expected at most",
        str(MAX_TEXT_BYTES),
    )


def test_without_pillow_the_server_says_what_to_install(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    answer = pictures("POST", "/v1/models/picture:predict", {"instances": [b64(PICTURES[0])]})
    refused(answer, "PIL", "pip install 'kerasfound[raw]'", status=415)


@settings(max_examples=150)
@given(st.sampled_from(PICTURES), st.data())
def test_broken_files_are_pictures_or_refused(pictures, file, data):
    broken = bytearray(file)
    for place in data.draw(st.lists(st.integers(0, len(file) - 1), min_size=1, max_size=6)):
        broken[place] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(file)) | st.just(len(file)))
    answer = pictures("POST", "/v1/models/picture:predict", {"instances": [b64(bytes(broken[:length]))]})
    assert answer.status in (200, 400), answer
