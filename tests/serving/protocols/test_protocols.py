"""Both protocols over a real connection: ONNX Runtime's own answers, and every mistake its 4xx."""

import gzip
import json
import zlib

import httpx
import numpy as np
import pytest

from kerasfound.bundle.manifest import ProcessingStep

IMAGES = np.random.default_rng(0).normal(size=(3, 2, 3)).astype("float32")
IDS = np.array([[1, 2, 9], [0, 5, 5]])
WEIGHTS = np.array([[1, 0.5, 2], [-1, 3, 0]], "float32")


def tensor(name, array, datatype, flat=True):
    data = (array.ravel() if flat else array).tolist()
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}


IMAGE = tensor("image", IMAGES, "FP32")
OUTPUT = {"output": "probabilities"}


def good(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def binary(inputs, **rest):
    """The body and the header of a request whose tensors, `(name, datatype, array)`, come behind its JSON."""
    told = [
        {"name": name, "shape": list(x.shape), "datatype": datatype, "parameters": {"binary_data_size": x.nbytes}}
        for name, datatype, x in inputs
    ]
    head = json.dumps({"inputs": told} | rest).encode()
    return {
        "content": head + b"".join(x.tobytes() for _, _, x in inputs),
        "headers": {"Inference-Header-Content-Length": str(len(head))},
    }


def refused(response, status, *parts):
    """The protocol's error form, with one line that holds `parts`."""
    found = response.status_code if isinstance(response, httpx.Response) else response.status
    answer = response.json()
    assert found == status, answer
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


def test_v2_infer_in_binary_answers_as_onnx_runtime_does(server, direct):
    total, positive = direct("pair", {"ids": IDS, "weights": WEIGHTS})
    inputs = [("weights", "FP32", WEIGHTS), ("ids", "INT64", IDS)]
    as_wished = [{"name": "positive", "parameters": {"binary_data": False}}, {"name": "total"}]
    for rest, expected in (
        ({"parameters": {"binary_data_output": True}}, [("total", total), ("positive", positive)]),
        ({"parameters": {"binary_data_output": True}, "outputs": as_wished}, [("total", total)]),
        ({"outputs": [{"name": "total", "parameters": {"binary_data": True}}]}, [("total", total)]),
    ):
        response = server.post("/v2/models/pair/infer", **binary(inputs, **rest))
        assert response.headers["content-type"] == "application/octet-stream"
        length = int(response.headers["inference-header-content-length"])
        head, behind = json.loads(response.content[:length]), response.content[length:]
        in_binary = {output["name"]: output["parameters"] for output in head["outputs"] if "parameters" in output}
        assert in_binary == {name: {"binary_data_size": array.nbytes} for name, array in expected}
        assert behind == b"".join(array.tobytes() for _, array in expected)
        in_json = [output["data"] for output in head["outputs"] if "data" in output]
        assert in_json == ([positive.tolist()] if "outputs" in rest and len(rest["outputs"]) == 2 else [])
    assert good(server.post("/v2/models/pair/infer", **binary(inputs))) == {
        "model_name": "pair",
        "model_version": "1",
        "outputs": [tensor("total", total, "FP32"), tensor("positive", positive, "BOOL")],
    }


def test_v2_classification_sorts_the_classes(server, direct):
    (scores,) = direct("scores", {"image": IMAGES}, 12)
    for count in (1, 3, 4, 10**9):
        wanted = [{"name": "probabilities", "parameters": {"classification": count}}]
        (output,) = good(server.post("/v2/models/scores/infer", json={"inputs": [IMAGE], "outputs": wanted}))["outputs"]
        places = np.argsort(-scores, axis=1)[:, :count]
        assert output["shape"] == list(places.shape)
        assert output["datatype"] == "BYTES"
        assert output["data"] == [f"{row[i]:f}:{i}" for row, best in zip(scores, places, strict=True) for i in best]
    wanted = [{"name": "y", "parameters": {"classification": 2}}]
    pixels = {"inputs": [tensor("x", np.array([[0, 200, 7]]), "UINT8")], "outputs": wanted}
    assert good(server.post("/v2/models/pixels/infer", json=pixels))["outputs"][0]["data"] == ["200:1", "7:2"]


STEP = ProcessingStep("classification", None, OUTPUT)
LABELLED = {"labels": ["zero", "one", "two", "three"], "postprocessing": [STEP]}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, bundle, asking):
    """The application of a classifier with labels, with one version behind a label."""
    folder = tmp_path_factory.mktemp("labelled")
    bundle(folder, "scores", 1, **LABELLED)
    bundle(folder, "scores", 2, **LABELLED)
    bundle(folder, "pair", 1)
    (folder / "scores" / "serving.json").write_text('{"versions": [2], "labels": {"proven": 1}}')
    return asking(folder)


@pytest.mark.parametrize("path", ["", "/versions/2", "/labels/proven"])
def test_labels_come_out_beside_the_tensors(labelled, path):
    answer = labelled("POST", f"/v1/models/scores{path}:predict", {"instances": IMAGES.tolist()}).json()
    scores = np.array(answer["predictions"])
    assert answer["labels"] == [LABELLED["labels"][i] for i in scores.argmax(-1)]
    assert answer["scores"] == scores.max(-1).tolist()
    by_column = labelled("POST", f"/v1/models/scores{path}:predict", {"inputs": IMAGES.tolist()}).json()
    assert by_column == {"outputs": answer["predictions"], "labels": answer["labels"], "scores": answer["scores"]}
    wanted = [{"name": "probabilities", "parameters": {"classification": 1}}]
    if "labels" not in path:
        (output,) = labelled("POST", f"/v2/models/scores{path}/infer", {"inputs": [IMAGE], "outputs": wanted}).json()[
            "outputs"
        ]
        assert [text.split(":")[2] for text in output["data"]] == answer["labels"]


@pytest.mark.parametrize("path", ["", "/versions/2", "/labels/proven"])
def test_v1_classify_pairs_every_label_with_its_score(labelled, path):
    scores = labelled("POST", f"/v1/models/scores{path}:predict", {"instances": IMAGES.tolist()}).json()["predictions"]
    expected = {"results": [[[*pair] for pair in zip(LABELLED["labels"], row, strict=True)] for row in scores]}
    for body in (
        {"examples": IMAGES.tolist()},
        {"examples": [{"image": image} for image in IMAGES.tolist()], "signature_name": ""},
    ):
        assert labelled("POST", f"/v1/models/scores{path}:classify", body).json() == expected
    body = {"examples": [{}, {"image": IMAGES[1].tolist()}], "context": {"image": IMAGES[0].tolist()}}
    assert labelled("POST", f"/v1/models/scores{path}:classify", body).json() == {"results": expected["results"][:2]}


def test_v1_classify_is_for_classifiers_with_labels(labelled):
    inputs = {"ids": [1], "weights": [1]}
    refused(labelled("POST", "/v1/models/pair:classify", {"examples": [inputs]}), 400, "no classifier", ":predict")
    for body, parts in (
        ({}, ["examples"]),
        ({"examples": []}, ["'image'"]),
        ({"examples": [{}], "context": {"picture": 1}}, ["'picture'", "'image'"]),
        ({"examples": [{}], "context": []}, ["context"]),
        ({"examples": [{}]}, ["'image'", "missing"]),
    ):
        refused(labelled("POST", "/v1/models/scores:classify", body), 400, *parts)


def test_v1_finds_versions_by_label(labelled):
    status = labelled("GET", "/v1/models/scores/labels/proven").json()["model_version_status"]
    assert [each["version"] for each in status] == ["1"]
    assert labelled("GET", "/v1/models/scores/labels/proven/metadata").json()["model_spec"]["version"] == "1"
    refused(labelled("GET", "/v1/models/scores/labels/other"), 404, "'other'", "proven")


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_be_packed_both_ways(server, direct, encoding, pack):
    images = np.concatenate([IMAGES] * 100)
    (expected,) = direct("scores", {"image": images}, 12)
    headers = {"Content-Encoding": encoding, "Accept-Encoding": f"br;q=1, {encoding};q=0.5"}
    packed = pack(json.dumps({"instances": images.tolist()}).encode())
    response = server.post("/v1/models/scores:predict", content=packed, headers=headers)
    assert response.headers["content-encoding"] == encoding
    np.testing.assert_array_almost_equal(good(response)["predictions"], expected)
    sent = binary([("image", "FP32", images)], parameters={"binary_data_output": True})
    sent["headers"] |= headers
    response = server.post("/v2/models/scores/infer", content=pack(sent["content"]), headers=sent["headers"])
    assert response.headers["content-encoding"] == encoding
    length = int(response.headers["inference-header-content-length"])
    found = np.frombuffer(response.content[length:], "float32").reshape(expected.shape)
    np.testing.assert_array_almost_equal(found, expected)


def test_answers_are_packed_only_for_those_who_ask(server):
    body = {"instances": [[1, 2, 3]] * 2000}
    for accepted, encoding in (
        ("gzip", "gzip"),
        ("deflate, gzip", "gzip"),
        ("GZIP ; q=0.001", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=0.0", None),
        ("identity", None),
        ("br", None),
        ("", None),
    ):
        response = server.post("/v1/models/pixels:predict", json=body, headers={"Accept-Encoding": accepted})
        assert response.headers.get("content-encoding") == encoding
        assert good(response) == {"predictions": body["instances"]}
    small = server.post("/v1/models/pixels:predict", json={"instances": [[1, 2, 3]]})
    assert "content-encoding" not in small.headers


def test_rows_beyond_one_batch_are_answered_as_one_by_one(server):
    rows = np.random.default_rng(0).integers(256, size=(1000, 3)).tolist()
    assert good(server.post("/v1/models/pixels:predict", json={"instances": rows})) == {"predictions": rows}


def test_a_tensor_without_axes_goes_through(server):
    body = {"inputs": [{"name": "x", "shape": [], "datatype": "FP32", "data": [1.5]}]}
    expected = [{"name": "y", "shape": [], "datatype": "FP32", "data": [1.5]}]
    assert good(server.post("/v2/models/scalar/infer", json=body))["outputs"] == expected
    assert good(server.post("/v1/models/scalar:predict", json={"inputs": 1.5})) == {"outputs": 1.5}
    refused(server.post("/v1/models/scalar:predict", json={"instances": [1.5]}), 400, "'x'")


# Mistakes


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/models/nothing",
        "/v1/models/scores/versions/2",
        "/v1/models/scores/versions/x",
        "/v1/models/scores/versions/0001",
        "/v1/models/scores/versions/" + "9" * 400,
        "/v1/models/scores/versions/1%0A",
        "/v1/models/a%0Ab",
        "/v1/models/scores/labels/stable",
        "/v2/models/nothing",
        "/v2/models/nothing/ready",
        "/v2/models/scores/versions/2",
        "/v2/models/../../etc",
        "/v2/models/%ff%fe",
        "/v2/models/" + "x" * 400,
    ],
)
def test_what_is_not_there_is_404(server, path):
    refused(server.get(path), 404)


@pytest.mark.parametrize(
    "path", ["/v1/models/nothing:predict", "/v1/models/scores:regress", "/v2/models/nothing/infer"]
)
def test_what_is_not_there_is_404_to_post_too(server, path):
    refused(server.post(path, json={"instances": [1]}), 404)


def test_long_paths_are_414(server):
    refused(server.get("/v2/models/" + "x" * 5000), 414, "5011 characters")


def test_head_is_get_without_the_body(server):
    for path in ("/v2/health/live", "/", "/v2/models/nothing"):
        asked, told = server.head(path), server.get(path)
        assert (asked.status_code, asked.content) == (told.status_code, b"")
        assert asked.headers["content-type"] == told.headers["content-type"]
    refused(server.post("/v2/health/live"), 405, "GET")
    assert server.head("/v2/models/scores/infer").status_code == 405


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
        ("", ["the request", "empty"]),
        ("{", ["the request", "truncated"]),
        ("[]", ["object"]),
        ("null", ["object"]),
        ("{}", ["instances", "inputs"]),
        ('{"instances": [[[1, 2, 3], [4, 5, NaN]]]}', ["malformed", "JSON has no NaN", "null"]),
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
        ({"instances": [{"image": ROW}, {"other": ROW}]}, ["row 1", "other"]),
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
        ({"inputs": {"ids": [[1]], "weights": [[1, 2]]}}, ["'weights'", "time is 1"]),
        ({"inputs": {"ids": [[1]], "weights": [[1], [2]]}}, ["'weights'", "batch is 1"]),
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
        (" ", ["the request", "empty"]),
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


@pytest.mark.parametrize(
    ("change", "behind", "length", "parts"),
    [
        ({}, 71, None, ["'image'", "72", "only 71 bytes follow"]),
        ({}, 73, None, ["1 bytes", "no input"]),
        ({}, 72, "-1", ["inference-header-content-length", "'-1'"]),
        ({}, 72, "1e2", ["inference-header-content-length"]),
        ({}, 72, "9" * 5000, ["inference-header-content-length"]),
        ({}, 72, "99999", ["inference-header-content-length", "'99999'"]),
        ({}, 72, "0", ["the request"]),
        ({"shape": [2, 2, 3]}, 72, None, ["72 bytes", "(2, 2, 3)"]),
        ({"shape": [10**12, 2, 3]}, 72, None, ["72 bytes"]),
        ({"shape": [3, 6]}, 72, None, ["(3, 6)"]),
        ({"shape": [-3, -2, 3]}, 72, None, ["(-3, -2, 3)"]),
        ({"shape": [0, 2, 3], "parameters": {"binary_data_size": 0}}, 0, None, ["at least 1"]),
        ({"datatype": "FP64"}, 72, None, ["'FP64'", "'FP32'"]),
        ({"data": [1]}, 72, None, ["either `data` or `binary_data_size`"]),
        ({"parameters": {}}, 72, None, ["either `data` or `binary_data_size`"]),
        ({"parameters": {"binary_data_size": -72}}, 72, None, ["binary_data_size"]),
        ({"parameters": {"binary_data_size": 10**30}}, 72, None, ["binary_data_size"]),
        ({"parameters": {"binary_data_size": "72"}}, 72, None, ["binary_data_size"]),
        ({"parameters": {"shared_memory_region": "a", "shared_memory_byte_size": 72}}, 0, None, ["shared memory"]),
    ],
)
def test_v2_bad_binary_tensors_are_400(server, change, behind, length, parts):
    told = {"name": "image", "shape": [3, 2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 72}}
    head = json.dumps({"inputs": [told | change]}).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(head))}
    refused(server.post("/v2/models/scores/infer", content=head + bytes(behind), headers=headers), 400, *parts)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_binary_numbers_that_are_not_finite_are_400(server, value):
    sent = binary([("image", "FP32", np.full((1, 2, 3), value, "float32"))])
    refused(server.post("/v2/models/scores/infer", **sent), 400, "'image'", "infinite, NaN")


@pytest.mark.parametrize(
    ("behind", "part"),
    [
        (b"\1\0\0\0a", "1 strings for a shape of 2"),
        (b"\1\0\0\0a" * 3, "3 strings for a shape of 2"),
        (b"\1\0\0\0a\2\0\0\0b", "after the end of the tensor"),
        (b"\1\0\0\0a\xff\xff\xff\xff", "after the end of the tensor"),
        (b"\1\0\0\0a\1\0", "after the end of the tensor"),
        (b"\1\0\0\0a\1\0\0\0\xff", "not UTF-8"),
    ],
)
def test_binary_texts_are_checked(server, behind, part):
    sent = binary([("x", "BYTES", np.frombuffer(behind, "S1"))])
    sent["content"] = sent["content"].replace(f'"shape": [{len(behind)}]'.encode(), b'"shape": [1, 2]')
    sent["headers"]["Inference-Header-Content-Length"] = str(len(sent["content"]) - len(behind))
    refused(server.post("/v2/models/words/infer", **sent), 400, "'x'", part)


def test_unknown_parameters_are_ignored(server):
    unknown = {"priority": 3, "sequence_id": "a", "sequence_start": True, "my_own": [1, {"a": None}]}
    body = {
        "inputs": [IMAGE | {"parameters": unknown}],
        "outputs": [{"name": "probabilities", "parameters": unknown}],
        "parameters": unknown,
        "unknown": unknown,
    }
    plain = good(server.post("/v2/models/scores/infer", json={"inputs": [IMAGE]}))
    assert good(server.post("/v2/models/scores/infer", json=body)) == plain


def test_unknown_content_encodings_are_415(server):
    for encoding in ("br", "identity, gzip", "x", "\xff"):
        headers = {"Content-Encoding": encoding.encode("latin-1")}
        refused(server.post("/v1/models/scores:predict", content=b"{}", headers=headers), 415, "gzip, deflate")
    identity = {"Content-Encoding": "identity"}
    assert server.post("/v1/models/flags:predict", content='{"instances":[true]}', headers=identity).is_success


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_bodies_that_are_broken_or_bombs_are_4xx(server, encoding, pack):
    whole = pack(b'{"instances": [true]}')
    for broken in (b"{}", b"", whole[:-1], whole + b"{}", whole + whole, whole[:-4] + b"\xff" * 4):
        headers = {"Content-Encoding": encoding}
        refused(server.post("/v1/models/flags:predict", content=broken, headers=headers), 400, encoding)
    bomb = pack(bytes(1 << 25))
    assert len(bomb) < 1 << 20
    refused(server.post("/v1/models/flags:predict", content=bomb, headers=headers), 413, "1 MiB")


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
