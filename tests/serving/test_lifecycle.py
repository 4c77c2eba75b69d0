"""Servers in processes of their own, under clients that never pause: versions that come and go, signals, workers.

No timings are held here; what is waited for is waited for long.
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
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


class Clients:
    """Threads that ask a model again and again, and hold every answer against what the version that gave it says.

    Args:
        port: of the server.
        count: of threads.
        keep: whether their connections are kept alive.
        answers: what each version answers.
    """

    def __init__(self, port, count, answers, keep=True):
        self.port, self.keep, self.answers = port, keep, answers
        self.found = collections.Counter()
        """How often each status came, from which version; `broken` are requests without a whole answer."""
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def join(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def ask(self):
        connection = None
        headers = {} if self.keep else {"Connection": "close"}
        while not self.over.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    self.found["refused"] += 1
                    return
            try:
                connection.request("POST", "/v2/models/scores/infer", json.dumps(IMAGE), headers)
                response = connection.getresponse()
                text = response.read()
            except Exception as error:
                self.found["broken", repr(error)] += 1
                connection = None
                continue
            self.found[self.judged(response.status, text)] += 1
            if response.will_close:
                connection = None

    def judged(self, status, text):
        if status != 200:
            return status, text
        answer = json.loads(text)
        version = int(answer["model_version"])
        return ("right" if np.allclose(answer["outputs"][0]["data"], self.answers[version]) else "wrong"), version

    @property
    def failed(self):
        return {key: count for key, count in self.found.items() if key != "refused" and key[0] != "right"}


@pytest.fixture(scope="module")
def versions(tmp_path_factory, bundle):
    """A folder with versions of a model, and what each answers."""
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
    """A repository with the first version."""
    folder = tmp_path / "models"
    shutil.copytree(versions[0][1], folder / "scores" / "1")
    return folder


def serving(process):
    """The port of a server that was started."""
    return int(re.search(r"http://127.0.0.1:(\d+)", process.stdout.readline())[1])


def fetched(port, path, body=None, method=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method or ("GET" if body is None else "POST"), path, None if body is None else json.dumps(body))
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text)


def until(condition):
    """Waits until it holds; what it comes to."""
    end = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def index(port):
    return {(row["name"], row["version"]): row for row in fetched(port, "/v2/repository/index", {})[1]}


def ended(process, *errors):
    """It leaves with 0 and says no more than these lines."""
    output, lines = process.communicate(timeout=30)
    assert process.returncode == 0, lines
    assert output == ""
    assert [line for line in lines.splitlines() if not any(error in line for error in errors)] == []


# ------------------------------------------------------------------------------------------------ versions come and go


def test_no_request_fails_while_versions_come_break_and_leave(models, versions, start, tmp_path):
    paths, answers = versions
    process = start(models, versions="latest")
    port = serving(process)

    def place(version, change=lambda path: None):
        """Beside, then renamed, as an export does it."""
        beside = models / "scores" / f".{version}.partial"
        shutil.copytree(paths[version], beside)
        change(beside)
        beside.rename(models / "scores" / str(version))

    def refused(version):
        row = index(port).get(("scores", str(version)))
        return row and row["state"] == "UNAVAILABLE" and row["reason"]

    def ready(version):
        return index(port).get(("scores", str(version)), {}).get("state") == "READY"

    with Clients(port, 6, answers) as clients:
        until(lambda: clients.found["right", 1])

        place(2)
        until(lambda: ready(2))
        until(lambda: clients.found["right", 2])

        place(3, lambda path: (path / "model.onnx").write_bytes(paths[4].joinpath("model.onnx").read_bytes()))
        place(4, not_onnx)
        place(5, other_answers)
        place(6, lambda path: shutil.copy(paths[1] / "manifest.json", path))
        reasons = [until(lambda version=version: refused(version)) for version in (3, 4, 5, 6)]
        for reason, part in zip(
            reasons,
            ("not the file", "ONNX Runtime cannot", "the output differs", "expected scores version 6"),
            strict=True,
        ):
            assert part in reason
        assert ready(2)

        for version in (2, 3, 4, 5, 6):
            shutil.rmtree(models / "scores" / str(version))
        until(lambda: ready(1))
        assert ("scores", "2") not in index(port)

        models.rename(tmp_path / "elsewhere")
        assert "No such file" in until(lambda: index(port).get(("", "")))["reason"]
        assert ready(1)
        (tmp_path / "elsewhere").rename(models)
        place(7)
        until(lambda: ready(7))
        until(lambda: clients.found["right", 7])

        (models / "scores" / "8").mkdir()
        for file in sorted(paths[8].iterdir()):
            shutil.copy(file, models / "scores" / "8")
            time.sleep(0.3)
        until(lambda: clients.found["right", 8])
    assert clients.failed == {}
    process.terminate()
    ended(process, "refused: ", "serves scores version ")


def not_onnx(path):
    (path / "model.onnx").write_bytes(b"not ONNX")
    seal(path, "model.onnx")


def other_answers(path):
    image = np.ones((1, 2, 3), "float32")
    recorded_cases.save(
        path, [recorded_cases.Case("samples", {"image": image}, {"probabilities": np.full((1, 4), 0.5, "float32")})]
    )
    seal(path, "verification.npz")


def seal(path, file):
    import hashlib

    promised = manifest.read(path / "manifest.json")
    promised.files[file] = hashlib.sha256((path / file).read_bytes()).hexdigest()
    manifest.write(promised, path / "manifest.json")


def test_a_canary_gets_its_share_and_who_names_a_label_or_a_version_gets_that(models, versions, start):
    paths, answers = versions
    for version in (2, 3):
        shutil.copytree(paths[version], models / "scores" / str(version))
    rules = {"versions": "latest", "labels": {"stable": 1, "canary": 2}, "canary_share": 0.2}
    (models / "scores" / "serving.json").write_text(json.dumps(rules))
    process = start(models, versions="latest")
    port = serving(process)
    with Clients(port, 4, answers) as clients:
        until(lambda: clients.found.total() >= 600)
    assert clients.failed == {}
    assert 0.1 < clients.found["right", 2] / clients.found.total() < 0.3
    assert clients.found["right", 3] == 0

    row = {"instances": [[[1, 2, 3], [4, 5, 6]]]}
    for path, version in (("labels/stable", 1), ("labels/canary", 2), ("versions/3", 3)):
        status, answer = fetched(port, f"/v1/models/scores/{path}:predict", row)
        assert status == 200
        np.testing.assert_allclose(answer["predictions"][0], answers[version], rtol=1e-5)
    status, answer = fetched(port, "/v1/models/scores/labels/next:predict", row)
    assert status == 404
    assert "stable, canary" in answer["error"]
    process.terminate()
    ended(process)


def test_a_model_that_is_put_away_leaves_no_server_ready(models, start):
    process = start(models)
    port = serving(process)
    assert fetched(port, "/v2/health/ready")[0] == 200
    assert fetched(port, "/v2/repository/models/scores/unload", {})[0] == 200
    assert fetched(port, "/v2/health/ready")[0] == 503
    assert fetched(port, "/v2/health/live")[0] == 200
    assert fetched(port, "/v2/models/scores/infer", IMAGE)[0] == 404
    assert fetched(port, "/v2/repository/models/scores/load", {})[0] == 200
    assert fetched(port, "/v2/health/ready")[0] == 200
    process.terminate()
    ended(process, "serves scores version 1")


# ------------------------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize(
    ("workers", "signals"), [(1, [signal.SIGTERM, signal.SIGINT] * 2), (2, [signal.SIGTERM, signal.SIGINT])]
)
def test_every_request_that_was_sent_is_answered_when_the_server_stops(models, versions, start, workers, signals):
    for number in signals:
        process = start(models, workers=workers)
        port = serving(process)
        with Clients(port, 8, versions[1]) as kept, Clients(port, 4, versions[1], keep=False) as closed:
            until(lambda: min(kept.found["right", 1] / 300, closed.found["right", 1] / 30) > 1)
            process.send_signal(number)
            kept.join()
            closed.join()
        assert kept.failed == closed.failed == {}
        assert kept.found["refused"] == 8
        assert closed.found["refused"] == 4
        ended(process)


@linux
def test_ctrl_c_reaches_every_process_and_leaves_none(models, versions, tmp_path):
    process = subprocess.Popen(
        ["kerasfound", "serve", str(models), "--port", "0", "--workers", "2"],
        executable=shutil.which("kerasfound", path=Path(os.sys.executable).parent),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    port = serving(process)
    with Clients(port, 8, versions[1]) as clients:
        until(lambda: clients.found["right", 1] > 500)
        family = children(process.pid)
        assert len(family) >= 2
        os.killpg(process.pid, signal.SIGINT)
        clients.join()
    assert clients.failed == {}
    ended(process)
    until(lambda: not any(map(alive, family)))


@linux
def test_a_worker_that_is_killed_is_started_again_and_all_end_with_the_one_that_started_them(models, versions, start):
    process = start(models, workers=2)
    port = serving(process)
    with Clients(port, 4, versions[1]) as clients:
        until(lambda: clients.found["right", 1] > 200)
    first = set(workers_of(process.pid))
    assert len(first) == 2
    for number in (signal.SIGTERM, signal.SIGINT):  # are for the one that started them
        os.kill(min(first), number)
    os.kill(max(first), signal.SIGKILL)
    until(lambda: len(set(workers_of(process.pid)) - {max(first)}) == 2)
    assert alive(min(first))
    with Clients(port, 4, versions[1]) as clients:
        until(lambda: clients.found["right", 1] > 200)
    assert clients.failed == {}
    family = children(process.pid)
    process.kill()
    _, errors = process.communicate(timeout=30)
    assert errors == "kerasfound: a worker ended with exit code -9; a new one starts\n"
    until(lambda: not any(map(alive, family)))


def test_requests_under_way_are_answered_and_those_that_take_for_ever_are_told(tmp_path, bundle, start):
    bundle(tmp_path, "slow", 1)
    process = start(tmp_path)
    port = serving(process)
    answers = {}

    def ask(steps):
        answers[steps] = fetched(port, "/v1/models/slow:predict", {"instances": [steps]})

    def under_way():
        return fetched(port, "/v2/models/slow/stats")[1]["model_stats"][0]["inference_stats"]["success"]["count"]

    threads = [threading.Thread(target=ask, args=(steps,)) for steps in (1, 300_000, 10**12)]
    threads[0].start()
    threads[0].join()
    assert under_way() == 1
    for thread in threads[1:]:
        thread.start()
        time.sleep(0.3)
    address = ("127.0.0.1", port)
    with socket.create_connection(address, timeout=30) as half, socket.create_connection(address, timeout=30) as late:
        half.sendall(b"POST /v1/models/slow:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert fetched(port, "/v2/health/live")[0] == 200
        process.terminate()
        time.sleep(0.6)  # who connected is waited for longer than who was answered
        late.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert late.recv(1 << 16).startswith(b"HTTP/1.1 503")
        assert half.recv(1 << 16).startswith(b"HTTP/1.1 503")
    for thread in threads[1:]:
        thread.join(30)
    assert answers[300_000] == (200, {"predictions": [300_000]})
    assert answers[10**12] == (503, {"error": "the server is stopping"})
    ended(process, "Cancel 2 running task", "still computing")


def test_an_answer_that_is_read_slowly_is_whole(tmp_path, bundle, start):
    bundle(tmp_path, "picture", 1)
    process = start(tmp_path, max_body_mib=8)
    port = serving(process)
    picture = np.full((4, 5, 3), 0.123456789).tolist()  # of which float32 makes nineteen characters
    body = json.dumps({"instances": [picture] * 8000}).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)  # what does not fit here waits at the server
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        client.sendall(b"POST /v1/models/picture:predict HTTP/1.1\r\nHost: x\r\n")
        client.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        response = http.client.HTTPResponse(client)
        response.begin()
        process.terminate()
        time.sleep(2)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        answer = json.loads(response.read())
    assert response.status == 200, answer
    assert np.array_equal(np.array(answer["predictions"], "float32"), np.full((8000, 4, 5, 3), 0.123456789, "float32"))
    ended(process)


def children(pid):
    """Of a process, and theirs."""
    parents = collections.defaultdict(list)
    for process in Path("/proc").glob("[0-9]*"):
        if stat := _read(process.name, "stat"):
            parents[int(stat.rpartition(b")")[2].split()[1])].append(int(process.name))
    found = parents[pid]
    return found + [child for each in found for child in children(each)]


def workers_of(pid):
    """Those of them that serve; another one keeps count of what they share."""
    return [child for child in children(pid) if b"spawn_main" in _read(child, "cmdline")]


def _read(pid, file):
    """What the kernel says of a process; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def alive(pid):
    return _read(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"])
