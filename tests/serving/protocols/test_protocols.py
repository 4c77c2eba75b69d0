"""Both protocols over a real connection: the outputs of ONNX Runtime, and a 4xx for every invalid request."""

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


def ok_json(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def binary(inputs, **rest):
    """Body and headers of a request with binary tensors `(name, datatype, array)` after its JSON."""
    descriptions = [
        {"name": name, "shape": list(x.shape), "datatype": datatype, "parameters": {"binary_data_size": x.nbytes}}
        for name, datatype, x in inputs
    ]
    head = json.dumps({"inputs": descriptions} | rest).encode()
    return {
        "content": head + b"".join(x.tobytes() for _, _, x in inputs),
        "headers": {"Inference-Header-Content-Length": str(len(head))},
    }


def assert_error(response, status, *parts):
    """Checks the status and the error document: one line that contains `parts`."""
    result = response.status_code if isinstance(response, httpx.Response) else response.status
    document = response.json()
    assert result == status, document
    assert list(document) == ["error"]
    assert "\n" not in document["error"]
    for part in parts:
        assert part in document["error"]


# Valid requests


@pytest.mark.parametrize(("path", "version"), [("", 12), ("/versions/1", 1), ("/versions/12", 12)])
def test_v1_predict_equals_onnx_runtime(server, direct, path, version):
    (expected,) = direct("scores", {"image": IMAGES}, version)
    url = f"/v1/models/scores{path}:predict"
    for body in ({"instances": IMAGES.tolist()}, {"instances": [{"image": image} for image in IMAGES.tolist()]}):
        assert ok_json(server.post(url, json=body)) == {"predictions": expected.tolist()}
    for body in ({"inputs": IMAGES.tolist()}, {"inputs": {"image": IMAGES.tolist()}}):
        assert ok_json(server.post(url, json=body | {"signature_name": "serving_default"})) == {
            "outputs": expected.tolist()
        }


def test_v1_predict_of_several_inputs_and_outputs(server, direct):
    total, positive = direct("pair", {"ids": IDS, "weights": WEIGHTS})
    rows = [{"ids": i, "weights": w} for i, w in zip(IDS.tolist(), WEIGHTS.tolist(), strict=True)]
    assert ok_json(server.post("/v1/models/pair:predict", json={"instances": rows})) == {
        "predictions": [{"total": t, "positive": p} for t, p in zip(total.tolist(), positive.tolist(), strict=True)]
    }
    columns = {"ids": IDS.tolist(), "weights": WEIGHTS.tolist()}
    assert ok_json(server.post("/v1/models/pair:predict", json={"inputs": columns})) == {
        "outputs": {"total": total.tolist(), "positive": positive.tolist()}
    }


def test_v1_status_and_metadata(server):
    def available(*versions):
        ok = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": v, "state": "AVAILABLE", "status": ok} for v in versions]}

    assert ok_json(server.get("/v1/models/scores")) == available("12", "1")
    assert ok_json(server.get("/v1/models/scores/versions/1")) == available("1")
    document = ok_json(server.get("/v1/models/scores/metadata"))
    assert document["model_spec"] == {"name": "scores", "signature_name": "", "version": "12"}
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["image"]["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in signature["inputs"]["image"]["tensor_shape"]["dim"]] == ["-1", "2", "3"]
    assert list(signature["outputs"]) == ["probabilities"]


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize(("path", "version"), [("", "12"), ("/versions/1", "1")])
def test_v2_infer_equals_onnx_runtime(server, direct, path, version, flat):
    (expected,) = direct("scores", {"image": IMAGES}, version)
    body = {"id": "é1", "inputs": [tensor("image", IMAGES, "FP32", flat)], "parameters": {"sequence": 1}}
    assert ok_json(server.post(f"/v2/models/scores{path}/infer", json=body)) == {
        "model_name": "scores",
        "model_version": version,
        "id": "é1",
        "outputs": [tensor("probabilities", expected, "FP32")],
    }


def test_v2_infer_selects_outputs(server, direct):
    total, positive = direct("pair", {"ids": IDS, "weights": WEIGHTS})
    body = {"inputs": [tensor("weights", WEIGHTS, "FP32"), tensor("ids", IDS, "INT64")]}
    all_outputs = [tensor("total", total, "FP32"), tensor("positive", positive, "BOOL")]
    for requested, expected in (
        (None, all_outputs),
        ([], all_outputs),
        (["positive"], all_outputs[1:]),
        (["positive", "total"], all_outputs[::-1]),
    ):
        request_body = body if requested is None else body | {"outputs": [{"name": name} for name in requested]}
        assert ok_json(server.post("/v2/models/pair/infer", json=request_body))["outputs"] == expected


@pytest.mark.parametrize(
    ("name", "datatype", "values"),
    [
        ("pixels", "UINT8", [[0, 127, 255]]),
        ("words", "BYTES", [["a", "é\n"], ["", "日"]]),
        ("flags", "BOOL", [True, False]),
    ],
)
def test_every_kind_of_element_round_trips(server, name, datatype, values):
    assert ok_json(server.post(f"/v1/models/{name}:predict", json={"instances": values})) == {"predictions": values}
    array = np.array(values, object)
    body = {"inputs": [tensor("x", array, datatype)]}
    assert ok_json(server.post(f"/v2/models/{name}/infer", json=body))["outputs"] == [tensor("y", array, datatype)]


def test_outputs_that_are_not_finite_are_null(server):
    assert server.post("/v1/models/logarithm:predict", json={"instances": [0, -1, 1]}).text == (
        '{"predictions":[null,null,0.0]}'
    )


def test_v2_health_and_metadata(server):
    assert ok_json(server.get("/v2/health/live")) == {"live": True}
    assert ok_json(server.get("/v2/health/ready")) == {"ready": True}
    assert ok_json(server.get("/v2"))["name"] == "kerasfound"
    assert ok_json(server.get("/v2/models/pair/ready")) == {"name": "pair", "ready": True}
    assert ok_json(server.get("/v2/models/scores/versions/12/ready"))["ready"]
    assert ok_json(server.get("/v2/models/scores")) == {
        "name": "scores",
        "versions": ["12", "1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 3]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]}],
    }


def test_v2_binary_infer_equals_onnx_runtime(server, direct):
    total, positive = direct("pair", {"ids": IDS, "weights": WEIGHTS})
    inputs = [("weights", "FP32", WEIGHTS), ("ids", "INT64", IDS)]
    selected = [{"name": "positive", "parameters": {"binary_data": False}}, {"name": "total"}]
    for rest, expected in (
        ({"parameters": {"binary_data_output": True}}, [("total", total), ("positive", positive)]),
        ({"parameters": {"binary_data_output": True}, "outputs": selected}, [("total", total)]),
        ({"outputs": [{"name": "total", "parameters": {"binary_data": True}}]}, [("total", total)]),
    ):
        response = server.post("/v2/models/pair/infer", **binary(inputs, **rest))
        assert response.headers["content-type"] == "application/octet-stream"
        length = int(response.headers["inference-header-content-length"])
        head, binary_part = json.loads(response.content[:length]), response.content[length:]
        in_binary = {output["name"]: output["parameters"] for output in head["outputs"] if "parameters" in output}
        assert in_binary == {name: {"binary_data_size": array.nbytes} for name, array in expected}
        assert binary_part == b"".join(array.tobytes() for _, array in expected)
        in_json = [output["data"] for output in head["outputs"] if "data" in output]
        assert in_json == ([positive.tolist()] if "outputs" in rest and len(rest["outputs"]) == 2 else [])
    assert ok_json(server.post("/v2/models/pair/infer", **binary(inputs))) == {
        "model_name": "pair",
        "model_version": "1",
        "outputs": [tensor("total", total, "FP32"), tensor("positive", positive, "BOOL")],
    }


def test_v2_classification_sorts_the_classes(server, direct):
    (scores,) = direct("scores", {"image": IMAGES}, 12)
    for count in (1, 3, 4, 10**9):
        requested = [{"name": "probabilities", "parameters": {"classification": count}}]
        (output,) = ok_json(server.post("/v2/models/scores/infer", json={"inputs": [IMAGE], "outputs": requested}))[
            "outputs"
        ]
        classes = np.argsort(-scores, axis=1)[:, :count]
        assert output["shape"] == list(classes.shape)
        assert output["datatype"] == "BYTES"
        assert output["data"] == [f"{row[i]:f}:{i}" for row, best in zip(scores, classes, strict=True) for i in best]
    requested = [{"name": "y", "parameters": {"classification": 2}}]
    pixels = {"inputs": [tensor("x", np.array([[0, 200, 7]]), "UINT8")], "outputs": requested}
    assert ok_json(server.post("/v2/models/pixels/infer", json=pixels))["outputs"][0]["data"] == ["200:1", "7:2"]


STEP = ProcessingStep("classification", None, OUTPUT)
LABELLED = {"labels": ["zero", "one", "two", "three"], "postprocessing": [STEP]}


@pytest.fixture(scope="module")
def labelled_app(tmp_path_factory, bundle, make_app):
    """The application with a classifier that has class labels, and a version label."""
    folder = tmp_path_factory.mktemp("labelled")
    bundle(folder, "scores", 1, **LABELLED)
    bundle(folder, "scores", 2, **LABELLED)
    bundle(folder, "pair", 1)
    (folder / "scores" / "serving.json").write_text('{"versions": [2], "labels": {"tested": 1}}')
    return make_app(folder)


@pytest.mark.parametrize("path", ["", "/versions/2", "/labels/tested"])
def test_responses_have_class_labels(labelled_app, path):
    document = labelled_app("POST", f"/v1/models/scores{path}:predict", {"instances": IMAGES.tolist()}).json()
    scores = np.array(document["predictions"])
    assert document["labels"] == [LABELLED["labels"][i] for i in scores.argmax(-1)]
    assert document["scores"] == scores.max(-1).tolist()
    by_column = labelled_app("POST", f"/v1/models/scores{path}:predict", {"inputs": IMAGES.tolist()}).json()
    assert by_column == {"outputs": document["predictions"], "labels": document["labels"], "scores": document["scores"]}
    requested = [{"name": "probabilities", "parameters": {"classification": 1}}]
    if "labels" not in path:
        (output,) = labelled_app(
            "POST", f"/v2/models/scores{path}/infer", {"inputs": [IMAGE], "outputs": requested}
        ).json()["outputs"]
        assert [text.split(":")[2] for text in output["data"]] == document["labels"]


@pytest.mark.parametrize("path", ["", "/versions/2", "/labels/tested"])
def test_v1_classify_pairs_every_label_with_its_score(labelled_app, path):
    scores = labelled_app("POST", f"/v1/models/scores{path}:predict", {"instances": IMAGES.tolist()}).json()[
        "predictions"
    ]
    expected = {"results": [[[*pair] for pair in zip(LABELLED["labels"], row, strict=True)] for row in scores]}
    for body in (
        {"examples": IMAGES.tolist()},
        {"examples": [{"image": image} for image in IMAGES.tolist()], "signature_name": ""},
    ):
        assert labelled_app("POST", f"/v1/models/scores{path}:classify", body).json() == expected
    body = {"examples": [{}, {"image": IMAGES[1].tolist()}], "context": {"image": IMAGES[0].tolist()}}
    assert labelled_app("POST", f"/v1/models/scores{path}:classify", body).json() == {
        "results": expected["results"][:2]
    }


def test_v1_classify_is_for_classifiers_with_labels(labelled_app):
    inputs = {"ids": [1], "weights": [1]}
    assert_error(
        labelled_app("POST", "/v1/models/pair:classify", {"examples": [inputs]}), 400, "no classifier", ":predict"
    )
    for body, parts in (
        ({}, ["examples"]),
        ({"examples": []}, ["'image'"]),
        ({"examples": [{}], "context": {"picture": 1}}, ["'picture'", "'image'"]),
        ({"examples": [{}], "context": []}, ["context"]),
        ({"examples": [{}]}, ["'image'", "missing"]),
    ):
        assert_error(labelled_app("POST", "/v1/models/scores:classify", body), 400, *parts)


def test_v1_finds_versions_by_label(labelled_app):
    status = labelled_app("GET", "/v1/models/scores/labels/tested").json()["model_version_status"]
    assert [version["version"] for version in status] == ["1"]
    assert labelled_app("GET", "/v1/models/scores/labels/tested/metadata").json()["model_spec"]["version"] == "1"
    assert_error(labelled_app("GET", "/v1/models/scores/labels/other"), 404, "'other'", "tested")


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_requests_and_responses_can_be_compressed(server, direct, encoding, compress):
    images = np.concatenate([IMAGES] * 100)
    (expected,) = direct("scores", {"image": images}, 12)
    headers = {"Content-Encoding": encoding, "Accept-Encoding": f"br;q=1, {encoding};q=0.5"}
    compressed = compress(json.dumps({"instances": images.tolist()}).encode())
    response = server.post("/v1/models/scores:predict", content=compressed, headers=headers)
    assert response.headers["content-encoding"] == encoding
    np.testing.assert_array_almost_equal(ok_json(response)["predictions"], expected)
    sent = binary([("image", "FP32", images)], parameters={"binary_data_output": True})
    sent["headers"] |= headers
    response = server.post("/v2/models/scores/infer", content=compress(sent["content"]), headers=sent["headers"])
    assert response.headers["content-encoding"] == encoding
    length = int(response.headers["inference-header-content-length"])
    result = np.frombuffer(response.content[length:], "float32").reshape(expected.shape)
    np.testing.assert_array_almost_equal(result, expected)


def test_responses_are_compressed_only_if_the_client_accepts_it(server):
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
        assert ok_json(response) == {"predictions": body["instances"]}
    small = server.post("/v1/models/pixels:predict", json={"instances": [[1, 2, 3]]})
    assert "content-encoding" not in small.headers


def test_more_rows_than_one_batch_give_the_same_outputs(server):
    rows = np.random.default_rng(0).integers(256, size=(1000, 3)).tolist()
    assert ok_json(server.post("/v1/models/pixels:predict", json={"instances": rows})) == {"predictions": rows}


def test_a_tensor_without_axes_round_trips(server):
    body = {"inputs": [{"name": "x", "shape": [], "datatype": "FP32", "data": [1.5]}]}
    expected = [{"name": "y", "shape": [], "datatype": "FP32", "data": [1.5]}]
    assert ok_json(server.post("/v2/models/scalar/infer", json=body))["outputs"] == expected
    assert ok_json(server.post("/v1/models/scalar:predict", json={"inputs": 1.5})) == {"outputs": 1.5}
    assert_error(server.post("/v1/models/scalar:predict", json={"instances": [1.5]}), 400, "'x'")


# Invalid requests


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
def test_unknown_paths_are_404(server, path):
    assert_error(server.get(path), 404)


@pytest.mark.parametrize(
    "path", ["/v1/models/nothing:predict", "/v1/models/scores:regress", "/v2/models/nothing/infer"]
)
def test_unknown_paths_are_404_for_post_too(server, path):
    assert_error(server.post(path, json={"instances": [1]}), 404)


def test_long_paths_are_414(server):
    assert_error(server.get("/v2/models/" + "x" * 5000), 414, "5011 characters")


def test_head_is_get_without_the_body(server):
    for path in ("/v2/health/live", "/", "/v2/models/nothing"):
        head, get = server.head(path), server.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
    assert_error(server.post("/v2/health/live"), 405, "GET")
    assert server.head("/v2/models/scores/infer").status_code == 405


def test_errors_for_unknown_models_list_the_served_ones(server):
    assert_error(server.get("/v2/models/nothing"), 404, "'nothing'", "'scores'")
    assert_error(server.get("/v2/models/scores/versions/2"), 404, "'2'", "12, 1")


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
    assert_error(response, 405, allowed)
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
        ('{"instances": [[[1, 2, 3], [4, 5, NaN]]]}', ["got `null`", "no missing values"]),
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
    assert_error(server.post("/v1/models/scores:predict", content=content), 400, *parts)


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
    assert_error(server.post("/v1/models/pair:predict", json=body), 400, *parts)


def test_integers_out_of_range_are_400(server):
    assert_error(server.post("/v1/models/pixels:predict", json={"instances": [[0, 1, 256]]}), 400, "256", "uint8")
    assert_error(server.post("/v1/models/pixels:predict", json={"instances": [[0, 1, -1]]}), 400, "-1", "uint8")


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
    assert_error(server.post("/v2/models/scores/infer", json={"inputs": [IMAGE | change]}), 400, *parts)


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
    assert_error(server.post("/v2/models/scores/infer", content=content), 400, *parts)


@pytest.mark.parametrize(
    ("change", "binary_part", "length", "parts"),
    [
        ({}, 71, None, ["'image'", "72", "followed by 71 bytes"]),
        ({}, 73, None, ["1 byte after", "no input"]),
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
def test_v2_bad_binary_tensors_are_400(server, change, binary_part, length, parts):
    descriptions = {"name": "image", "shape": [3, 2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 72}}
    head = json.dumps({"inputs": [descriptions | change]}).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(head))}
    assert_error(
        server.post("/v2/models/scores/infer", content=head + bytes(binary_part), headers=headers), 400, *parts
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_binary_numbers_that_are_not_finite_are_400(server, value):
    sent = binary([("image", "FP32", np.full((1, 2, 3), value, "float32"))])
    assert_error(server.post("/v2/models/scores/infer", **sent), 400, "'image'", "infinite, NaN")


@pytest.mark.parametrize(
    ("binary_part", "part"),
    [
        (b"\1\0\0\0a", "1 string for a shape of 2"),
        (b"\1\0\0\0a" * 3, "3 strings for a shape of 2"),
        (b"\1\0\0\0a\2\0\0\0b", "after the end of the tensor"),
        (b"\1\0\0\0a\xff\xff\xff\xff", "after the end of the tensor"),
        (b"\1\0\0\0a\1\0", "after the end of the tensor"),
        (b"\1\0\0\0a\1\0\0\0\xff", "not UTF-8"),
    ],
)
def test_binary_texts_are_checked(server, binary_part, part):
    sent = binary([("x", "BYTES", np.frombuffer(binary_part, "S1"))])
    sent["content"] = sent["content"].replace(f'"shape": [{len(binary_part)}]'.encode(), b'"shape": [1, 2]')
    sent["headers"]["Inference-Header-Content-Length"] = str(len(sent["content"]) - len(binary_part))
    assert_error(server.post("/v2/models/words/infer", **sent), 400, "'x'", part)


def test_unknown_parameters_are_ignored(server):
    unknown = {"priority": 3, "sequence_id": "a", "sequence_start": True, "my_own": [1, {"a": None}]}
    body = {
        "inputs": [IMAGE | {"parameters": unknown}],
        "outputs": [{"name": "probabilities", "parameters": unknown}],
        "parameters": unknown,
        "unknown": unknown,
    }
    plain = ok_json(server.post("/v2/models/scores/infer", json={"inputs": [IMAGE]}))
    assert ok_json(server.post("/v2/models/scores/infer", json=body)) == plain


def test_unknown_content_encodings_are_415(server):
    for encoding in ("br", "identity, gzip", "x", "\xff"):
        headers = {"Content-Encoding": encoding.encode("latin-1")}
        assert_error(server.post("/v1/models/scores:predict", content=b"{}", headers=headers), 415, "gzip, deflate")
    identity = {"Content-Encoding": "identity"}
    assert server.post("/v1/models/flags:predict", content='{"instances":[true]}', headers=identity).is_success


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_invalid_compression_and_compression_bombs_are_4xx(server, encoding, compress):
    whole = compress(b'{"instances": [true]}')
    for invalid in (b"{}", b"", whole[:-1], whole + b"{}", whole + whole, whole[:-4] + b"\xff" * 4):
        headers = {"Content-Encoding": encoding}
        assert_error(server.post("/v1/models/flags:predict", content=invalid, headers=headers), 400, encoding)
    bomb = compress(bytes(1 << 25))
    assert len(bomb) < 1 << 20
    assert_error(server.post("/v1/models/flags:predict", content=bomb, headers=headers), 413, "1 MiB")


def test_large_bodies_are_413_with_or_without_content_length(server):
    assert_error(server.post("/v2/models/scores/infer", content=bytes((1 << 20) + 1)), 413, "1 MiB")
    chunks = (bytes(1 << 16) for _ in range(17))
    assert_error(server.post("/v2/models/scores/infer", content=chunks), 413, "1 MiB")
    padded = json.dumps({"instances": [ROW]}).ljust(1 << 20)
    ok_json(server.post("/v1/models/scores:predict", content=padded))
    ok_json(server.post("/v1/models/scores:predict", content=iter([padded[:9].encode(), padded[9:].encode()])))


def test_the_server_still_runs(server):
    """The last test of the file: runs after all others."""
    ok_json(server.get("/v2/health/ready"))
