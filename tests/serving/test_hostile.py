"""Hostile clients: every request gets 200 or 4xx with a readable error, in bounded time and memory."""

import contextlib
import gzip
import json
import re
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

MODELS = ["scores", "pair", "words", "flags", "scalar", "picture", "nothing"]
WORDS = ["instances", "inputs", "outputs", "examples", "context", "signature_name", "name", "shape", "datatype", "data"]
WORDS += ["parameters", "binary_data_size", "binary_data", "binary_data_output", "classification", "id", "b64", "ready"]
WORDS += ["image", "ids", "weights", "x", "log_verbose_level", "trace_level", "text_input", "shared_memory_region"]
VALUES = ["serving_default", "FP32", "INT64", "BYTES", "BOOL", "probabilities", "total", "y", "aGk="]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 7)
    | st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 1e300, 0.5])
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from([*WORDS, *VALUES, "\ud800"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=2), inner, max_size=4)
        | st.lists(st.lists(inner, min_size=1, max_size=2), min_size=1, max_size=3)
    ),
    max_leaves=20,
)
IMAGE = {"name": "image", "shape": [1, 2, 3], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]}
PAIR = [
    {"name": "ids", "shape": [1, 2], "datatype": "INT64", "data": [1, 2]},
    {"name": "weights", "shape": [1, 2], "datatype": "FP32", "data": [[0.5, 1]], "parameters": {"priority": 1}},
]
VALID = [
    ("/v1/models/scores:predict", {"instances": [[[1, 2, 3], [4, 5, 6]]], "signature_name": "serving_default"}),
    ("/v1/models/scores:predict", {"inputs": {"image": [[[1, 2, 3], [4, 5, 6]]]}}),
    (
        "/v1/models/pair:predict",
        {"instances": [{"ids": [1, 2], "weights": [1, 2]}, {"ids": [3, 2], "weights": [1, 2]}]},
    ),
    ("/v1/models/words:predict", {"instances": [["a", "b"], ["c", ""]]}),
    ("/v1/models/pair:classify", {"examples": [{"ids": [1]}], "context": {"weights": [1]}}),
    (
        "/v2/models/scores/infer",
        {"inputs": [IMAGE], "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}]},
    ),
    ("/v2/models/pair/infer", {"inputs": PAIR, "id": "a", "parameters": {"binary_data_output": True}}),
    ("/v2/models/words/infer", {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "BYTES", "data": ["a", "b"]}]}),
    ("/v2/models/scalar/infer", {"inputs": [{"name": "x", "shape": [], "datatype": "FP32", "data": [1]}]}),
    ("/v2/repository/index", {"ready": True}),
    ("/v2/logging", {"log_verbose_level": 0, "log_info": True}),
    ("/v2/trace/setting", {"trace_level": ["OFF"], "trace_rate": "1000"}),
]


def check_response(response):
    """Check that the status is 200, or 4xx with a short error of one line in the form that both protocols use."""
    assert response.status == 200 or 400 <= response.status < 500, response
    if response.status != 200:
        error = response.json()
        assert [*error] == ["error"]
        assert 0 < len(error["error"]) <= 400
        assert "\n" not in error["error"]
    return response


def paths(app):
    """The paths of every route that takes a body, except those that load or unload models."""
    parameters = re.compile(r"\{\w+\}")
    templates = {route.path for route in app.routes if route.method == "POST" and "repository/models" not in route.path}
    pairs = st.tuples(st.sampled_from(sorted(templates)), st.sampled_from(MODELS))
    return pairs.map(lambda pair: parameters.sub(pair[1], pair[0]))


def mutate(value, data):
    """Return the value with one part of it replaced."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(value)))
        if not data.draw(st.integers(0, 5)):
            return {name: item for name, item in value.items() if name != key}
        return value | {key: mutate(value[key], data)}
    if isinstance(value, list) and value and data.draw(st.integers(0, 3)):
        place = data.draw(st.integers(0, len(value) - 1))
        return [
            *value[:place],
            *data.draw(st.sampled_from([[mutate(value[place], data)], [], value])),
            *value[place + 1 :],
        ]
    return data.draw(JSON)


def test_the_bodies_that_other_tests_mutate_are_valid(call):
    for path, body in VALID:
        expected = 400 if "classify" in path else 200  # the model has no labels
        assert call("POST", path, body).status == expected, path


@settings(max_examples=150)
@given(data=st.data())
def test_any_json_gets_a_readable_response(call, data):
    check_response(call("POST", data.draw(paths(call.app.state)), data.draw(JSON)))


@settings(max_examples=250)
@given(st.sampled_from(VALID), st.data())
def test_a_mutated_body_gets_a_readable_response(call, valid, data):
    path, body = valid
    for _ in range(data.draw(st.integers(1, 3))):
        body = mutate(body, data)
    check_response(call("POST", path, body))


@settings(max_examples=150)
@given(st.sampled_from(VALID), st.data())
def test_a_body_with_corrupt_bytes_gets_a_readable_response(call, valid, data):
    path, body = valid
    broken = bytearray(json.dumps(body).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(broken) - 1))
        broken[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    check_response(call("POST", path, bytes(broken)))


@settings(max_examples=150)
@given(data=st.data())
def test_any_bytes_after_any_json_head_get_a_readable_response(call, data):
    kind, datatype, shape = data.draw(
        st.sampled_from([("scores", "FP32", [1, 2, 3]), ("words", "BYTES", [1, 2]), ("flags", "BOOL", [3])])
    )
    name = "image" if kind == "scores" else "x"
    suffix = data.draw(st.binary(max_size=40) | st.just(bytes(24)) | st.just(b"\1\0\0\0a" * 2))
    size = data.draw(st.just(len(suffix)) | st.integers(-2, 50) | st.sampled_from([2**32, 2**63, 10**30]))
    shape = data.draw(st.just(shape) | st.lists(st.integers(-2, 2**70) | st.integers(0, 3), max_size=4))
    tensor = {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
    inputs = [tensor] if data.draw(st.booleans()) else [mutate(tensor, data)]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": data.draw(st.booleans())}}).encode()
    length = data.draw(
        st.just(len(head)) | st.integers(-1, len(head) + 60) | st.text(st.characters(codec="latin-1"), max_size=3)
    )
    check_response(call("POST", f"/v2/models/{kind}/infer", head + suffix, {"Inference-Header-Content-Length": length}))


@settings(max_examples=150)
@given(data=st.data())
def test_any_headers_get_a_readable_response(call, data):
    names = ["content-length", "content-encoding", "accept-encoding", "content-type", "x-request-id", "authorization"]
    values = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=20)
    values |= st.sampled_from(["gzip", "deflate", "gzip;q=0", "gzip;q=x,;,q=0", "9" * 5000, "-1", "1e3", "0x10", "²"])
    headers = data.draw(st.dictionaries(st.sampled_from(names), values))
    path, body = data.draw(st.sampled_from(VALID))
    content = json.dumps(body).encode()
    pack = data.draw(
        st.sampled_from([bytes, gzip.compress, zlib.compress, lambda content: gzip.compress(content)[:-3]])
    )
    check_response(call("POST", path, pack(content), headers))


@settings(max_examples=150)
@given(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"]), st.data())
def test_any_path_gets_a_readable_response(call, method, data):
    parts = ["v1", "v2", "models", "scores", "versions", "1", "labels", "infer", "metadata", "page", "..", "", "status"]
    parts = st.lists(st.sampled_from(parts) | st.text(max_size=5), max_size=7).map(lambda parts: "/" + "/".join(parts))
    check_response(call(method, data.draw(parts | st.text(max_size=600))))


def test_the_total_size_of_bodies_is_limited_and_freed_after_each_response(call, monkeypatch):
    path, body = VALID[0]
    monkeypatch.setattr(call.app.state, "max_total_body_bytes", 10)
    response = call("POST", path, body)
    assert response.status == 429
    assert response.headers["retry-after"] == "1"
    check_response(response)
    monkeypatch.undo()
    assert call.app.state.total_body_bytes == 0
    assert call("POST", path, body).status == 200
    assert call.app.state.total_body_bytes == 0


def test_a_request_that_needs_too_much_memory_for_activations_is_refused(call):
    """The activations grow with the square of the input: for 40,000 numbers they would take 6 GB."""
    for size, status in ((1000, 200), (40_000, 413), (1000, 200), (40_000, 413)):
        response = check_response(call("POST", "/v1/models/products:predict", {"instances": [[1] * size]}))
        assert response.status == status
        assert status == 200 or "memory" in response.json()["error"]


# Over real connections


START = """
import sys
from kerasfound.serving import uvicorn_server as process, serve
for name in ("HEAD", "KEEP_ALIVE", "READ", "REST"):
    setattr(process, f"{name}_SECONDS", float(sys.argv[2]))
serve(sys.argv[1], port=0, max_body_mib=1, timeout=2 * float(sys.argv[2]))
"""
POST = b"POST /v1/models/pixels:predict HTTP/1.1\r\nHost: x\r\n"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


class Served:
    """A server in its own process, with short time limits, and its memory use."""

    def __init__(self, folder, seconds):
        command = [sys.executable, "-c", START, folder, str(seconds)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split(" at ")[-1].strip()
        self.port = int(self.url.rsplit(":", 1)[-1])

    @contextlib.contextmanager
    def connection(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            yield client

    def response_to(self, *parts):
        """Send the parts and return all bytes until the server closes the connection, which may be while we send."""
        with self.connection() as client:
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    client.sendall(part)
            return read_to_end(client)

    def peak(self):
        """The peak memory of the process, in MiB."""
        (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(line) / 1024

    def stop(self):
        assert httpx.get(f"{self.url}/v2/health/ready").is_success
        self.process.terminate()
        _, errors = self.process.communicate(timeout=20)
        assert (self.process.returncode, errors) == (0, "")


def read_to_end(client):
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1 << 16):
            received += part
    return received


@pytest.fixture(scope="module")
def served(repository):
    """A server with short time limits."""
    served = Served(repository, 0.3)
    yield served
    served.stop()


@pytest.fixture
def patient(repository):
    """A server with time limits that a busy machine does not reach."""
    served = Served(repository, 30)
    yield served
    served.stop()


def check_refused(response, status, part=""):
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), response
    assert b"content-type: application/json" in head
    (reason,) = json.loads(body).values()
    assert part in reason


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\2\3\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v2 HTTP/9.9\r\n\r\n",
        b"GET /v2/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        LIVE + LIVE + b"invalid\r\n\r\n",
        POST + b"Content-Length: 2\r\n\r\n{}more than the declared length\r\n\r\n",
        POST + b"Content-Length: abc\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
        POST + b"no colon\r\n\r\n",
        POST + b"X-Request-Id: a\0b\r\n\r\n",
    ],
)
def test_invalid_http_gets_400_and_the_connection_closes(served, data):
    response = served.response_to(data)
    check_refused(response[response.rindex(b"HTTP/1.1 ") :], 400)


@pytest.mark.parametrize(
    "head",
    [
        [b"GET /" + b"a" * (1 << 20)],
        [b"GET /v2 HTTP/1.1\r\n", b"X: " + b"a" * (1 << 20)],
        [b"GET /v2 HTTP/1.1\r\n", *[b"X-%d: a\r\n" % i for i in range(100_000)]],
    ],
)
def test_a_head_without_end_gets_431_or_a_closed_connection(served, head):
    response = served.response_to(*head)
    if response:  # a client that is still sending may lose its connection before it reads
        check_refused(response, 431, "65536 bytes")


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_without_a_request_is_closed(served, sent):
    assert served.response_to(sent) == b""


@pytest.mark.parametrize("sent", [b"G", b"GET /v2", LIVE[:-2]])
def test_a_slow_head_gets_408(served, sent):
    check_refused(served.response_to(sent), 408, "the head of the request did not arrive within 0.3 seconds")


@pytest.mark.parametrize(
    ("request_bytes", "end_of_response", "more"),
    [
        (LIVE, b'{"live":true}', b"\r\n"),
        (LIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: 100\r\n\r\n"), b'{"live":true}', b"a"),
        (POST + b"Content-Length: 80000000\r\n\r\n", b'the limit of this server"}', bytes(1000)),
    ],
)
def test_a_connection_without_a_next_request_is_closed(served, request_bytes, end_of_response, more):
    """An empty line, or the rest of a body whose request already has its response, is no next request."""
    with served.connection() as client:
        client.sendall(request_bytes)
        received = b""
        while not received.endswith(end_of_response):
            received += client.recv(1 << 16)
        client.sendall(more)
        assert read_to_end(client) == b""


def test_a_slow_body_gets_408(served):
    for body in (b"", b'{"instances"'):
        check_refused(served.response_to(POST + b"Content-Length: 100\r\n\r\n" + body), 408, "0.6 seconds")
    check_refused(served.response_to(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"), 408)


def test_a_client_that_keeps_sending_a_refused_body_is_disconnected(served):
    end = time.monotonic() + 20
    with served.connection() as client:
        client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < end:
                client.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
    assert time.monotonic() < end


def test_a_client_may_send_a_new_request_after_a_refused_body(patient):
    with httpx.Client(base_url=patient.url, timeout=30) as client:
        for _ in range(3):
            with contextlib.suppress(httpx.TransportError):
                assert client.post("/v1/models/pixels:predict", content=bytes(2 << 20)).status_code == 413
            assert client.get("/v2/health/live").is_success
    with patient.connection() as client:
        client.sendall(POST + b"Content-Length: 2000000\r\n\r\n" + bytes(2_000_000) + LIVE)
        received = b""
        while b'{"live":true}' not in received:
            received += client.recv(1 << 16)
        assert received.startswith(b"HTTP/1.1 413")


def test_half_closed_connections_are_closed(served):
    for sent in (b"", LIVE[:9], LIVE, POST + b"Content-Length: 9\r\n\r\n{"):
        with served.connection() as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)


def test_a_client_that_does_not_read_is_disconnected(served):
    body = json.dumps({"instances": [[100, 100, 100]] * 60_000}).encode()
    request = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", served.port))
        with pytest.raises(ConnectionError):
            client.sendall(request * 30)


def nested(depth):
    return b'{"instances":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc, which only Linux has"
)
def test_memory_stays_flat(patient):
    def status_of(content, path="/v1/models/pixels:predict", **headers):
        with contextlib.suppress(httpx.TransportError):  # disconnected while it sends
            response = client.post(path, content=content, headers=headers)
            assert 400 <= response.status_code < 500
            return response.status_code

    head = json.dumps({"inputs": [{"name": "x", "shape": [10**9, 3], "datatype": "UINT8"}]}).encode()
    with httpx.Client(base_url=patient.url, timeout=30) as client:
        client.post("/v1/models/pixels:predict", json={"instances": [[1, 2, 3]] * 50_000}).raise_for_status()
        before = patient.peak()
        for _ in range(2):
            assert status_of(bytes(80_000_000)) == 413
            assert status_of(bytes(1 << 20) for _ in range(80)) in (413, None)
            assert status_of(gzip.compress(bytes(80_000_000)), **{"Content-Encoding": "gzip"}) == 413
            assert status_of(nested(500_000)) == 400
            assert status_of(b'{"instances":[' + b"[]," * 340_000 + b"[]]}") == 400
            assert status_of(b'{"instances":[' + b'{"x":1},' * 130_000 + b"{}]}") == 400
            assert status_of(b'{"inputs":[' + b"{}," * 300_000 + b"{}]}", "/v2/models/pixels/infer") == 400
            assert status_of(head, "/v2/models/pixels/infer") == 400
            patient.response_to(b"GET /v2 HTTP/1.1\r\nX: ", bytes(80_000_000))
        assert patient.peak() - before < 100
