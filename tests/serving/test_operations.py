"""Operating the server: limits, metrics, access log, request ids, API keys, constant memory."""

import collections
import concurrent.futures
import contextlib
import functools
import http.client
import json
import re
import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

PREDICT, IMAGE = "/v1/models/scores:predict", [[1, 2, 3], [4, 5, 6]]


@pytest.fixture(scope="module")
def running_server(start):
    """`with running_server(folder, **options) as client`: an HTTP client of a server that must stop without errors."""

    @contextlib.contextmanager
    def running_server(folder, **options):
        process = start(folder, **options)
        url = re.search(r"http://[0-9.:]+", process.stdout.readline())[0]
        with httpx.Client(base_url=url, timeout=30) as client:
            yield client
        process.terminate()
        client.output, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert errors == ""

    return running_server


@pytest.fixture
def scripted_server():
    """`scripted_server(script, folder, **options)`: starts a server with a script; returns its process and port."""
    started = []

    def scripted_server(script, folder, **options):
        command = [sys.executable, "-c", script, str(folder)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options))
        return started[-1], int(started[-1].stdout.readline().rsplit(":", 1)[-1])

    yield scripted_server
    for process in started:
        process.kill()


def samples(client):
    """Returns every sample of `/metrics` by name and labels."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def increase(before, after, name, **labels):
    key = (name, *sorted(labels.items()))
    return after.get(key, 0) - before.get(key, 0)


def in_threads(count, send):
    """Calls `send(i)` for each i, each in its own thread."""
    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        return list(threads.map(send, range(count)))


class FastClient:
    """A client with one kept-alive connection; `httpx` is too slow for thousands of requests."""

    def __init__(self, client):
        self.connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body))
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


# --------------------------------------------------------------------------------------------------------------- limits


@pytest.fixture
def slow(tmp_path, bundle):
    bundle(tmp_path, "slow", 1)
    bundle(tmp_path, "pair", 1)
    return tmp_path


def steps(client, count):
    return client.post("/v1/models/slow:predict", json={"instances": [count]})


def test_a_full_queue_gives_429_and_all_other_requests_get_their_own_outputs(slow, running_server):
    with running_server(slow, max_queue=4) as client:
        responses = in_threads(24, lambda i: steps(client, 300_000 + i))
        refused = [response for response in responses if response.status_code == 429]
        completed = [(i, response) for i, response in enumerate(responses) if response.status_code == 200]
        assert len(refused) + len(completed) == 24
        assert len(refused) >= 10
        assert all(response.headers["retry-after"] == "1" for response in refused)
        assert all("limit of this server" in response.json()["error"] for response in refused)
        assert all(response.json() == {"predictions": [300_000 + i]} for i, response in completed)
        assert steps(client, 3).json() == {"predictions": [3]}


def test_a_slow_model_does_not_delay_other_requests_and_a_timeout_is_504(slow, running_server):
    with running_server(slow, timeout=0.5) as client:
        slow_request = threading.Thread(target=lambda: statuses.append(steps(client, 1_500_000).status_code))
        statuses = []
        slow_request.start()
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/pair", "/metrics"):
            assert client.get(path).status_code == 200
        pair = {"inputs": {"ids": [[1, 2]], "weights": [[1, 1]]}}
        assert client.post("/v1/models/pair:predict", json=pair).status_code == 200
        assert statuses == []
        slow_request.join()
        assert statuses == [504]
        while (response := steps(client, 5)).status_code == 504:
            pass
        assert response.json() == {"predictions": [5]}


def test_only_the_request_with_an_invalid_row_fails(slow, running_server, direct):
    """Token ids outside the vocabulary, at the same time as valid ones."""

    def send(i):
        ids = np.array([[i % 10, (3 * i + j) % 10] for j in range(1 + i % 3)])
        ids[0, 0] = 99 if i % 8 == 7 else ids[0, 0]
        feeds = {"ids": ids, "weights": np.full(ids.shape, i, "float32")}
        body = {"inputs": {key: array.tolist() for key, array in feeds.items()}}
        with FastClient(client) as fast:
            results = [fast.post("/v1/models/pair:predict", body) for _ in range(20)]
        total = None if i % 8 == 7 else direct("pair", feeds)[0]
        for status, document in results:
            if i % 8 == 7:
                assert status == 400
                assert "the model cannot take this input" in document["error"]
            else:
                np.testing.assert_allclose(document["outputs"]["total"], total, rtol=1e-5)

    with running_server(slow) as client:
        in_threads(16, send)
        result = client.get("/v2/models/pair/stats").json()["model_stats"][0]
        assert result["inference_stats"]["success"]["count"] == 14 * 20
        assert result["inference_stats"]["fail"]["count"] == 2 * 20


def test_thousands_of_rows_run_in_pieces_and_too_many_values_are_refused(server, direct):
    rows = np.random.default_rng(0).normal(size=(3000, 2, 3)).astype("float32").round(3)
    document = server.post("/v1/models/scores/versions/1:predict", json={"instances": rows.tolist()}).json()
    np.testing.assert_allclose(document["predictions"], direct("scores", {"image": rows})[0], rtol=1e-4)
    stats = server.get("/v2/models/scores/versions/1/stats").json()["model_stats"][0]
    assert max(batch["batch_size"] for batch in stats["batch_stats"]) <= 32
    refused = server.post("/v1/models/pixels:predict", content=b'{"instances":[%s[1,1,1]]}' % (b"[1,1,1]," * 88_000))
    assert refused.status_code == 413
    assert "264003 values, more than 262144" in refused.json()["error"]


def test_connections_above_the_limit_get_503_and_older_ones_continue(repository, scripted_server):
    """300 open files leave 44 connections. Health checks always work, and all requests after the others have closed."""
    script = "import sys; from kerasfound.serving import serve; serve(sys.argv[1], port=0)"
    limited = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (300, 300))
    process, port = scripted_server(script, repository, preexec_fn=limited)
    first = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def get(path):
        return httpx.get(f"{first.base_url}{path}", timeout=30, verify=False)

    assert first.get("/v2").status_code == 200
    with contextlib.ExitStack() as connections:
        for _ in range(60):
            connections.enter_context(socket.create_connection(("127.0.0.1", port)))
        refused = get("/v2")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json() == {"error": "more than 44 connections, the limit of this server; try again"}
        assert get("/v2/health/live").status_code == 200
        assert first.get("/v2").status_code == 200
        for _ in range(340):
            connections.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert first.get("/v2").status_code == 200
    completed = False
    while not completed:
        with contextlib.suppress(httpx.TransportError):  # the server may not have noticed yet that the others closed
            completed = get("/v2").is_success
    first.close()
    process.terminate()
    assert process.wait(timeout=30) == 0


def test_slow_heads_and_idle_connections_are_closed_but_responses_complete(slow, scripted_server):
    script = """
import sys
from kerasfound.serving import uvicorn_server as process, serve
process.HEAD_SECONDS, process.KEEP_ALIVE_SECONDS = 0.3, 0.6
serve(sys.argv[1], port=0)
"""
    process, port = scripted_server(script, slow)
    address = ("127.0.0.1", port)
    live = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b'{"instances": [500000]}'
    head = b"POST /v1/models/slow:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for sent in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost", live, live + b"\r\n", live + b"GET"):
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(sent)
            received = b"".join(iter(lambda client=client: client.recv(1 << 16), b""))
            assert received.count(b"HTTP/1.1 200") == sent.count(live)
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(head + body + b"GET / HT")
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
    process.terminate()
    assert process.wait(timeout=30) == 0


def test_a_head_in_two_parts_does_not_count_its_body(server):
    body = json.dumps({"instances": [IMAGE] * 20_000}).encode()
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (PREDICT.encode(), len(body))
    with socket.create_connection((server.base_url.host, server.base_url.port), timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(3):
            client.sendall(head[:20])
            server.get("/v2/health/live")  # the first part is read before the rest is sent
            client.sendall(head[20:] + body)
            response = http.client.HTTPResponse(client)
            response.begin()
            assert (response.status, len(json.loads(response.read()).get("predictions", ""))) == (200, 20_000)


def test_invalid_http_gets_a_json_error(server):
    with socket.create_connection((server.base_url.host, server.base_url.port), timeout=30) as client:
        client.sendall(b"nonsense\r\n\r\n")
        response = http.client.HTTPResponse(client)
        response.begin()
        assert (response.status, response.headers["content-type"]) == (400, "application/json")
        assert list(json.loads(response.read())) == ["error"]
        assert client.recv(1) == b""


# -------------------------------------------------------------------------------------------------------------- metrics


def test_metrics_count_what_was_sent(repository, running_server):
    with running_server(repository) as client:
        before = samples(client)
        for rows in (1, 1, 2, 3, 40):
            assert client.post(PREDICT, json={"instances": [IMAGE] * rows}).status_code == 200
        for _ in range(3):
            assert client.post(PREDICT, json={"instances": []}).status_code == 400
        for i in range(7):
            assert client.get(f"/v2/models/{i}/ready").status_code == 404
            assert client.get(f"/{i}").status_code == 404
            assert client.delete(f"/v2/models/{i}").status_code == 405
        after = samples(client)

    def requests(**labels):
        return increase(before, after, "kerasfound_requests_total", **labels)

    assert requests(call="predict", model="scores", status="200") == 5
    assert requests(call="predict", model="scores", status="400") == 3
    assert requests(call="model_ready", model="", status="404") == 7
    assert requests(call="", model="", status="404") == 7
    assert requests(call="", model="", status="405") == 7
    assert increase(before, after, "kerasfound_request_seconds_count", call="predict", model="scores") == 8
    assert increase(before, after, "kerasfound_batch_rows_sum", model="scores") == 47
    assert increase(before, after, "kerasfound_batch_rows_count", model="scores") == 6  # forty rows run in two pieces
    assert increase(before, after, "kerasfound_inference_seconds_count", model="scores") == 6
    assert after["kerasfound_queue_requests", ("model", "scores")] == 0
    assert after["kerasfound_model_served", ("model", "scores"), ("version", "12")] == 1
    assert after["kerasfound_model_served", ("model", "scores"), ("version", "1")] == 1
    seconds = {key for key in after if key[0] == "kerasfound_request_seconds_bucket"}
    assert {dict(key[1:])["model"] for key in seconds} == {"", "scores"}


def test_metrics_are_summed_over_all_workers(repository, running_server):
    with running_server(repository, workers=2) as client:

        def send(i):
            with FastClient(client) as fast:
                return fast.post(PREDICT, {"instances": [IMAGE] * 2})[0]

        assert {status for _ in range(4) for status in in_threads(8, send)} == {200}
        counted = "kerasfound_requests_total", ("call", "predict"), ("model", "scores"), ("status", "200")
        queued = "kerasfound_queue_requests", ("model", "scores")
        end = time.monotonic() + 20
        while ((after := samples(client)).get(counted, 0) < 32 or after[queued]) and time.monotonic() < end:
            time.sleep(0.05)  # a worker counts after it has sent the response, and its queue every tenth of a second
        processes = {key for _ in range(3) for key in samples(client)}
    assert after[counted] == 32
    assert after["kerasfound_batch_rows_sum", ("model", "scores")] == 64
    assert after[queued] == 0
    assert after["kerasfound_model_served", ("model", "scores"), ("version", "12")] == 1
    assert not any(label == "pid" for _, *labels in processes for label, _ in labels)


# -------------------------------------------------------------------------------------------- log, request ids and keys


def test_every_response_is_one_line_of_json_in_the_log(repository, running_server):
    sent = [
        ("POST", PREDICT, 200),
        ("POST", "/v2/models/none/infer", 404),
        ("GET", "/v2/health/live", 200),
        ("GET", '/"quoted"\n\u2028', 404),
        ("DELETE", "/v2", 405),
        ("POST", "/" + 600 * "x", 414),
    ]
    with running_server(repository, access_log=True) as client:
        ids = []
        for method, path, status in sent:
            response = client.request(method, urllib.parse.quote(path, safe="/:"), json={"instances": [IMAGE]})
            assert response.status_code == status
            ids.append(response.headers["x-request-id"])
    lines = [json.loads(line) for line in client.output.rstrip("\n").split("\n")]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == sent
    assert [line["id"] for line in lines] == ids
    assert all(line["client"] == "127.0.0.1" and line["milliseconds"] > 0 and line["time"] > 1e9 for line in lines)
    assert client.output.count("\n") == len(sent)


def test_a_client_cannot_switch_off_the_access_log_option(repository, running_server):
    with running_server(repository, access_log=True) as client:
        assert client.get("/v2/logging").json()["log_verbose_level"] == 1
        refused = client.post("/v2/logging", json={"log_verbose_level": 0})
        assert (refused.status_code, "--access-log" in refused.json()["error"]) == (400, True)
        assert client.post("/v2/logging", json={"log_verbose_level": 1}).is_success
    assert client.output.count("\n") == 3


def test_a_log_without_a_reader_does_no_harm(repository, start):
    process = start(repository, access_log=True)
    url = process.stdout.readline().split(" at ")[-1].strip()
    process.stdout.close()
    with httpx.Client(base_url=url, timeout=30) as client:
        for _ in range(5):
            assert client.get("/v2").status_code == 200
    process.terminate()
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == "the access log stops: [Errno 32] Broken pipe\n"


@pytest.mark.parametrize("request_id", ["a", "7f3c-1", "x" * 128, "{}/\\'\";"])
def test_a_valid_request_id_is_kept(server, request_id):
    for path in ("/v2", "/nothing"):
        assert server.get(path, headers={"X-Request-Id": request_id}).headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", [None, b"", b"a b", b"x" * 129, b"\xe9", b"a\tb"])
def test_a_missing_or_invalid_request_id_is_replaced(server, request_id):
    headers = {} if request_id is None else {b"X-Request-Id": request_id}
    result = [server.get("/v2", headers=headers).headers["x-request-id"] for _ in range(3)]
    assert len(set(result)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", name) for name in result)


def test_requests_need_the_api_key_but_health_checks_do_not(repository, running_server, tmp_path):
    file = tmp_path / "key"
    file.write_text("opensesame\n")
    with running_server(repository, api_key_file=str(file)) as client:
        right = [{"Authorization": "Bearer opensesame"}, {"authorization": "bearer  opensesame"}]
        right += [{"X-API-Key": "opensesame"}, {"X-API-Key": "opensesame", "Authorization": "Basic b3Blbg=="}]
        wrong = [{}, {"X-API-Key": ""}, {"X-API-Key": "opensesam"}, {"X-API-Key": "opensesame!"}]
        wrong += [{"Authorization": "opensesame"}, {"Authorization": "Basic opensesame"}, {"Authorization": "Bearer"}]
        wrong += [{"X-API-Key": "\u00f6"}, {"Authorization": "Bearer open sesame"}]
        for method, path in (("GET", "/v2"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("POST", PREDICT)):
            for headers in right:
                headers = {name: value.encode("latin-1") for name, value in headers.items()}
                assert client.request(method, path, json={"instances": [IMAGE]}, headers=headers).status_code == 200
            for headers in wrong:
                headers = {name: value.encode("latin-1") for name, value in headers.items()}
                response = client.request(method, path, json={"instances": [IMAGE]}, headers=headers)
                assert response.status_code == 401
                assert response.headers["www-authenticate"] == "Bearer"
                assert "Authorization: Bearer KEY" in response.json()["error"]
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200


# --------------------------------------------------------------------------------------------------------------- memory


def test_thousands_of_requests_do_not_increase_memory(repository, running_server):
    def memory():
        return samples(client)["process_resident_memory_bytes",]

    def send(i):
        result = collections.Counter()
        with FastClient(client) as fast:
            for turn in range(250):
                path, rows = (PREDICT, 1 + turn % 40) if turn % 5 else ("/nothing", 1)
                result[fast.post(path, {"instances": [IMAGE] * rows})[0]] += 1
        return result

    with running_server(repository) as client:
        in_threads(4, send)
        before = memory()
        for _ in range(3):
            assert sum(in_threads(4, send), collections.Counter()) == {200: 800, 404: 200}
        assert memory() - before < 4 << 20
