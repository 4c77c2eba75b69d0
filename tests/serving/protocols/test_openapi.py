"""The document at `/openapi.json` is whole, and tells what the server does."""

import re

import pytest

from kerasfound.serving.app import ROUTES, App

NAMES = {"name": "scores", "version": "1", "label": "none", "file": "page.js", "region": "a"}


@pytest.fixture(scope="module")
def document(ask):
    return ask("GET", "/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def test_every_route_is_in_it_and_nothing_else(document):
    assert document["openapi"].startswith("3.1")
    assert {*document["info"]} == {"title", "version"}
    found = {(path, method) for path, method, _ in operations(document)}
    assert found == {(route.path, route.method) for route in ROUTES}


def test_every_operation_is_whole(document):
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


def test_every_reference_leads_somewhere(document):
    def references(value):
        if isinstance(value, dict):
            yield from (each for key, each in value.items() if key == "$ref")
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from references(each)

    found = {*references(document)}
    assert "#/components/schemas/InferRequest" in found
    for reference in found:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place
    assert found == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_answers_are_of_the_kinds_that_it_tells(document, ask):
    for path, method, operation in operations(document):
        if "unload" in path:
            continue
        answer = ask(method, re.sub(r"{(\w+)}", lambda name: NAMES[name[1]], path))
        if answer.status == 200:
            assert answer.headers["content-type"] in operation["responses"]["200"]["content"]
        else:
            assert 400 <= answer.status < 500
            assert {*answer.json()} == {"error"}
        if method == "POST" and answer.status == 200:  # without a body
            assert not operation.get("requestBody", {}).get("required")


def test_what_it_tells_of_bodies_is_what_is_taken(document):
    schemas = document["components"]["schemas"]
    assert schemas["InferRequest"]["required"] == ["inputs"]
    assert schemas["Input"]["required"] == ["name", "shape", "datatype"]
    assert {"text_input", "max_tokens", "seed", "parameters"} <= {*schemas["GenerateRequest"]["properties"]}
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]
    assert {*infer["requestBody"]["content"]} == {"application/json", "application/octet-stream"}
    assert {*infer["responses"]["200"]["content"]} == {"application/json", "application/octet-stream"}
    assert [each["name"] for each in infer["parameters"]] == ["name", "inference-header-content-length"]


@pytest.mark.parametrize("key", [None, "secret"])
def test_it_tells_whether_a_key_is_needed(ask, monkeypatch, key):
    locked = App(ask.app.state.repository, ask.app.state.limits, key)
    monkeypatch.setattr(ask, "app", locked)
    headers = {"Authorization": "Bearer secret"}
    document = ask("GET", "/openapi.json", headers=headers).json()
    for path, method, operation in operations(document):
        if "unload" in path:
            continue
        needed = bool(operation.get("security", document["security"]))
        answer = ask(method, re.sub(r"{(\w+)}", lambda name: NAMES[name[1]], path))
        assert (answer.status == 401) == needed
