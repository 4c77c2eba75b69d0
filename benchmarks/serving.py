"""Model servers side by side with one model: requests a second, latency, CPU time, start, memory and size.

    python benchmarks/serving.py models/mnist_cnn                            # needs wrk
    python benchmarks/serving.py revisions models/mnist_cnn HEAD~1 BRANCH    # ours beside what it was or may become
    python benchmarks/serving.py soak models/mnist_cnn --requests 100000     # ours alone: does it grow?

Each server has an environment of its own, made here: ours from a wheel of this repository, the others from the versions
named below and the programs in `benchmarks/references`; `--environments FOLDER` keeps them for the next time. All run
ONNX Runtime on one thread, in one process that takes requests but for ours with `--workers 2`, and are up together; in
every round they take turns under each load, and a ratio is the median over the rounds of ours by theirs. One image is
asked before: who does not answer as ONNX Runtime does is not measured.
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
OURS, TWO, BARE, FASTAPI, MLSERVER, TRITON = "kerasfound", "2 workers", "bare ASGI", "FastAPI", "MLServer", "Triton"
STARTS = 7
PATIENCE = 60
"""Seconds until a server that does not answer is given up."""
TICK = os.sysconf("SC_CLK_TCK")
ONNX = "onnxruntime==1.31.1"
UVICORN = ["uvicorn==0.54.0", "httptools==0.9.0", "uvloop==0.23.0"]
app = cyclopts.App()


class Load(NamedTuple):
    """How a server is asked."""

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
"""By the heads of their columns: connections that ask for one image each, or 16 that ask for 32."""


class Model:
    """What is served and asked: one bundle, its images, and what ONNX Runtime answers."""

    def __init__(self, folder: Path, work: Path):
        shutil.copytree(folder, work / "models" / folder.name)  # alone: others beside it would take memory
        self.folder = work / "models" / folder.name
        version = max((path for path in self.folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        self.file = version / "model.onnx"
        self.name = folder.name
        promised = manifest.read(version / "manifest.json")
        (self.input,), (self.output,) = promised.inputs, promised.outputs
        rows = max(
            (case.inputs[self.input.name] for case in recorded_cases.load(version) if case.kind == "samples"), key=len
        )
        self.rows = np.resize(rows, (32, *rows.shape[1:]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
        self.bodies = {load[1:]: self._body(work, load.rows, load.binary) for load in LOADS.values()}

    def ask(self, rows: int) -> np.ndarray:
        return self.session.run(None, {self.input.name: self.rows[:rows]})[0]

    def images_a_second(self, rows: int, seconds: float) -> float:
        """Of ONNX Runtime alone."""
        started, calls = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            self.ask(rows)
            calls += 1
        return rows * calls / (time.perf_counter() - started)

    def _body(self, work: Path, rows: int, binary: bool) -> tuple[Path, dict[str, str]]:
        """A file with what is posted, and the headers beside it."""
        x = self.rows[:rows]
        asked = {"name": self.input.name, "shape": x.shape, "datatype": "FP32"}
        file, headers = work / f"{rows}.{'binary' if binary else 'json'}", {"Content-Type": "application/json"}
        if binary:
            asked["parameters"] = {"binary_data_size": x.nbytes}
            wanted = {"name": self.output.name, "parameters": {"binary_data": True}}
            head = json.dumps({"inputs": [asked], "outputs": [wanted]}).encode()
            file.write_bytes(head + x.tobytes())
            headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        else:
            file.write_text(json.dumps({"inputs": [asked | {"data": x.ravel().tolist()}]}))
        return file, headers


class Running:
    """A server that is up."""

    def __init__(self, process: subprocess.Popen, port: int, model: Model):
        self.process = process
        self.port = port
        self.model = model
        self.path = f"/v2/models/{model.name}/infer"

    def answers(self, rows: int, binary: bool) -> bool:
        """Whether it answers as ONNX Runtime does."""
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
            return np.allclose(y.ravel(), self.model.ask(rows).ravel(), atol=1e-5)
        except (OSError, ValueError, TypeError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def loaded(self, load: Load, seconds: int) -> dict[str, float]:
        """What wrk tells of some seconds of it, and the milliseconds of CPU time that a request took."""
        file, headers = self.model.bodies[load[1:]]
        flags = ["--threads", "1", "--connections", str(load.connections), "--duration", f"{seconds}s"]
        url = f"http://127.0.0.1:{self.port}{self.path}"
        command = ["wrk", *flags, "--script", HERE / "serving.lua", url, "--", file]
        command += [part for header in headers.items() for part in header]
        before = self.cpu_seconds()
        finished = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(finished.stdout.splitlines()[-1])
        found["rate"] = found["requests"] / found["seconds"]
        found["cpu"] = 1e3 * (self.cpu_seconds() - before) / max(found["requests"], 1)
        return found

    def processes(self) -> Iterator[Path]:
        """Its own and its children's."""
        waiting = [self.process.pid]
        while waiting:
            folder = Path("/proc") / str(waiting.pop())
            yield folder
            for thread in folder.glob("task/*/children"):
                waiting.extend(map(int, thread.read_text().split()))

    def resident(self) -> float:
        """MB."""
        lines = [line for each in self.processes() for line in (each / "status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6

    def cpu_seconds(self) -> float:
        fields = [(each / "stat").read_text().rpartition(")")[2].split() for each in self.processes()]
        return sum(int(user) + int(system) for *_, user, system in (each[:13] for each in fields)) / TICK


class Found:
    """What was measured of a server."""

    def __init__(self, running: Running, megabytes: float, start: float):
        self.running = running
        self.megabytes = megabytes
        self.start = start
        self.resident = 0.0
        self.loads: dict[str, list[dict[str, float]]] = {}

    def median(self, title: str, what: str) -> float:
        return statistics.median(each[what] for each in self.loads[title])

    @property
    def errors(self) -> int:
        return sum(int(each["errors"]) for rounds in self.loads.values() for each in rounds)


class Server(NamedTuple):
    """How one is installed and started."""

    install: Callable[[Path], Path]
    """Into a folder; gives its Python."""
    command: Callable[[Path, Model, int, Path], list]
    """Of its environment's `bin`, the model, the port and a folder to write to."""


def packages(*wanted: str) -> Callable[[Path], Path]:
    def install_packages(folder: Path) -> Path:
        python, done = folder / "bin" / "python", folder / "packages"
        if not done.exists() or done.read_text() != " ".join(wanted):
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True, stderr=subprocess.PIPE)
            done.write_text(" ".join(wanted))
        return python

    return install_packages


def install_revision(revision: str, folder: Path) -> Path:
    """This repository as it is at a commit, a tag or the end of a branch."""
    with tempfile.TemporaryDirectory() as checkout:
        archive = subprocess.run(["git", "archive", revision], check=True, capture_output=True, cwd=ROOT)
        subprocess.run(["tar", "--extract", "--directory", checkout], check=True, input=archive.stdout)
        return install(folder, Path(checkout))


def ours(bin: Path, model: Model, port: int, folder: Path) -> list:
    return [bin / "python", "-m", "kerasfound", "serve", model.folder.parent, "--port", port]


def ours_twice(bin: Path, model: Model, port: int, folder: Path) -> list:
    """Triton takes requests on every core, too."""
    return [*ours(bin, model, port, folder), "--workers", "2"]


def bare(bin: Path, model: Model, port: int, folder: Path) -> list:
    return uvicorn("serving_asgi", bin, port)


def fastapi(bin: Path, model: Model, port: int, folder: Path) -> list:
    return uvicorn("serving_fastapi", bin, port)


def uvicorn(program: str, bin: Path, port: int) -> list:
    flags = ["--lifespan", "off", "--log-level", "error", "--no-access-log"]
    return [bin / "python", "-m", "uvicorn", f"{program}:app", "--app-dir", REFERENCES, "--port", port, *flags]


def mlserver(bin: Path, model: Model, port: int, folder: Path) -> list:
    """Batching on; in one process, which is faster here than to hand each request to a worker."""
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
    TWO: Server(install, ours_twice),
    BARE: Server(packages(*UVICORN, ONNX, "orjson==3.13.0"), bare),
    FASTAPI: Server(packages(*UVICORN, ONNX, "fastapi==0.165.0"), fastapi),
    MLSERVER: Server(packages(ONNX, "mlserver==1.7.1"), mlserver),
    TRITON: Server(packages(ONNX, "nvidia-pytriton==0.7.0"), triton),
}


@app.default
def main(model: Path, environments: Path | None = None, rounds: int = 5, seconds: int = 3) -> None:
    """Print the tables, and which goals are met.

    Args:
        model: its folder in an export, such as models/mnist_cnn.
        environments: where the servers are installed, to be kept; otherwise they are installed every time.
        rounds: how often each server is put under each load.
        seconds: how long.
    """
    with side_by_side(SERVERS, model, environments, rounds, seconds, STARTS) as (found, alone):
        show_ratios(found, "requests a second")
        show_ratios(found, "requests a second", us=TWO)
        show_goals(found, alone)


@app.command
def revisions(model: Path, *others: str, environments: Path | None = None, rounds: int = 10, seconds: int = 2) -> None:
    """Our server as it is here beside what it is at other commits of this repository.

    Args:
        model: its folder in an export, such as models/mnist_cnn.
        others: commits, tags or branches.
        environments: where each of them is installed, to be kept.
        rounds: how often each of them is put under each load.
        seconds: how long.
    """
    at = {f"{OURS} at {other}": Server(functools.partial(install_revision, other), ours) for other in others}
    with side_by_side({OURS: SERVERS[OURS], **at}, model, environments, rounds, seconds, starts=1) as (found, _):
        show_ratios(found, "requests a second")
        show_ratios(found, "CPU time a request", "cpu")


@app.command
def soak(model: Path, requests: int = 100_000, seconds: int = 5) -> None:
    """Ask our server under every load in turns, and print its memory on the way.

    Args:
        model: its folder in an export, such as models/mnist_cnn.
        requests: how many.
        seconds: of each load before the next one takes its turn.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        asked = Model(model, work)
        with up(SERVERS[OURS], install(work / "environment").parent, asked) as running:
            done, errors, told = 0, 0, 0
            while done < requests:
                for load in LOADS.values():
                    found = running.loaded(load, seconds)
                    done, errors = done + int(found["requests"]), errors + int(found["errors"])
                if done >= told + requests / 10:
                    told = done
                    print(f"{done:,} requests, {errors} errors: {running.resident():.1f} MB resident", flush=True)


@contextlib.contextmanager
def side_by_side(
    servers: dict[str, Server], model: Path, environments: Path | None, rounds: int, seconds: int, starts: int
) -> Iterator[tuple[dict[str, "Found"], dict[int, list[float]]]]:
    """What was measured of each server and of ONNX Runtime alone; told, and at the end who could not be measured."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = Path(folder)
        asked = Model(model, work)
        found: dict[str, Found] = {}
        failed = {}
        bins = {}
        for name, server in servers.items():
            try:
                bins[name] = server.install((environments or work).resolve() / re.sub(r"\W", "_", name)).parent
            except (subprocess.CalledProcessError, OSError) as error:
                failed[name] = f"not installed: {error}"
        for name, bin in bins.items():
            try:
                start = statistics.median(first_answer(servers[name], bin, asked) for _ in range(starts))
                megabytes = sum(size.all for size in sizes(bin / "python").values())
                found[name] = Found(stack.enter_context(up(servers[name], bin, asked)), megabytes, start)
            except RuntimeError as error:
                failed[name] = str(error)
        alone = measure(found, asked, rounds, seconds)
        print(f"{os.cpu_count()} cores, {rounds} rounds of {seconds} s\n")
        show_values(found, alone)
        yield found, alone
        for name, why in failed.items():
            print(f"{name} was not measured. {why}")


@contextlib.contextmanager
def up(server: Server, bin: Path, model: Model) -> Iterator[Running]:
    """A server that has answered rightly once.

    Raises:
        RuntimeError: if it does not.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        command = [str(part) for part in server.command(bin, model, port, Path(folder))]
        variables = {"MODEL": str(model.file), "PATH": f"{bin}:{os.environ['PATH']}"}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=os.environ | variables)
        running, end = Running(process, port, model), time.monotonic() + PATIENCE
        try:
            while not running.answers(1, False):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"no right answer: {log.read()[-300:]}")
                time.sleep(0.002)
            yield running
        finally:
            process.terminate()
            process.wait()


def first_answer(server: Server, bin: Path, model: Model) -> float:
    """Seconds from the start of the process to its first right answer."""
    started = time.perf_counter()
    with up(server, bin, model):
        return time.perf_counter() - started


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def measure(found: dict[str, Found], model: Model, rounds: int, seconds: int) -> dict[int, list[float]]:
    """Every load on every server in turns; images a second of ONNX Runtime alone, by how many it is asked at once."""
    for each in found.values():
        running = each.running
        each.loads = {title: [] for title, load in LOADS.items() if running.answers(load.rows, load.binary)}
        running.loaded(LOADS["16"], 1)  # warms it
    alone: dict[int, list[float]] = {1: [], 32: []}
    for _ in range(rounds):
        for title, load in LOADS.items():
            for each in found.values():
                if title in each.loads:
                    each.loads[title].append(each.running.loaded(load, seconds))
        for rows, rates in alone.items():
            rates.append(model.images_a_second(rows, seconds))
    for each in found.values():
        each.resident = each.running.resident()
    return alone


def show_values(found: dict[str, Found], alone: dict[int, list[float]]) -> None:
    """Medians over the rounds."""
    print("Requests a second (p50 and p99 in ms, CPU ms a request)\n")
    heads = ["", "MB installed", "first answer, s", "MB resident", *LOADS, "errors"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, each in found.items():
        cells = [name, f"{each.megabytes:.0f}", f"{each.start:.2f}", f"{each.resident:.0f}"]
        for title in LOADS:
            if title not in each.loads:
                cells.append("")
                continue
            rate, p50, p99, cpu = (each.median(title, what) for what in ("rate", "p50", "p99", "cpu"))
            cells.append(f"{rate:.0f} ({p50:.2f} {p99:.2f}, {cpu:.2f})")
        print(f"| {' | '.join([*cells, str(each.errors)])} |")
    print()
    for rows, rates in alone.items():
        print(f"ONNX Runtime alone, one thread, {rows} at once: {statistics.median(rates):.0f} images a second")


def show_ratios(found: dict[str, Found], title: str, what: str = "rate", us: str = OURS) -> None:
    """Of ours by theirs."""
    print(f"\n| {title} of {us} by that of | {' | '.join(LOADS)} |\n|---|{'---|' * len(LOADS)}")
    for name, each in found.items():
        if name != us and us in found:
            cells = [f"{ratio(found, load, name, what, us):.2f}" if load in each.loads else "" for load in LOADS]
            print(f"| {name} | {' | '.join(cells)} |")
    print()


def ratio(found: dict[str, Found], title: str, other: str, what: str = "rate", us: str = OURS) -> float:
    """Of ours by the other's; NaN if one of them was not measured."""
    if not {us, other} <= found.keys() or not all(title in found[name].loads for name in (us, other)):
        return float("nan")
    pairs = zip(found[us].loads[title], found[other].loads[title], strict=True)
    return statistics.median(ours[what] / theirs[what] if theirs[what] else math.inf for ours, theirs in pairs)


def show_goals(found: dict[str, Found], alone: dict[int, list[float]]) -> None:
    """In words; what could not be measured is not met."""
    if OURS not in found:
        return
    us = found[OURS]
    pairs = zip(us.loads["32 images, binary"], alone[32], strict=True)
    goals = [
        ("1 connection, by the bare ASGI app", ratio(found, "1", BARE), "at least", 0.95),
        ("64 connections, by Triton", ratio(found, "64", TRITON), "at least", 1.3),
        ("p99 of 64 connections, by Triton's", ratio(found, "64", TRITON, "p99"), "at most", 1.0),
        ("64 connections, 2 workers by Triton", ratio(found, "64", TRITON, us=TWO), "at least", 1.3),
        ("p99 of them", ratio(found, "64", TRITON, "p99", us=TWO), "at most", 1.0),
        ("32 images in JSON, by Triton", ratio(found, "32 images, JSON", TRITON), "at least", 1.0),
        (
            "32 images in binary, by ONNX Runtime alone",
            statistics.median(32 * each["rate"] / rate for each, rate in pairs),
            "at least",
            0.95,
        ),
        ("first right answer, s", us.start, "at most", 0.6),
        ("MB resident", us.resident, "at most", 100),
        ("MB installed", us.megabytes, "at most", 160),
        ("errors", us.errors, "at most", 0),
    ]
    for what, value, side, bound in goals:
        met = value >= bound if side == "at least" else value <= bound
        print(f"- {'met' if met else 'MISSED'}: {what}: {value:.2f}, {side} {bound}")


if __name__ == "__main__":
    app()
