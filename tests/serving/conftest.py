"""Small models in a repository, the application without a socket, and a real server in its own process."""

import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from kerasfound.bundle import manifest
from kerasfound.serving.app import App
from kerasfound.serving.limits import Limits
from kerasfound.serving.model_repository import Repository

START = """
import json, sys
from kerasfound.serving import serve
serve(sys.argv[1], port=int(sys.argv[2]), **json.loads(sys.argv[3]))
"""


@pytest.fixture(scope="session")
def bundle():
    """`bundle(folder, name, version, extra_files, **changes)`: writes a bundle of one of `GRAPHS` or `SLOW`.

    `extra_files` maps paths in the bundle to contents, `changes` replaces fields of the manifest.
    """
    return _bundle


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """A folder with every model of `GRAPHS`, one of them in two versions, and an incomplete export."""
    folder = tmp_path_factory.mktemp("models")
    for name in GRAPHS:
        _bundle(folder, name, 1)
    _bundle(folder, "scores", 12)
    (folder / "scores" / ".13.partial").mkdir()
    (folder / ".half").mkdir()
    return folder


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


class AppCaller:
    """Calls the application of a model folder without a socket."""

    def __init__(self, folder, **limits):
        limits = Limits(**limits)
        self.unloaded = tempfile.TemporaryDirectory()
        self.app = App(Repository(folder, limits, ThreadPoolExecutor(2), self.unloaded.name, "all"), limits)
        self.loop = asyncio.new_event_loop()
        self.pieces = []
        """The parts of the last response body."""
        self.disconnected = asyncio.Event()
        """Set it to simulate a client that disconnects."""

    def __call__(self, method, path, body=b"", headers=()):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        start, self.pieces = {}, []
        disconnected = self.disconnected = asyncio.Event()
        requests = iter([{"type": "http.request", "body": content}])

        async def receive():
            if (request := next(requests, None)) is None:
                await disconnected.wait()
                return {"type": "http.disconnect"}
            return request

        async def send(message):
            start.update(message if message["type"] == "http.response.start" else {})
            self.pieces += filter(None, [message.get("body")])

        header_pairs = [(name.lower().encode(), str(value).encode("latin-1")) for name, value in dict(headers).items()]
        scope = {"type": "http", "method": method, "path": path, "headers": header_pairs, "client": ("test", 1)}
        self.loop.run_until_complete(self.app(scope, receive, send))
        sent_headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Response(start["status"], sent_headers, b"".join(self.pieces))


@pytest.fixture(scope="session")
def make_app():
    """`make_app(folder, **limits)`: the application as a function of method, path, body and headers."""
    return AppCaller


@pytest.fixture(scope="session")
def call(repository, make_app):
    """The application with all small models."""
    return make_app(repository)


@pytest.fixture(scope="session")
def start():
    """`start(folder, port, **options)`: starts a server process; all versions, bodies up to 1 MiB."""

    started = []

    def start(folder, port=0, **options):
        options = {"max_body_mib": 1, "versions": "all"} | options
        command = [sys.executable, "-c", START, str(folder), str(port), json.dumps(options)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:  # only failed tests leave one
        process.kill()


@pytest.fixture(scope="session")
def server(repository, start):
    """An HTTP client connected to a running server."""
    process = start(repository)
    url = process.stdout.readline().split(" at ")[-1].strip()
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in errors


@pytest.fixture(scope="session")
def direct(repository):
    """`direct(name, feeds, version)`: the outputs of ONNX Runtime, without the server."""

    def direct(name, feeds, version=1):
        session = onnxruntime.InferenceSession(
            repository / name / str(version) / "model.onnx", providers=["CPUExecutionProvider"]
        )
        return session.run(None, feeds)

    return direct


def _scores(version):
    weights = np.random.default_rng(version).normal(size=(6, 4)).astype("float32")
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    inputs = [("image", "float32", ["batch", 2, 3])]
    return nodes, inputs, [("probabilities", "float32", ["batch", 4])], {"weights": weights}


def _pair(version):
    """Two inputs that share two dynamic dimensions, and two outputs. The table has 10 ids."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["looked_up"]),
        helper.make_node("Mul", ["looked_up", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axis"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
    ]
    inputs = [("ids", "int64", ["batch", "time"]), ("weights", "float32", ["batch", "time"])]
    constants = {
        "table": np.linspace(-1, 1, 10, dtype="float32"),
        "axis": np.array([1]),
        "zero": np.array(0, "float32"),
    }
    return nodes, inputs, [("total", "float32", ["batch"]), ("positive", "bool", ["batch"])], constants


def _logarithm(version):
    return [helper.make_node("Log", ["x"], ["y"])], [("x", "float32", ["batch"])], [("y", "float32", ["batch"])], {}


def _products(version):
    """The sum of all products of two numbers of a row; all products are in memory at the same time."""
    nodes = [
        helper.make_node("Unsqueeze", ["x", "one"], ["across"]),
        helper.make_node("Unsqueeze", ["x", "two"], ["down"]),
        helper.make_node("Mul", ["across", "down"], ["products"]),
        helper.make_node("ReduceSum", ["products", "both"], ["y"], keepdims=0),
    ]
    constants = {"one": np.array([1]), "two": np.array([2]), "both": np.array([1, 2])}
    return nodes, [("x", "float32", ["batch", "time"])], [("y", "float32", ["batch"])], constants


def _persons(version):
    columns = [("age", "float32", ["batch"]), ("city", "string", ["batch"])]
    nodes = [helper.make_node("Identity", [name], [f"its_{name}"]) for name, _, _ in columns]
    return nodes, columns, [(f"its_{name}", dtype, shape) for name, dtype, shape in columns], {}


def _echo(dtype, shape):
    def graph(version):
        return [helper.make_node("Identity", ["x"], ["y"])], [("x", dtype, shape)], [("y", dtype, shape)], {}

    return graph


def _slow(version):
    """Returns its input after that many steps; a million steps take a second or more."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["before", "before"], ["after"])],
        "step",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.INT64, []),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["steps"], ["most"], keepdims=0),
        helper.make_node("Loop", ["most", "go", "zero"], ["nothing"], body=body),
        helper.make_node("Add", ["steps", "nothing"], ["taken"]),
    ]
    shape = [("steps", "int64", ["batch"])], [("taken", "int64", ["batch"])]
    return nodes, *shape, {"go": np.array(True), "zero": np.array(0)}


GRAPHS = {
    "scores": _scores,
    "pair": _pair,
    "logarithm": _logarithm,
    "pixels": _echo("uint8", ["batch", 3]),
    "words": _echo("string", ["batch", 2]),
    "flags": _echo("bool", ["batch"]),
    "picture": _echo("float32", ["batch", 4, 5, 3]),
    "ids": _echo("int32", ["batch", "time"]),
    "scalar": _echo("float32", []),
    "persons": _persons,
    "products": _products,
}

SLOW = {"slow": _slow}

TYPES = {
    "float32": TensorProto.FLOAT,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}


def _bundle(folder, name, version, /, extra_files=None, **changes):
    extra_files = extra_files or {}
    nodes, inputs, outputs, constants = (GRAPHS | SLOW)[name](version)
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(n, TYPES[dtype], shape) for n, dtype, shape in inputs],
        [helper.make_tensor_value_info(n, TYPES[dtype], shape) for n, dtype, shape in outputs],
        [numpy_helper.from_array(value, n) for n, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = folder / name / str(version)
    path.mkdir(parents=True)
    onnx.save(model, path / "model.onnx")
    for file, content in extra_files.items():
        (path / file).parent.mkdir(exist_ok=True)
        (path / file).write_bytes(content)
    fields = {
        "schema_version": manifest.SCHEMA_VERSION,
        "name": name,
        "version": version,
        "task": "test",
        "inputs": [manifest.Tensor(*tensor) for tensor in inputs],
        "outputs": [manifest.Tensor(*tensor) for tensor in outputs],
        "preprocessing": [],
        "postprocessing": [],
        "labels": [],
        "metrics": {},
        "measured_on": None,
        "verification": [],
        "versions": {},
        "created": "2025-01-01T00:00:00Z",
        "files": {
            file: hashlib.sha256((path / file).read_bytes()).hexdigest() for file in ["model.onnx", *extra_files]
        },
    }
    manifest.write(manifest.Manifest(**fields | changes), path / "manifest.json")
    return path
