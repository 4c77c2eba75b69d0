"""Compare model servers on one model: requests a second, latency, CPU time, start time, memory and install size.

    python benchmarks/serving.py models/mnist_cnn                            # needs wrk
    python benchmarks/serving.py revisions models/mnist_cnn HEAD~1 BRANCH    # ours compared with other commits
    python benchmarks/serving.py soak models/mnist_cnn --requests 100000     # ours alone: does its memory grow?

Each server has its own environment, which this script creates: ours from a wheel of this repository, the others from
the versions named below and the programs in `benchmarks/references`. `--environments FOLDER` keeps the environments for
the next run. All servers run ONNX Runtime on one thread and take requests in one process, except ours with
`--workers 2`. All run at the same time and take turns under each load in every round. A ratio is the median over the
rounds of our value divided by theirs. Before the measurement each server predicts one image; a server whose output
differs from ONNX Runtime's is not measured.
"""

import contextlib
import functools
import http.client
import json
import math
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cyclopts
import numpy as np
import onnxruntime
from serving_install import ROOT, install, sizes

from kerasfound.bundle import manifest, recorded_cases

HERE = Path(__file__).parent
REFERENCES = HERE / "references"
OURS, TWO_WORKERS = "kerasfound", "2 workers"
BARE, FASTAPI, MLSERVER, TRITON = "bare ASGI", "FastAPI", "MLServer", "Triton"
STARTS = 7
START_TIMEOUT = 60
"""Seconds that a server may take until its first correct response."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
ONNX = "onnxruntime==1.31.1"
UVICORN = ["uvicorn==0.54.0", "httptools==0.9.0", "uvloop==0.23.0"]
app = cyclopts.App()


class Load(NamedTuple):
    """The number of connections, and the images and format of each request."""

    connections: int
    rows: int
    binary: bool = False


LOADS = {
    "1": Load(1, 1),
    "16": Load(16, 1),
    "64": Load(64, 1),
    "32 images, JSON": Load(16, 32),
    "32 images, binary": Load(16, 32, True),
}
"""By column heading: connections that send one image a request, or 16 connections that send 32 images a request."""


class Model:
    """The model that all servers run: one bundle, its test images, and ONNX Runtime's outputs for them."""

    def __init__(self, folder: Path, work: Path):
        shutil.copytree(folder, work / "models" / folder.name)  # other models in the repository would take memory
        self.folder = work / "models" / folder.name
        version = max((path for path in self.folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        self.file = version / "model.onnx"
        self.name = folder.name
        description = manifest.read(version / "manifest.json")
        (self.input,), (self.output,) = description.inputs, description.outputs
        rows = max(
            (case.inputs[self.input.name] for case in recorded_cases.load(version) if case.kind == "samples"), key=len
        )
        self.rows = np.resize(rows, (32, *rows.shape[1:]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
        self.bodies = {load[1:]: self._body(work, load.rows, load.binary) for load in LOADS.values()}

    def predict(self, rows: int) -> np.ndarray:
        return self.session.run(None, {self.input.name: self.rows[:rows]})[0]

    def images_a_second(self, rows: int, seconds: float) -> float:
        """Images a second of ONNX Runtime without a server."""
        started, calls = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            self.predict(rows)
            calls += 1
        return rows * calls / (time.perf_counter() - started)

    def _body(self, work: Path, rows: int, binary: bool) -> tuple[Path, dict[str, str]]:
        """Write the body of a request to a file; return the file and the headers of the request."""
        x = self.rows[:rows]
        tensor = {"name": self.input.name, "shape": x.shape, "datatype": "FP32"}
        file, headers = work / f"{rows}.{'binary' if binary else 'json'}", {"Content-Type": "application/json"}
        if binary:
            tensor["parameters"] = {"binary_data_size": x.nbytes}
            output = {"name": self.output.name, "parameters": {"binary_data": True}}
            head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
            file.write_bytes(head + x.tobytes())
            headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        else:
            file.write_text(json.dumps({"inputs": [tensor | {"data": x.ravel().tolist()}]}))
        return file, headers


class Running:
    """A running server."""

    def __init__(self, process: subprocess.Popen, port: int, model: Model):
        self.process = process
        self.port = port
        self.model = model
        self.path = f"/v2/models/{model.name}/infer"

    def is_correct(self, rows: int, binary: bool) -> bool:
        """Whether its output equals that of ONNX Runtime."""
        file, headers = self.model.bodies[rows, binary]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("POST", self.path, file.read_bytes(), headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                return False
            if binary:
                length = int(response.headers["inference-header-content-length"])
                y = np.frombuffer(body, "<f4", offset=length)
            else:
                y = np.array(json.loads(body)["outputs"][0]["data"])
            return np.allclose(y.ravel(), self.model.predict(rows).ravel(), atol=1e-5)
        except (OSError, ValueError, TypeError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def run_load(self, load: Load, seconds: int) -> dict[str, float]:
        """Run wrk; return its numbers and the milliseconds of CPU time for each request."""
        file, headers = self.model.bodies[load[1:]]
        flags = ["--threads", "1", "--connections", str(load.connections), "--duration", f"{seconds}s"]
        url = f"http://127.0.0.1:{self.port}{self.path}"
        command = ["wrk", *flags, "--script", HERE / "serving.lua", url, "--", file]
        command += [part for header in headers.items() for part in header]
        before = self.cpu_seconds()
        finished = subprocess.run(command, check=True, capture_output=True, text=True)
        result = json.loads(finished.stdout.splitlines()[-1])
        result["rate"] = result["requests"] / result["seconds"]
        result["cpu"] = 1e3 * (self.cpu_seconds() - before) / max(result["requests"], 1)
        return result

    def processes(self) -> Iterator[Path]:
        """The folders in /proc of the server and its child processes."""
        waiting = [self.process.pid]
        while waiting:
            folder = Path("/proc") / str(waiting.pop())
            yield folder
            for thread in folder.glob("task/*/children"):
                waiting.extend(map(int, thread.read_text().split()))

    def resident(self) -> float:
        """Resident memory in MB."""
        lines = [line for process in self.processes() for line in (process / "status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6

    def cpu_seconds(self) -> float:
        fields = [(process / "stat").read_text().rpartition(")")[2].split() for process in self.processes()]
        return sum(int(user) + int(system) for *_, user, system in (stat[:13] for stat in fields)) / TICKS_PER_SECOND


class Measurements:
    """All measurements of one server."""

    def __init__(self, running: Running, megabytes: float, start: float):
        self.running = running
        self.megabytes = megabytes
        self.start = start
        self.resident = 0.0
        self.loads: dict[str, list[dict[str, float]]] = {}

    def median(self, title: str, what: str) -> float:
        return statistics.median(result[what] for result in self.loads[title])

    @property
    def errors(self) -> int:
        return sum(int(result["errors"]) for rounds in self.loads.values() for result in rounds)


class Server(NamedTuple):
    """How a server is installed and started."""

    install: Callable[[Path], Path]
    """Installs the server into a folder and returns the Python of that environment."""
    command: Callable[[Path, Model, int, Path], list]
    """The command, from the environment's `bin`, the model, the port and a folder for configuration files."""


def packages(*requirements: str) -> Callable[[Path], Path]:
    def install_packages(folder: Path) -> Path:
        python, done = folder / "bin" / "python", folder / "packages"
        if not done.exists() or done.read_text() != " ".join(requirements):
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run(
                [python, "-m", "pip", "install", "--quiet", *requirements], check=True, stderr=subprocess.PIPE
            )
            done.write_text(" ".join(requirements))
        return python

    return install_packages


def install_revision(revision: str, folder: Path) -> Path:
    """Install this repository at a commit, a tag or a branch."""
    with tempfile.TemporaryDirectory() as checkout:
        archive = subprocess.run(["git", "archive", revision], check=True, capture_output=True, cwd=ROOT)
        subprocess.run(["tar", "--extract", "--directory", checkout], check=True, input=archive.stdout)
        return install(folder, Path(checkout))


def ours(bin: Path, model: Model, port: int, folder: Path) -> list:
    return [bin / "python", "-m", "kerasfound", "serve", model.folder.parent, "--port", port]


def ours_with_two_workers(bin: Path, model: Model, port: int, folder: Path) -> list:
    """Two worker processes: Triton uses every core too."""
    return [*ours(bin, model, port, folder), "--workers", "2"]


def bare(bin: Path, model: Model, port: int, folder: Path) -> list:
    return uvicorn("serving_asgi", bin, port)


def fastapi(bin: Path, model: Model, port: int, folder: Path) -> list:
    return uvicorn("serving_fastapi", bin, port)


def uvicorn(program: str, bin: Path, port: int) -> list:
    flags = ["--lifespan", "off", "--log-level", "error", "--no-access-log"]
    return [bin / "python", "-m", "uvicorn", f"{program}:app", "--app-dir", REFERENCES, "--port", port, *flags]


def mlserver(bin: Path, model: Model, port: int, folder: Path) -> list:
    """With batching, in one process: here that is faster than passing each request to a worker process."""
    shutil.copy(REFERENCES / "serving_mlserver.py", folder)
    settings = {"debug": False, "host": "127.0.0.1", "http_port": port, "grpc_port": free_port()}
    settings |= {"metrics_port": free_port(), "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(settings))
    served = {"name": model.name, "implementation": "serving_mlserver.Onnx", "parameters": {"uri": str(model.file)}}
    batching = {"max_batch_size": 32, "max_batch_time": 0.001}
    (folder / "model-settings.json").write_text(json.dumps(served | batching))
    return [bin / "mlserver", "start", folder]


def triton(bin: Path, model: Model, port: int, folder: Path) -> list:
    """Dynamic batching without a delay, and one instance of the model."""
    (home,) = bin.parent.glob("lib/*/site-packages/pytriton/tritonserver")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (folder / model.name / "1").mkdir(parents=True)
    shutil.copy(REFERENCES / "serving_triton.py", folder / model.name / "1" / "model.py")
    shutil.copy(home / "python_backend_stubs" / version / "triton_python_backend_stub", home / "backends" / "python")
    (folder / model.name / "config.pbtxt").write_text(
        f"""
        backend: "python"
        max_batch_size: 32
        input [{{ name: "{model.input.name}" data_type: TYPE_FP32 dims: {model.input.shape[1:]} }}]
        output [{{ name: "{model.output.name}" data_type: TYPE_FP32 dims: {model.output.shape[1:]} }}]
        dynamic_batching {{ }}
        instance_group [{{ kind: KIND_CPU count: 1 }}]
        parameters {{ key: "file" value {{ string_value: "{model.file}" }} }}
        """
    )
    flags = ["--allow-grpc", "false", "--allow-metrics", "false", "--http-address", "127.0.0.1", "--http-port", port]
    folders = ["--model-repository", folder, "--backend-directory", home / "backends"]
    return [home / "bin" / "tritonserver", *folders, *flags]


SERVERS = {
    OURS: Server(install, ours),
    TWO_WORKERS: Server(install, ours_with_two_workers),
    BARE: Server(packages(*UVICORN, ONNX, "orjson==3.13.0"), bare),
    FASTAPI: Server(packages(*UVICORN, ONNX, "fastapi==0.165.0"), fastapi),
    MLSERVER: Server(packages(ONNX, "mlserver==1.7.1"), mlserver),
    TRITON: Server(packages(ONNX, "nvidia-pytriton==0.7.0"), triton),
}


@app.default
def main(model: Path, environments: Path | None = None, rounds: int = 5, seconds: int = 3) -> None:
    """Print the tables and the goals that are met.

    Args:
        model: its folder in an export, such as models/mnist_cnn.
        environments: a folder that keeps the installed servers for the next run.
        rounds: turns of each server under each load.
        seconds: length of each turn.
    """
    with measure_servers(SERVERS, model, environments, rounds, seconds, STARTS) as (results, runtime_rates):
        show_ratios(results, "requests a second")
        show_ratios(results, "requests a second", us=TWO_WORKERS)
        show_goals(results, runtime_rates)


@app.command
def revisions(model: Path, *others: str, environments: Path | None = None, rounds: int = 10, seconds: int = 2) -> None:
    """Compare our server with its state at other commits of this repository.

    Args:
        model: its folder in an export, such as models/mnist_cnn.
        others: commits, tags or branches.
        environments: a folder that keeps the installed servers for the next run.
        rounds: turns of each server under each load.
        seconds: length of each turn.
    """
    at = {f"{OURS} at {other}": Server(functools.partial(install_revision, other), ours) for other in others}
    with measure_servers({OURS: SERVERS[OURS], **at}, model, environments, rounds, seconds, starts=1) as (results, _):
        show_ratios(results, "requests a second")
        show_ratios(results, "CPU time a request", "cpu")


@app.command
def soak(model: Path, requests: int = 100_000, seconds: int = 5) -> None:
    """Put our server under every load in turn, and print its memory after each tenth of the requests.

    Args:
        model: its folder in an export, such as models/mnist_cnn.
        requests: total number of requests.
        seconds: length of each turn of a load.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with running(SERVERS[OURS], install(work / "environment").parent, Model(model, work)) as server:
            done, errors, last_print = 0, 0, 0
            while done < requests:
                for load in LOADS.values():
                    result = server.run_load(load, seconds)
                    done, errors = done + int(result["requests"]), errors + int(result["errors"])
                if done >= last_print + requests / 10:
                    last_print = done
                    print(f"{done:,} requests, {errors} errors: {server.resident():.1f} MB resident", flush=True)


@contextlib.contextmanager
def measure_servers(
    servers: dict[str, Server], model: Path, environments: Path | None, rounds: int, seconds: int, starts: int
) -> Iterator[tuple[dict[str, Measurements], dict[int, list[float]]]]:
    """Measure each server, and ONNX Runtime alone; print the values, and at the end the servers that failed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = Path(folder)
        served = Model(model, work)
        results: dict[str, Measurements] = {}
        failures = {}
        bins = {}
        for name, server in servers.items():
            try:
                bins[name] = server.install((environments or work).resolve() / re.sub(r"\W", "_", name)).parent
            except (subprocess.CalledProcessError, OSError) as error:
                failures[name] = f"not installed: {error}"
        for name, bin in bins.items():
            try:
                start = statistics.median(start_seconds(servers[name], bin, served) for _ in range(starts))
                megabytes = sum(size.total for size in sizes(bin / "python").values())
                process = stack.enter_context(running(servers[name], bin, served))
                results[name] = Measurements(process, megabytes, start)
            except RuntimeError as error:
                failures[name] = str(error)
        runtime_rates = measure(results, served, rounds, seconds)
        print(f"{os.cpu_count()} cores, {rounds} rounds of {seconds} s\n")
        show_values(results, runtime_rates)
        yield results, runtime_rates
        for name, reason in failures.items():
            print(f"{name} was not measured. {reason}")


@contextlib.contextmanager
def running(server: Server, bin: Path, model: Model) -> Iterator[Running]:
    """Start a server and wait for its first correct response.

    Raises:
        RuntimeError: if there is none in time.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        command = [str(part) for part in server.command(bin, model, port, Path(folder))]
        variables = {"MODEL": str(model.file), "PATH": f"{bin}:{os.environ['PATH']}"}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=os.environ | variables)
        started, end = Running(process, port, model), time.monotonic() + START_TIMEOUT
        try:
            while not started.is_correct(1, False):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"no correct response: {log.read()[-300:]}")
                time.sleep(0.002)
            yield started
        finally:
            process.terminate()
            process.wait()


def start_seconds(server: Server, bin: Path, model: Model) -> float:
    """Seconds from the start of the process to its first correct response."""
    started = time.perf_counter()
    with running(server, bin, model):
        return time.perf_counter() - started


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def measure(results: dict[str, Measurements], model: Model, rounds: int, seconds: int) -> dict[int, list[float]]:
    """Put every server under every load in turn; return images a second of ONNX Runtime alone, by rows of a batch."""
    for measured in results.values():
        server = measured.running
        measured.loads = {title: [] for title, load in LOADS.items() if server.is_correct(load.rows, load.binary)}
        server.run_load(LOADS["16"], 1)  # warm-up
    runtime_rates: dict[int, list[float]] = {1: [], 32: []}
    for _ in range(rounds):
        for title, load in LOADS.items():
            for measured in results.values():
                if title in measured.loads:
                    measured.loads[title].append(measured.running.run_load(load, seconds))
        for rows, rates in runtime_rates.items():
            rates.append(model.images_a_second(rows, seconds))
    for measured in results.values():
        measured.resident = measured.running.resident()
    return runtime_rates


def show_values(results: dict[str, Measurements], runtime_rates: dict[int, list[float]]) -> None:
    """Print medians over the rounds."""
    print("Requests a second (p50 and p99 in ms, CPU ms a request)\n")
    heads = ["", "MB installed", "first response, s", "MB resident", *LOADS, "errors"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, measured in results.items():
        cells = [name, f"{measured.megabytes:.0f}", f"{measured.start:.2f}", f"{measured.resident:.0f}"]
        for title in LOADS:
            if title not in measured.loads:
                cells.append("")
                continue
            rate, p50, p99, cpu = (measured.median(title, what) for what in ("rate", "p50", "p99", "cpu"))
            cells.append(f"{rate:.0f} ({p50:.2f} {p99:.2f}, {cpu:.2f})")
        print(f"| {' | '.join([*cells, str(measured.errors)])} |")
    print()
    for rows, rates in runtime_rates.items():
        print(f"ONNX Runtime alone, one thread, batches of {rows}: {statistics.median(rates):.0f} images a second")


def show_ratios(results: dict[str, Measurements], title: str, what: str = "rate", us: str = OURS) -> None:
    """Print our values divided by those of each other server."""
    print(f"\n| {title} of {us} by that of | {' | '.join(LOADS)} |\n|---|{'---|' * len(LOADS)}")
    for name, measured in results.items():
        if name != us and us in results:
            cells = [f"{ratio(results, load, name, what, us):.2f}" if load in measured.loads else "" for load in LOADS]
            print(f"| {name} | {' | '.join(cells)} |")
    print()


def ratio(results: dict[str, Measurements], title: str, other: str, what: str = "rate", us: str = OURS) -> float:
    """Return our value divided by that of the other server, or NaN if one of the two was not measured."""
    if not {us, other} <= results.keys() or not all(title in results[name].loads for name in (us, other)):
        return float("nan")
    pairs = zip(results[us].loads[title], results[other].loads[title], strict=True)
    return statistics.median(ours[what] / theirs[what] if theirs[what] else math.inf for ours, theirs in pairs)


def show_goals(results: dict[str, Measurements], runtime_rates: dict[int, list[float]]) -> None:
    """Print whether each goal is met; a goal without a measurement is missed."""
    if OURS not in results:
        return
    us = results[OURS]
    pairs = zip(us.loads["32 images, binary"], runtime_rates[32], strict=True)
    goals = [
        ("1 connection, by the bare ASGI app", ratio(results, "1", BARE), "at least", 0.95),
        ("64 connections, by Triton", ratio(results, "64", TRITON), "at least", 1.3),
        ("p99 of 64 connections, by Triton's", ratio(results, "64", TRITON, "p99"), "at most", 1.0),
        ("64 connections, 2 workers by Triton", ratio(results, "64", TRITON, us=TWO_WORKERS), "at least", 1.3),
        ("p99 of them", ratio(results, "64", TRITON, "p99", us=TWO_WORKERS), "at most", 1.0),
        ("32 images in JSON, by Triton", ratio(results, "32 images, JSON", TRITON), "at least", 1.0),
        (
            "32 images in binary, by ONNX Runtime alone",
            statistics.median(32 * result["rate"] / rate for result, rate in pairs),
            "at least",
            0.95,
        ),
        ("first correct response, s", us.start, "at most", 0.6),
        ("MB resident", us.resident, "at most", 100),
        ("MB installed", us.megabytes, "at most", 160),
        ("errors", us.errors, "at most", 0),
    ]
    for what, value, side, bound in goals:
        met = value >= bound if side == "at least" else value <= bound
        print(f"- {'met' if met else 'MISSED'}: {what}: {value:.2f}, {side} {bound}")


if __name__ == "__main__":
    app()
