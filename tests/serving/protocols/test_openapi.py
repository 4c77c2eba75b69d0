"""`/openapi.json` is complete and describes the behavior of the server."""

import re

import pytest

from kerasfound.serving.app import ROUTES, App

NAMES = {"name": "scores", "version": "1", "label": "none", "file": "page.js", "region": "a"}


@pytest.fixture(scope="module")
def document(call):
    return call("GET", "/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def test_the_document_has_exactly_the_routes(document):
    assert document["openapi"].startswith("3.1")
    assert {*document["info"]} == {"title", "version"}
    found = {(path, method) for path, method, _ in operations(document)}
    assert found == {(route.path, route.method) for route in ROUTES}


def test_every_operation_is_complete(document):
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for path, method, operation in operations(document):
        assert operation["summary"].endswith("."), path
        in_path = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", path)
        assert all(each["required"] for each in operation["parameters"] if each["in"] == "path")
        assert {*operation["responses"]} == {"200", "4XX", "5XX"}
        assert all(each["description"] and each["content"] for each in operation["responses"].values())
        assert ("requestBody" in operation) <= (method == "POST")


def test_every_reference_has_a_target(document):
    def references(value):
        if isinstance(value, dict):
            yield from (each for key, each in value.items() if key == "$ref")
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from references(each)

    targets = {*references(document)}
    assert "#/components/schemas/InferRequest" in targets
    for reference in targets:
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node
    assert targets == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_responses_have_the_documented_content_types(document, call):
    for path, method, operation in operations(document):
        if "unload" in path:
            continue
        response = call(method, re.sub(r"{(\w+)}", lambda name: NAMES[name[1]], path))
        if response.status == 200:
            assert response.headers["content-type"] in operation["responses"]["200"]["content"]
        else:
            assert 400 <= response.status < 500
            assert {*response.json()} == {"error"}
        if method == "POST" and response.status == 200:  # without a body
            assert not operation.get("requestBody", {}).get("required")


def test_request_bodies_are_documented(document):
    schemas = document["components"]["schemas"]
    assert schemas["InferRequest"]["required"] == ["inputs"]
    assert schemas["Input"]["required"] == ["name", "shape", "datatype"]
    assert {"text_input", "max_tokens", "seed", "parameters"} <= {*schemas["GenerateRequest"]["properties"]}
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]
    assert {*infer["requestBody"]["content"]} == {"application/json", "application/octet-stream"}
    assert {*infer["responses"]["200"]["content"]} == {"application/json", "application/octet-stream"}
    assert [each["name"] for each in infer["parameters"]] == ["name", "inference-header-content-length"]


@pytest.mark.parametrize("key", [None, "secret"])
def test_security_says_whether_a_key_is_required(call, monkeypatch, key):
    app = App(call.app.state.repository, call.app.state.limits, key)
    monkeypatch.setattr(call, "app", app)
    headers = {"Authorization": "Bearer secret"}
    document = call("GET", "/openapi.json", headers=headers).json()
    for path, method, operation in operations(document):
        if "unload" in path:
            continue
        requires_key = bool(operation.get("security", document["security"]))
        response = call(method, re.sub(r"{(\w+)}", lambda name: NAMES[name[1]], path))
        assert (response.status == 401) == requires_key
