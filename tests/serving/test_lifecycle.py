"""Servers in their own processes under constant load: new and deleted versions, signals, worker processes.

These tests check no timings; their time limits are long enough for a busy machine.
"""

import collections
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from kerasfound.bundle import manifest, recorded_cases

IMAGE = {"inputs": [{"name": "image", "shape": [1, 2, 3], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]}]}
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


class Clients:
    """Threads that send requests in a loop and compare each output with the expected output of its version.

    Args:
        port: of the server.
        count: of threads.
        expected: the expected output of each version.
        keep_alive: whether the threads reuse their connections.
    """

    def __init__(self, port, count, expected, keep_alive=True):
        self.port, self.expected, self.keep_alive = port, expected, keep_alive
        self.counts = collections.Counter()
        """Requests by outcome and version; `broken` is a request without a complete response."""
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.send_requests) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()

    def join(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def send_requests(self):
        connection = None
        headers = {} if self.keep_alive else {"Connection": "close"}
        while not self.stopping.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    self.counts["refused"] += 1
                    return
            try:
                connection.request("POST", "/v2/models/scores/infer", json.dumps(IMAGE), headers)
                response = connection.getresponse()
                text = response.read()
            except Exception as error:
                self.counts["broken", repr(error)] += 1
                connection = None
                continue
            self.counts[self.outcome(response.status, text)] += 1
            if response.will_close:
                connection = None

    def outcome(self, status, text):
        if status != 200:
            return status, text
        output = json.loads(text)
        version = int(output["model_version"])
        return ("right" if np.allclose(output["outputs"][0]["data"], self.expected[version]) else "wrong"), version

    @property
    def failures(self):
        return {key: count for key, count in self.counts.items() if key != "refused" and key[0] != "right"}


@pytest.fixture(scope="module")
def versions(tmp_path_factory, bundle):
    """The folders of eight versions of a model, and the expected output of each version."""
    import onnxruntime

    folder = tmp_path_factory.mktemp("versions")
    image = np.arange(1, 7, dtype="float32").reshape(1, 2, 3)
    paths = {version: bundle(folder, "scores", version) for version in range(1, 9)}
    return paths, {
        version: onnxruntime.InferenceSession(path / "model.onnx").run(None, {"image": image})[0].ravel()
        for version, path in paths.items()
    }


@pytest.fixture
def models(tmp_path, versions):
    """A repository that contains the first version."""
    folder = tmp_path / "models"
    shutil.copytree(versions[0][1], folder / "scores" / "1")
    return folder


def port_of(process):
    """Wait until the server listens, and return its port."""
    return int(re.search(r"http://127.0.0.1:(\d+)", process.stdout.readline())[1])


def fetch(port, path, body=None, method=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method or ("GET" if body is None else "POST"), path, None if body is None else json.dumps(body))
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text)


def wait_for(condition):
    """Wait until the condition returns a true value, and return that value."""
    end = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


def index(port):
    return {(row["name"], row["version"]): row for row in fetch(port, "/v2/repository/index", {})[1]}


def check_exit(process, *errors):
    """Check that the process ends with 0 and prints no other lines than those that contain one of `errors`."""
    output, lines = process.communicate(timeout=30)
    assert process.returncode == 0, lines
    assert output == ""
    assert [line for line in lines.splitlines() if not any(error in line for error in errors)] == []


# --------------------------------------------------------------------------------------------- new and deleted versions


def test_no_request_fails_while_versions_appear_break_and_disappear(models, versions, start, tmp_path):
    paths, expected = versions
    process = start(models, versions="latest")
    port = port_of(process)

    def add(version, change=lambda path: None):
        """Write to a partial folder, then rename it, as an export does."""
        partial = models / "scores" / f".{version}.partial"
        shutil.copytree(paths[version], partial)
        change(partial)
        partial.rename(models / "scores" / str(version))

    def reason_of_refusal(version):
        row = index(port).get(("scores", str(version)))
        return row and row["state"] == "UNAVAILABLE" and row["reason"]

    def is_ready(version):
        return index(port).get(("scores", str(version)), {}).get("state") == "READY"

    with Clients(port, 6, expected) as clients:
        wait_for(lambda: clients.counts["right", 1])

        add(2)
        wait_for(lambda: is_ready(2))
        wait_for(lambda: clients.counts["right", 2])

        add(3, lambda path: (path / "model.onnx").write_bytes(paths[4].joinpath("model.onnx").read_bytes()))
        add(4, not_onnx)
        add(5, other_outputs)
        add(6, lambda path: shutil.copy(paths[1] / "manifest.json", path))
        reasons = [wait_for(lambda version=version: reason_of_refusal(version)) for version in (3, 4, 5, 6)]
        for reason, part in zip(
            reasons,
            ("not the file", "ONNX Runtime cannot", "the output differs", "expected scores version 6"),
            strict=True,
        ):
            assert part in reason
        assert is_ready(2)

        for version in (2, 3, 4, 5, 6):
            shutil.rmtree(models / "scores" / str(version))
        wait_for(lambda: is_ready(1))
        assert ("scores", "2") not in index(port)

        models.rename(tmp_path / "elsewhere")
        assert "No such file" in wait_for(lambda: index(port).get(("", "")))["reason"]
        assert is_ready(1)
        (tmp_path / "elsewhere").rename(models)
        add(7)
        wait_for(lambda: is_ready(7))
        wait_for(lambda: clients.counts["right", 7])

        (models / "scores" / "8").mkdir()
        for file in sorted(paths[8].iterdir()):
            shutil.copy(file, models / "scores" / "8")
            time.sleep(0.3)
        wait_for(lambda: clients.counts["right", 8])
    assert clients.failures == {}
    process.terminate()
    check_exit(process, "refused: ", "serves scores version ")


def not_onnx(path):
    (path / "model.onnx").write_bytes(b"not ONNX")
    update_checksum(path, "model.onnx")


def other_outputs(path):
    image = np.ones((1, 2, 3), "float32")
    recorded_cases.save(
        path,
        [recorded_cases.RecordedCase("samples", {"image": image}, {"probabilities": np.full((1, 4), 0.5, "float32")})],
    )
    update_checksum(path, "verification.npz")


def update_checksum(path, file):
    import hashlib

    edited = manifest.read(path / "manifest.json")
    edited.files[file] = hashlib.sha256((path / file).read_bytes()).hexdigest()
    manifest.write(edited, path / "manifest.json")


def test_a_canary_gets_its_share_and_requests_with_a_label_or_version_get_that_one(models, versions, start):
    paths, expected = versions
    for version in (2, 3):
        shutil.copytree(paths[version], models / "scores" / str(version))
    policy = {"versions": "latest", "labels": {"stable": 1, "canary": 2}, "canary_share": 0.2}
    (models / "scores" / "serving.json").write_text(json.dumps(policy))
    process = start(models, versions="latest")
    port = port_of(process)
    with Clients(port, 4, expected) as clients:
        wait_for(lambda: clients.counts.total() >= 600)
    assert clients.failures == {}
    assert 0.1 < clients.counts["right", 2] / clients.counts.total() < 0.3
    assert clients.counts["right", 3] == 0

    row = {"instances": [[[1, 2, 3], [4, 5, 6]]]}
    for path, version in (("labels/stable", 1), ("labels/canary", 2), ("versions/3", 3)):
        status, output = fetch(port, f"/v1/models/scores/{path}:predict", row)
        assert status == 200
        np.testing.assert_allclose(output["predictions"][0], expected[version], rtol=1e-5)
    status, output = fetch(port, "/v1/models/scores/labels/next:predict", row)
    assert status == 404
    assert "stable, canary" in output["error"]
    process.terminate()
    check_exit(process)


def test_a_server_without_loaded_models_is_not_ready(models, start):
    process = start(models)
    port = port_of(process)
    assert fetch(port, "/v2/health/ready")[0] == 200
    assert fetch(port, "/v2/repository/models/scores/unload", {})[0] == 200
    assert fetch(port, "/v2/health/ready")[0] == 503
    assert fetch(port, "/v2/health/live")[0] == 200
    assert fetch(port, "/v2/models/scores/infer", IMAGE)[0] == 404
    assert fetch(port, "/v2/repository/models/scores/load", {})[0] == 200
    assert fetch(port, "/v2/health/ready")[0] == 200
    process.terminate()
    check_exit(process, "serves scores version 1")


# ------------------------------------------------------------------------------------------------------------- shutdown


@pytest.mark.parametrize(
    ("workers", "signals"), [(1, [signal.SIGTERM, signal.SIGINT] * 2), (2, [signal.SIGTERM, signal.SIGINT])]
)
def test_every_request_gets_a_response_when_the_server_stops(models, versions, start, workers, signals):
    for number in signals:
        process = start(models, workers=workers)
        port = port_of(process)
        with Clients(port, 8, versions[1]) as kept, Clients(port, 4, versions[1], keep_alive=False) as closed:
            wait_for(lambda: min(kept.counts["right", 1] / 300, closed.counts["right", 1] / 30) > 1)
            process.send_signal(number)
            kept.join()
            closed.join()
        assert kept.failures == closed.failures == {}
        assert kept.counts["refused"] == 8
        assert closed.counts["refused"] == 4
        check_exit(process)


@linux
def test_ctrl_c_ends_every_process(models, versions, tmp_path):
    process = subprocess.Popen(
        ["kerasfound", "serve", str(models), "--port", "0", "--workers", "2"],
        executable=shutil.which("kerasfound", path=Path(os.sys.executable).parent),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    port = port_of(process)
    with Clients(port, 8, versions[1]) as clients:
        wait_for(lambda: clients.counts["right", 1] > 500)
        descendants = descendants_of(process.pid)
        assert len(descendants) >= 2
        os.killpg(process.pid, signal.SIGINT)
        clients.join()
    assert clients.failures == {}
    check_exit(process)
    wait_for(lambda: not any(map(is_alive, descendants)))


@linux
def test_a_killed_worker_is_restarted_and_all_workers_end_with_the_supervisor(models, versions, start):
    process = start(models, workers=2)
    port = port_of(process)
    with Clients(port, 4, versions[1]) as clients:
        wait_for(lambda: clients.counts["right", 1] > 200)
    first = set(workers_of(process.pid))
    assert len(first) == 2
    for number in (signal.SIGTERM, signal.SIGINT):  # workers ignore these signals; the supervisor handles them
        os.kill(min(first), number)
    os.kill(max(first), signal.SIGKILL)
    wait_for(lambda: len(set(workers_of(process.pid)) - {max(first)}) == 2)
    assert is_alive(min(first))
    with Clients(port, 4, versions[1]) as clients:
        wait_for(lambda: clients.counts["right", 1] > 200)
    assert clients.failures == {}
    descendants = descendants_of(process.pid)
    process.kill()
    _, errors = process.communicate(timeout=30)
    assert errors == "kerasfound: a worker ended with exit code -9; a new one starts\n"
    wait_for(lambda: not any(map(is_alive, descendants)))


def test_requests_in_flight_complete_and_endless_ones_get_503(tmp_path, bundle, start):
    bundle(tmp_path, "slow", 1)
    process = start(tmp_path)
    port = port_of(process)
    responses = {}

    def send(steps):
        responses[steps] = fetch(port, "/v1/models/slow:predict", {"instances": [steps]})

    def num_successes():
        return fetch(port, "/v2/models/slow/stats")[1]["model_stats"][0]["inference_stats"]["success"]["count"]

    threads = [threading.Thread(target=send, args=(steps,)) for steps in (1, 300_000, 10**12)]
    threads[0].start()
    threads[0].join()
    assert num_successes() == 1
    for thread in threads[1:]:
        thread.start()
        time.sleep(0.3)
    address = ("127.0.0.1", port)
    with socket.create_connection(address, timeout=30) as half, socket.create_connection(address, timeout=30) as late:
        half.sendall(b"POST /v1/models/slow:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert fetch(port, "/v2/health/live")[0] == 200
        process.terminate()
        time.sleep(0.6)  # the server waits longer for a new connection than for one that had a response
        late.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert late.recv(1 << 16).startswith(b"HTTP/1.1 503")
        assert half.recv(1 << 16).startswith(b"HTTP/1.1 503")
    for thread in threads[1:]:
        thread.join(30)
    assert responses[300_000] == (200, {"predictions": [300_000]})
    assert responses[10**12] == (503, {"error": "the server is stopping"})
    check_exit(process, "Cancel 2 running task", "still computing")


def test_a_response_that_is_read_slowly_is_complete(tmp_path, bundle, start):
    bundle(tmp_path, "picture", 1)
    process = start(tmp_path, max_body_mib=8)
    port = port_of(process)
    image = np.full((4, 5, 3), 0.123456789).tolist()  # as float32 it becomes nineteen characters of JSON
    body = json.dumps({"instances": [image] * 8000}).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)  # the rest waits at the server
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        client.sendall(b"POST /v1/models/picture:predict HTTP/1.1\r\nHost: x\r\n")
        client.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        response = http.client.HTTPResponse(client)
        response.begin()
        process.terminate()
        time.sleep(2)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        output = json.loads(response.read())
    assert response.status == 200, output
    assert np.array_equal(np.array(output["predictions"], "float32"), np.full((8000, 4, 5, 3), 0.123456789, "float32"))
    check_exit(process)


def descendants_of(pid):
    """Return the descendants of a process."""
    children = collections.defaultdict(list)
    for process in Path("/proc").glob("[0-9]*"):
        if stat := _read(process.name, "stat"):
            children[int(stat.rpartition(b")")[2].split()[1])].append(int(process.name))
    return children[pid] + [descendant for child in children[pid] for descendant in descendants_of(child)]


def workers_of(pid):
    """Return the processes that serve, without the resource tracker of multiprocessing."""
    return [child for child in descendants_of(pid) if b"spawn_main" in _read(child, "cmdline")]


def _read(pid, file):
    """Return a file of a process in /proc, or no bytes if the process has ended."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def is_alive(pid):
    return _read(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"])
