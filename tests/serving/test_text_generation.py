"""Text generation: the server gives the same text as `kerasfound.sampling` on the step graph, whole or as a stream."""

import itertools
import json

import httpx
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from kerasfound.bundle.manifest import NamedSignature, Tensor, TextGeneration
from kerasfound.preprocessing import characters
from kerasfound.sampling import generate_tokens, sample_token

ALPHABET = "\n abcdefgé日"
WINDOW = 16
PROMPT = "bad cabbage"
GREEDY = {"text_input": PROMPT, "max_tokens": 50, "temperature": 0}
WILD = {"text_input": PROMPT, "max_tokens": 50, "temperature": 1.5}
GENERATE, STREAM = "/v2/models/ids/generate", "/v2/models/ids/generate_stream"


def step_graph():
    """Logits from each character, its position, and the counts of the previous characters, which are the cache."""
    rng, size = np.random.default_rng(0), len(ALPHABET)
    constants = {
        "size": np.array(size, "int32"),
        "off_on": np.array([0, 1], "float32"),
        "one": np.array([1]),
        "last": np.array(-1),
        "axis": np.array(1),
        "end": np.array([2]),
        "mixed": (0.1 * rng.normal(size=(size, size)) - np.eye(size)).astype(
            "float32"
        ),  # frequent characters become less likely
        "follows": rng.normal(size=(size, size)).astype("float32"),
        "waves": rng.normal(size=size).astype("float32"),
    }
    steps = [
        ("OneHot", ["ids", "size", "off_on"], "shown"),
        ("CumSum", ["shown", "axis"], "counted"),
        ("Unsqueeze", ["past", "one"], "before"),
        ("Add", ["counted", "before"], "known"),
        ("Gather", ["known", "last"], "present"),
        ("MatMul", ["known", "mixed"], "by_count"),
        ("MatMul", ["shown", "follows"], "by_last"),
        ("ReduceSum", ["shown", "end"], "ones"),
        ("CumSum", ["ones", "axis"], "places"),
        ("Cast", ["start"], "start_place"),
        ("Unsqueeze", ["start_place", "axes"], "first"),
        ("Add", ["places", "first"], "place"),
        ("Mul", ["place", "waves"], "phases"),
        ("Sin", ["phases"], "by_place"),
        ("Add", ["by_count", "by_last"], "sum"),
        ("Add", ["sum", "by_place"], "logits"),
    ]
    constants["axes"] = np.array([1, 2])
    more = {"Gather": {"axis": 1}, "Cast": {"to": TensorProto.FLOAT}}
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **more.get(kind, {})) for kind, inputs, output in steps],
        "step",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", "time"]),
            helper.make_tensor_value_info("start", TensorProto.INT32, ["batch"]),
            helper.make_tensor_value_info("past", TensorProto.FLOAT, ["batch", size]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "time", size]),
            helper.make_tensor_value_info("present", TensorProto.FLOAT, ["batch", size]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bundle):
    """A model that generates text, in two versions, and one that does not."""
    folder, size = tmp_path_factory.mktemp("generation"), len(ALPHABET)
    inputs = [Tensor("ids", "int32", ["batch", "time"]), Tensor("start", "int32", ["batch"])]
    step = NamedSignature(
        "step",
        "onnx",
        [*inputs, Tensor("past", "float32", ["batch", size])],
        [Tensor("logits", "float32", ["batch", "time", size]), Tensor("present", "float32", ["batch", size])],
    )
    generation = TextGeneration("step.onnx", WINDOW, "ids", "start", "logits", {"present": "past"})
    for version in (1, 2):
        fields = {"labels": list(ALPHABET), "extra_signatures": [step], "text_generation": generation}
        bundle(folder, "ids", version, {"step.onnx": step_graph()}, **fields)
    bundle(folder, "flags", 1)
    return folder


@pytest.fixture(scope="module")
def app(folder, make_app):
    return make_app(folder)


@pytest.fixture(scope="module")
def reference(folder):
    """`reference(prompt, count, **sampling)`: computes every character from the whole text, without a cache."""
    session = onnxruntime.InferenceSession(folder / "ids" / "1" / "step.onnx", providers=["CPUExecutionProvider"])

    def response(ids, cached):
        feeds = {"ids": np.array([ids], "int32"), "start": np.zeros(1, "int32")}
        return session.run(["logits"], feeds | {"past": np.zeros((1, len(ALPHABET)), "float32")})[0][0, -1]

    def reference(prompt, count, temperature=0.8, top_k=None, top_p=None, seed=0):
        rng = np.random.default_rng(seed)
        sampled = generate_tokens(
            response,
            characters.encode_characters(prompt, ALPHABET).tolist(),
            WINDOW,
            lambda logits: sample_token(logits, temperature, top_k, top_p, rng),
        )
        return "".join(ALPHABET[number] for number in itertools.islice(sampled, count))

    return reference


def events(pieces):
    """Yields the JSON of server-sent events; each event must be one piece."""
    for piece in pieces:
        assert piece.startswith(b"data: ")
        assert piece.endswith(b"\n\n")
        assert piece.count(b"\n") == 2
        yield json.loads(piece[6:])


def assert_error(response, *parts, status=400):
    assert response.status == status, response
    assert list(response.json()) == ["error"]
    for part in parts:
        assert part in response.json()["error"]


@pytest.mark.parametrize("prompt", ["a", PROMPT, "ab\n é日" * 20])
def test_greedy_generation_picks_the_most_likely_characters(app, reference, prompt):
    """One prompt is longer than the window, so that the oldest characters are dropped."""
    expected = reference(prompt, 50, 0)
    assert len(set(expected)) > 3
    body = GREEDY | {"text_input": prompt, "id": "a"}
    for version in (1, 2):
        path = f"/v2/models/ids/versions/{version}"
        model_fields = {"model_name": "ids", "model_version": str(version), "id": "a"}
        assert app("POST", f"{path}/generate", body).json() == model_fields | {"text_output": expected}
        response = app("POST", f"{path}/generate_stream", body)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "content-length" not in response.headers
        assert [*events(app.pieces)] == [model_fields | {"text_output": character} for character in expected]


@pytest.mark.parametrize(
    "sampling", [{}, {"seed": 5}, {"top_k": 3}, {"top_p": 0.5}, {"top_k": 2, "top_p": 0.9, "seed": 7}]
)
def test_a_seed_gives_the_same_text_again(app, reference, sampling):
    expected = reference(PROMPT, 50, 1.5, **sampling)
    for body in (
        WILD | sampling,
        {"text_input": PROMPT, "parameters": {"max_tokens": 50, "temperature": 1.5, **sampling}},
    ):
        for _ in range(2):
            assert app("POST", GENERATE, body).json()["text_output"] == expected
            app("POST", STREAM, body)
            assert "".join(event["text_output"] for event in events(app.pieces)) == expected


def test_other_seeds_give_other_texts(app):
    texts = {app("POST", GENERATE, WILD | {"seed": seed}).json()["text_output"] for seed in (0, 1, 2, 10**40)}
    assert len(texts) == 4


def test_top_level_fields_override_parameters(app, reference):
    body = {"text_input": "a", "max_tokens": 3, "parameters": {"max_tokens": 7, "temperature": 0}}
    assert app("POST", GENERATE, body).json()["text_output"] == reference("a", 3, 0)


@pytest.mark.parametrize("path", [GENERATE, STREAM])
def test_a_client_that_disconnects_stops_the_generation(app, monkeypatch, path):
    generator = app.app.state.repository.get("ids").text_generator
    calls = []

    class CountingSession:
        def run(self, *arguments):
            calls.append(arguments)
            if len(calls) == 3:
                app.loop.call_soon_threadsafe(app.disconnected.set)
            return session.run(*arguments)

    session = generator._session
    monkeypatch.setattr(generator, "_session", CountingSession())
    app("POST", path, GREEDY | {"max_tokens": 2000})
    assert len(calls) <= 6


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"text_input": "a?b"}, ["'?'", "not in the text"]),
        ({"text_input": "aß"}, ["'ß'"]),
        ({"text_input": ""}, ["0 characters", "expected 1 to"]),
        ({"text_input": "a" * (1 << 20)}, ["1048576 characters", "expected 1 to 524288"]),
        ({"text_input": None}, ["text_input"]),
        ({"text_input": ["a"]}, ["text_input"]),
        ({"max_tokens": 0}, ["max_tokens", ">= 1"]),
        ({"max_tokens": 2001}, ["max_tokens is 2001", "2000"]),
        ({"max_tokens": 10**400}, ["max_tokens"]),
        ({"max_tokens": "5"}, ["max_tokens"]),
        ({"temperature": -1}, ["temperature", ">= 0"]),
        ({"temperature": 10**400}, ["temperature"]),
        ({"top_k": 0}, ["top_k"]),
        ({"top_k": 1.5}, ["top_k"]),
        ({"top_p": 0}, ["top_p"]),
        ({"top_p": 1.1}, ["top_p"]),
        ({"seed": -1}, ["seed"]),
        ({"seed": True}, ["seed"]),
        ({"parameters": {"max_tokens": -1}, "max_tokens": 5, "seed": None}, ["seed"]),
        ({"stop": ["b"]}, ["unknown field `stop`"]),
        ({"parameters": {"stream": True}}, ["unknown field `stream`"]),
        ({"id": 7}, ["id"]),
        ({"parameters": []}, ["the request"]),
        ({"parameters": "seed"}, ["the request"]),
        ({"parameters": None}, ["the request"]),
    ],
)
def test_invalid_parameters_are_refused_before_the_generation_starts(app, change, parts):
    for path in (GENERATE, STREAM):
        assert_error(app("POST", path, GREEDY | change), *parts)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b"{", b'{"text_input": "\xff"}', b'{"temperature": NaN}', b"[" * 99999]
)
def test_invalid_json_is_refused(app, body):
    assert_error(app("POST", GENERATE, body), "the request")


def test_a_model_without_text_generation_is_400(app):
    assert_error(app("POST", "/v2/models/flags/generate", GREEDY), "'flags'", "does not generate text", "/infer")
    assert_error(app("POST", "/v2/models/nothing/generate", GREEDY), "'nothing'", status=404)


def test_a_text_that_is_not_complete_in_time_is_504(folder, make_app):
    app_without_time = make_app(folder, timeout_seconds=1e-9)
    assert_error(app_without_time("POST", GENERATE, GREEDY), "not complete after", "fewer", status=504)
    app_without_time("POST", STREAM, GREEDY)
    first, last = events(app_without_time.pieces)
    assert len(first["text_output"]) == 1
    assert "not complete after" in last["error"]


def test_a_stream_arrives_piece_by_piece_over_a_connection(folder, start, reference):
    process = start(folder)
    url = process.stdout.readline().split(" at ")[-1].strip()
    with httpx.Client(base_url=url, timeout=20) as client:
        with client.stream("POST", STREAM, json=GREEDY) as response:
            assert response.headers["transfer-encoding"] == "chunked"
            texts = [json.loads(line[6:])["text_output"] for line in response.iter_lines() if line]
        assert "".join(texts) == reference(PROMPT, 50, 0)
        with client.stream("POST", STREAM, json=GREEDY | {"max_tokens": 2000}) as response:
            assert next(response.iter_lines())
        assert client.post(GENERATE, json=GREEDY).json()["text_output"] == reference(PROMPT, 50, 0)
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
