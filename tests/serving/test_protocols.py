"""Both protocols over a real connection: ONNX Runtime's own answers, and every mistake its 4xx."""

import json

import numpy as np
import pytest

IMAGES = np.random.default_rng(0).normal(size=(3, 2, 3)).astype("float32")
IDS = np.array([[1, 2, 9], [0, 5, 5]])
WEIGHTS = np.array([[1, 0.5, 2], [-1, 3, 0]], "float32")


def tensor(name, array, datatype, flat=True):
    data = (array.ravel() if flat else array).tolist()
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}


IMAGE = tensor("image", IMAGES, "FP32")


def good(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def refused(response, status, *parts):
    """The protocol's error form, with one line that holds `parts`."""
    assert response.status_code == status, response.text
    answer = response.json()
    assert list(answer) == ["error"]
    assert "\n" not in answer["error"]
    for part in parts:
        assert part in answer["error"]


# The right answers


@pytest.mark.parametrize(("path", "version"), [("", 12), ("/versions/1", 1), ("/versions/12", 12)])
def test_v1_predict_answers_as_onnx_runtime_does(server, direct, path, version):
    (expected,) = direct("scores", {"image": IMAGES}, version)
    url = f"/v1/models/scores{path}:predict"
    for body in ({"instances": IMAGES.tolist()}, {"instances": [{"image": image} for image in IMAGES.tolist()]}):
        assert good(server.post(url, json=body)) == {"predictions": expected.tolist()}
    for body in ({"inputs": IMAGES.tolist()}, {"inputs": {"image": IMAGES.tolist()}}):
        assert good(server.post(url, json=body | {"signature_name": "serving_default"})) == {
            "outputs": expected.tolist()
        }


def test_v1_predict_of_several_inputs_and_outputs(server, direct):
    total, positive = direct("pair", {"ids": IDS, "weights": WEIGHTS})
    rows = [{"ids": i, "weights": w} for i, w in zip(IDS.tolist(), WEIGHTS.tolist(), strict=True)]
    assert good(server.post("/v1/models/pair:predict", json={"instances": rows})) == {
        "predictions": [{"total": t, "positive": p} for t, p in zip(total.tolist(), positive.tolist(), strict=True)]
    }
    columns = {"ids": IDS.tolist(), "weights": WEIGHTS.tolist()}
    assert good(server.post("/v1/models/pair:predict", json={"inputs": columns})) == {
        "outputs": {"total": total.tolist(), "positive": positive.tolist()}
    }


def test_v1_status_and_metadata(server):
    def available(*versions):
        fine = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": v, "state": "AVAILABLE", "status": fine} for v in versions]}

    assert good(server.get("/v1/models/scores")) == available("12", "1")
    assert good(server.get("/v1/models/scores/versions/1")) == available("1")
    answer = good(server.get("/v1/models/scores/metadata"))
    assert answer["model_spec"] == {"name": "scores", "signature_name": "", "version": "12"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["image"]["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in signature["inputs"]["image"]["tensor_shape"]["dim"]] == ["-1", "2", "3"]
    assert list(signature["outputs"]) == ["probabilities"]


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize(("path", "version"), [("", "12"), ("/versions/1", "1")])
def test_v2_infer_answers_as_onnx_runtime_does(server, direct, path, version, flat):
    (expected,) = direct("scores", {"image": IMAGES}, version)
    body = {"id": "é1", "inputs": [tensor("image", IMAGES, "FP32", flat)], "parameters": {"sequence": 1}}
    assert good(server.post(f"/v2/models/scores{path}/infer", json=body)) == {
        "model_name": "scores",
        "model_version": version,
        "id": "é1",
        "outputs": [tensor("probabilities", expected, "FP32")],
    }


def test_v2_infer_selects_outputs(server, direct):
    total, positive = direct("pair", {"ids": IDS, "weights": WEIGHTS})
    body = {"inputs": [tensor("weights", WEIGHTS, "FP32"), tensor("ids", IDS, "INT64")]}
    every = [tensor("total", total, "FP32"), tensor("positive", positive, "BOOL")]
    for wanted, expected in (
        (None, every),
        ([], every),
        (["positive"], every[1:]),
        (["positive", "total"], every[::-1]),
    ):
        asked = body if wanted is None else body | {"outputs": [{"name": name} for name in wanted]}
        assert good(server.post("/v2/models/pair/infer", json=asked))["outputs"] == expected


@pytest.mark.parametrize(
    ("name", "datatype", "values"),
    [
        ("pixels", "UINT8", [[0, 127, 255]]),
        ("words", "BYTES", [["a", "é\n"], ["", "日"]]),
        ("flags", "BOOL", [True, False]),
    ],
)
def test_every_kind_of_element_goes_through(server, name, datatype, values):
    assert good(server.post(f"/v1/models/{name}:predict", json={"instances": values})) == {"predictions": values}
    array = np.array(values, object)
    body = {"inputs": [tensor("x", array, datatype)]}
    assert good(server.post(f"/v2/models/{name}/infer", json=body))["outputs"] == [tensor("y", array, datatype)]


def test_what_is_not_finite_goes_out_as_null(server):
    assert server.post("/v1/models/logarithm:predict", json={"instances": [0, -1, 1]}).text == (
        '{"predictions":[null,null,0.0]}'
    )


def test_v2_health_and_metadata(server):
    assert good(server.get("/v2/health/live")) == {"live": True}
    assert good(server.get("/v2/health/ready")) == {"ready": True}
    assert good(server.get("/v2"))["name"] == "kerasfound"
    assert good(server.get("/v2/models/pair/ready")) == {"name": "pair", "ready": True}
    assert good(server.get("/v2/models/scores/versions/12/ready"))["ready"]
    assert good(server.get("/v2/models/scores")) == {
        "name": "scores",
        "versions": ["12", "1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 3]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]}],
    }


# Mistakes


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/models/nothing",
        "/v1/models/scores/versions/2",
        "/v1/models/scores/versions/x",
        "/v1/models/scores/versions/0001",
        "/v1/models/scores/versions/" + "9" * 5000,
        "/v1/models/scores/versions/1%0A",
        "/v1/models/a%0Ab",
        "/v1/models/scores/labels/stable",
        "/v2/models/nothing",
        "/v2/models/nothing/ready",
        "/v2/models/scores/versions/2",
        "/v2/models/../../etc",
        "/v2/models/%ff%fe",
        "/v2/models/" + "x" * 5000,
    ],
)
def test_what_is_not_there_is_404(server, path):
    refused(server.get(path), 404)


@pytest.mark.parametrize(
    "path", ["/v1/models/nothing:predict", "/v1/models/scores:classify", "/v2/models/nothing/infer"]
)
def test_what_is_not_there_is_404_to_post_too(server, path):
    refused(server.post(path, json={"instances": [1]}), 404)


def test_unknown_models_are_told_what_there_is(server):
    refused(server.get("/v2/models/nothing"), 404, "'nothing'", "'scores'")
    refused(server.get("/v2/models/scores/versions/2"), 404, "'2'", "12, 1")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/models/scores:predict", "POST"),
        ("DELETE", "/v2/models/scores/infer", "POST"),
        ("POST", "/v1/models/scores", "GET"),
        ("POST", "/v2/health/live", "GET"),
        ("PUT", "/v2", "GET"),
    ],
)
def test_wrong_methods_are_405_with_allow(server, method, path, allowed):
    response = server.request(method, path)
    refused(response, 405, allowed)
    assert response.headers["allow"] == allowed


ROW = [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("", ["truncated"]),
        ("{", ["the request"]),
        ("[]", ["object"]),
        ("null", ["object"]),
        ("{}", ["instances", "inputs"]),
        ('{"instances": [[[1, 2, 3], [4, 5, NaN]]]}', ["malformed"]),
        ('{"instances": ' + "[" * 100_000, ["deep"]),
        ({"instances": [ROW], "inputs": [ROW]}, ["either"]),
        ({"instances": [ROW], "signature_name": "other"}, ["'other'", "serving_default"]),
        ({"instances": [ROW], "signature_name": 1}, ["signature_name"]),
        ({"instances": None}, ["null"]),
        ({"instances": "text"}, ["str"]),
        ({"instances": {"image": [ROW]}}, ["object"]),
        ({"instances": []}, ["'image'", "empty"]),
        ({"instances": [[[1, 2, 3], [4, 5]]]}, ["'image'", "ragged", "(batch, 2, 3)"]),
        ({"instances": [[[1, 2, 3]]]}, ["'image'", "(1, 1, 3)", "(batch, 2, 3)"]),
        ({"instances": ROW}, ["'image'", "array"]),
        ({"instances": [[[1, 2, 3], [4, 5, None]]]}, ["'image'", "null", "float32"]),
        ({"instances": [[[1, 2, 3], [4, 5, "6"]]]}, ["'image'", "str"]),
        ({"instances": [[[1, 2, 3], [4, 5, True]]]}, ["'image'", "bool"]),
        ({"instances": [{"picture": ROW}]}, ["'picture'", "'image'"]),
        ({"instances": [{"image": ROW}, {"other": ROW}]}, ["instances[1]"]),
        ({"instances": [{"image": ROW}, ROW]}, ["[1]"]),
        ({"instances": [{}]}, ["'image'", "missing"]),
        ({"inputs": {"picture": [ROW]}}, ["'picture'"]),
        ({"inputs": {}}, ["'image'", "missing"]),
        ({"inputs": 1}, ["'image'"]),
    ],
)
def test_v1_bad_bodies_are_400(server, body, parts):
    content = body if isinstance(body, str) else json.dumps(body)
    refused(server.post("/v1/models/scores:predict", content=content), 400, *parts)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ({"instances": []}, ["empty"]),
        ({"instances": [1]}, ["object"]),
        ({"inputs": [1]}, ["'ids'", "'weights'"]),
        ({"inputs": {"ids": [[1]]}}, ["'weights'", "missing"]),
        ({"inputs": {"ids": [[1]], "weights": [[1, 2]]}}, ["'weights'", "time = 1"]),
        ({"inputs": {"ids": [[1]], "weights": [[1], [2]]}}, ["'weights'", "batch = 1"]),
        ({"inputs": {"ids": [[]], "weights": [[]]}}, ["at least 1"]),
        ({"inputs": {"ids": [[1.5]], "weights": [[1]]}}, ["'ids'", "float", "int64"]),
        ({"inputs": {"ids": [[2**63]], "weights": [[1]]}}, ["'ids'", "int64"]),
        ({"inputs": {"ids": [[10]], "weights": [[1]]}}, ["cannot take", "idx=10"]),
    ],
)
def test_v1_bad_bodies_of_several_inputs_are_400(server, body, parts):
    refused(server.post("/v1/models/pair:predict", json=body), 400, *parts)


def test_integers_out_of_range_are_400(server):
    refused(server.post("/v1/models/pixels:predict", json={"instances": [[0, 1, 256]]}), 400, "256", "uint8")
    refused(server.post("/v1/models/pixels:predict", json={"instances": [[0, 1, -1]]}), 400, "-1", "uint8")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"name": "picture"}, ["'picture'", "'image'"]),
        ({"name": None}, ["name"]),
        ({"datatype": "FP64"}, ["'image'", "'FP64'", "'FP32'"]),
        ({"datatype": "nonsense"}, ["'nonsense'"]),
        ({"shape": [3, 6]}, ["(3, 6)", "(batch, 2, 3)"]),
        ({"shape": [4, 2, 3]}, ["18", "(4, 2, 3)"]),
        ({"shape": [-3, -2, 3]}, ["(-3, -2, 3)"]),
        ({"shape": [0, 2, 3], "data": []}, ["(0, 2, 3)"]),
        ({"shape": [3, 2, 3.0]}, ["shape"]),
        ({"shape": [3, 2, "3"]}, ["shape"]),
        ({"shape": [10**30, 2, 3]}, ["(1" + "0" * 30]),
        ({"shape": None}, ["shape"]),
        ({"shape": [1, 2, 3], "data": IMAGES.tolist()}, ["(3, 2, 3)", "(1, 2, 3)"]),
        ({"data": None}, ["'image'", "null"]),
        ({"data": [None] * 18}, ["'image'", "null"]),
        ({"data": ["1"] * 18}, ["'image'", "str"]),
        ({"data": [True] * 18}, ["'image'", "bool"]),
        ({"data": [1] * 17}, ["17", "(3, 2, 3)"]),
        ({"data": [[[1, 2, 3], [1, 2]]]}, ["ragged"]),
        ({"data": [[1, 2, 3]]}, ["'image'", "array"]),
        ({"data": {}}, ["object"]),
        ({"data": [1e39] + [0] * 17}, ["too large"]),
    ],
)
def test_v2_bad_tensors_are_400(server, change, parts):
    refused(server.post("/v2/models/scores/infer", json={"inputs": [IMAGE | change]}), 400, *parts)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("", ["truncated"]),
        ("{]", ["malformed"]),
        (b'{"id": "\xff", "inputs": []}', ["the request"]),
        (b'{"inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": ["\xff"]}]}', ["'image'"]),
        ("7", ["object"]),
        ({}, ["inputs"]),
        ({"inputs": {}}, ["inputs"]),
        ({"inputs": []}, ["'image'", "missing"]),
        ({"inputs": [{"name": "image"}]}, ["shape"]),
        ({"inputs": [IMAGE, IMAGE]}, ["'image'", "twice"]),
        ({"inputs": [IMAGE], "outputs": [{"name": "labels"}]}, ["'labels'", "'probabilities'"]),
        ({"inputs": [IMAGE], "outputs": ["probabilities"]}, ["outputs"]),
        ({"inputs": [IMAGE], "id": 7}, ["id"]),
    ],
)
def test_v2_bad_bodies_are_400(server, body, parts):
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    refused(server.post("/v2/models/scores/infer", content=content), 400, *parts)


def test_binary_tensors_are_refused_in_words(server):
    headers = {"Inference-Header-Content-Length": "2"}
    refused(server.post("/v2/models/scores/infer", content=b"{}" + bytes(72), headers=headers), 400, "binary", "JSON")


def test_content_encodings_are_415(server):
    for encoding in ("gzip", "deflate", "br", "identity, gzip"):
        response = server.post("/v1/models/scores:predict", content=b"{}", headers={"Content-Encoding": encoding})
        refused(response, 415, encoding)
    identity = {"Content-Encoding": "identity"}
    assert server.post("/v1/models/flags:predict", content='{"instances":[true]}', headers=identity).is_success


def test_large_bodies_are_413_announced_or_not(server):
    refused(server.post("/v2/models/scores/infer", content=bytes((1 << 20) + 1)), 413, "1 MiB")
    chunks = (bytes(1 << 16) for _ in range(17))
    refused(server.post("/v2/models/scores/infer", content=chunks), 413, "1 MiB")
    padded = json.dumps({"instances": [ROW]}).ljust(1 << 20)
    good(server.post("/v1/models/scores:predict", content=padded))
    good(server.post("/v1/models/scores:predict", content=iter([padded[:9].encode(), padded[9:].encode()])))


def test_the_server_lives_on(server):
    """Last in the file: after all of the above."""
    good(server.get("/v2/health/ready"))
