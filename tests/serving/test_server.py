"""The server process: its output, port, shutdown, arguments and imports."""

import inspect
import json
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from kerasfound.cli import commands
from kerasfound.errors import UserError
from kerasfound.serving import serve


@pytest.fixture(scope="module")
def models(tmp_path_factory, bundle):
    folder = tmp_path_factory.mktemp("one")
    bundle(folder, "flags", 3)
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_prints_one_line_and_stops_on_a_signal(models, start, number):
    process = start(models)
    line = process.stdout.readline()
    prefix = "kerasfound: serving flags (version 3) at http://127.0.0.1:"
    assert line.startswith(prefix)
    with httpx.Client(
        base_url=line.split(" at ")[-1].strip()
    ) as client:  # the connection is open when the signal arrives
        assert client.get("/v2/health/ready").status_code == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


def test_invalid_requests_and_disconnects_do_no_harm(models, start):
    process = start(models)
    port = int(process.stdout.readline().rsplit(":", 1)[-1])
    head = b"POST /v1/models/flags:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    for data in (b"", b"\x00" * 1000, b"GET \xff\xfe HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n", head, head + b"{"):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(data)
    assert httpx.get(f"http://127.0.0.1:{port}/v2/health/live").is_success
    process.terminate()
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


def test_a_bug_gives_a_500_response_and_a_traceback_in_the_log(models):
    script = """
import sys
from kerasfound.serving import serve
from kerasfound.serving.model import Model
def broken(*_, **__): raise KeyError("secret")
Model.predict = broken
serve(sys.argv[1], port=0)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(models)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    url = process.stdout.readline().split(" at ")[-1].strip()
    response = httpx.post(f"{url}/v1/models/flags:predict", json={"instances": [True]})
    process.terminate()
    _, errors = process.communicate(timeout=10)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert list(response.json()) == ["error"]
    assert "Traceback" in errors
    assert "secret" in errors


def test_a_port_in_use_is_an_error_before_models_are_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"`port` {port}: .*in use.*`port`") as raised:
            serve(str(tmp_path / "missing"), port=port)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "port", "part"),
    [
        ("127.0.0.1", 65536, "65535"),
        ("127.0.0.1", -1, "65535"),
        ("no.such.host.invalid", 0, "no such address"),
        ("", 0, "no such address"),
        ("x" * 100, 0, "no such address"),
        ("192.0.2.1", 0, "cannot listen"),
    ],
)
def test_hosts_and_ports_that_are_not_available(models, host, port, part):
    with pytest.raises(UserError, match=part) as raised:
        serve(str(models), host=host, port=port)
    assert "`port`" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "value", "part"),
    [
        ("max_body_mib", 0, "`max_body_mib` 0"),
        ("max_batch_rows", 0, "`max_batch_rows` 0"),
        ("workers", 0, "`workers` 0"),
        ("workers", 100_000, "`workers` 100000: expected 1 to"),
        ("max_queue", -1, "`max_queue` -1"),
        ("timeout", 0, "`timeout` 0"),
        ("timeout", float("nan"), "`timeout` nan"),
        ("versions", "newest", "`versions` newest: expected latest, all"),
        ("versions", "1,", "`versions` 1,"),
        ("versions", "0", "`versions` 0"),
    ],
)
def test_invalid_arguments_are_errors_that_name_them(models, setting, value, part):
    with pytest.raises(UserError, match=part) as raised:
        serve(str(models), port=0, **{setting: value})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "No such file"),
        (b"", "one key"),
        (b" \n", "one key"),
        (b"two keys", "without spaces"),
        (b"one\ntwo", "without spaces"),
        (b"k\xc3\xa9y", "not ASCII"),
    ],
)
def test_key_files_without_a_valid_key(models, tmp_path, content, part):
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=part) as raised:
        serve(str(models), port=0, api_key_file=str(file))
    assert str(raised.value).startswith(f"`api_key_file` {file}: ")
    assert "\n" not in str(raised.value)


def test_the_command_line_exits_with_2_and_one_line(kerasfound, models, tmp_path):
    result = kerasfound("serve", models, "--port", 0, "--api-key-file", tmp_path / "none")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("kerasfound: --api-key-file")
    assert result.stderr.count("\n") == 1


def test_the_default_host_is_localhost():
    for function in (serve, commands.serve):
        assert inspect.signature(function).parameters["host"].default == "127.0.0.1"


def test_a_missing_repository_frees_the_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for _ in range(2):
        with pytest.raises(UserError, match="missing"):
            serve(str(tmp_path / "missing"), port=port)


def test_no_telemetry_and_no_files_in_the_home_folder(models, tmp_path):
    script = """
import sys
from kerasfound import serving
from kerasfound.serving.model import open_session
open_session(sys.argv[1] + "/flags/3/model.onnx").run(None, {"x": [True]})
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_", "CI"))}
    subprocess.run([sys.executable, "-c", script, str(models)], check=True, env=environment | {"HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_no_heavy_library_is_imported(models):
    """Neither by the package, which the command line imports for its signature, nor by a server after a request."""
    script = """
import json, os, signal, sys, threading, urllib.request
from kerasfound import serving
before = sorted({m.split(".")[0] for m in sys.modules})

def send_request():
    url = sys.stdout.wait().split(" at ")[-1].strip()
    body = json.dumps({"instances": [True, False]}).encode()
    sys.stderr.write(urllib.request.urlopen(url + "/v1/models/flags:predict", body).read().decode() + "\\n")
    os.kill(os.getpid(), signal.SIGTERM)

class Line:
    def __init__(self): self.ready, self.text = threading.Event(), ""
    def write(self, text): self.text += text
    def flush(self): self.ready.set()
    def wait(self): self.ready.wait(); return self.text

sys.stdout = Line()
threading.Thread(target=send_request).start()
serving.serve(sys.argv[1], port=0)
after = sorted({m.split(".")[0] for m in sys.modules})
print(json.dumps([before, after]), file=sys.stderr)
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(models)], capture_output=True, text=True, timeout=30, env=environment
    )
    assert done.returncode == 0, done.stderr
    response, modules = done.stderr.strip().splitlines()
    assert json.loads(response) == {"predictions": [True, False]}
    before, after = map(set, json.loads(modules))
    assert not before & {"numpy", "onnxruntime", "uvicorn", "asyncio", "prometheus_client"}
    assert not after & {"keras", "tensorflow", "jax", "torch", "onnx", "tf2onnx", "starlette", "fastapi"}
    assert {"onnxruntime", "uvicorn"} <= after
