"""`serve`: checks the settings, opens the socket, starts the server or its worker processes, stops on a signal."""

import contextlib
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from kerasfound.errors import UserError

from .limits import Limits

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from .model_loader import Precision
    from .model_repository import Versions
    from .uvicorn_server import Server

MAX_WORKERS = 4 * (os.cpu_count() or 1)
"""More workers than cores gain nothing, and each one holds all models in memory."""
BATCH_THREADS = 64
"""More than cores, so that fast models do not wait for slow ones."""
OTHER_FILES = 256
"""Open files of a process that are not connections."""
POLL_SECONDS = 0.2
RESTART_SECONDS = 1.0
"""Pause before a dead worker is replaced: the new one may die immediately, too."""
STOP_SECONDS = 15
"""A worker that has not stopped after this time is killed; a graceful shutdown takes less."""


class Settings(NamedTuple):
    """The checked arguments of `serve`, in a form that can be sent to worker processes."""

    repository: str
    versions: "Versions"
    limits: Limits
    api_key: str | None
    access_log: bool
    precision: "Precision"
    shared: str
    """A folder that all worker processes share, for metrics and for the names of unloaded models."""


def serve(
    repository: Path | str = "models",
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8501,
    versions: str = "latest",
    workers: int = 1,
    max_body_mib: int = 16,
    timeout: float = 30.0,
    max_batch_rows: int = 32,
    max_queue: int = 512,
    api_key_file: Path | str | None = None,
    access_log: bool = False,
    precision: Literal["float32", "int8"] = "float32",
) -> None:
    """Serve the models of a repository over HTTP, with a web page to try them, until Ctrl-C.

    Args:
        repository: the folder with the exported models. It is watched: new versions are verified, then served.
        host: the address to listen on. 0.0.0.0 accepts connections from other machines.
        port: the port to listen on. 0 picks a free port and prints it.
        versions: latest, all, or numbers separated by commas. A model's serving.json overrides it.
        workers: the number of processes, each with all models. For many small requests, use one per core.
        max_body_mib: the largest request body, before and after decompression. Tensors count four bytes per value.
        timeout: seconds until a request fails with 504.
        max_batch_rows: the most rows in one call of a model. Larger requests are split.
        max_queue: the most requests in the queue of a model. More are rejected with 429.
        api_key_file: a file with the API key that clients must send.
        access_log: write one line of JSON for each response.
        precision: int8 serves the files with 8-bit weights that `kerasfound export --quantize int8` writes.

    Raises:
        UserError: if an argument is invalid, the port is not available, or the folder has no model that can be served.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise UserError(f"`workers` {workers}: expected 1 to {MAX_WORKERS}, four per core.")
    for name, value in (("max_body_mib", max_body_mib), ("max_batch_rows", max_batch_rows)):
        if value < 1:
            raise UserError(f"`{name}` {value}: expected at least 1.")
    if max_queue < 0:
        raise UserError(f"`max_queue` {max_queue}: expected at least 0.")
    if not timeout > 0:
        raise UserError(f"`timeout` {timeout}: expected more than 0 seconds.")
    limits = Limits(max_body_mib << 20, timeout, max_batch_rows, max_queue, _max_connections())
    key = _read_api_key(api_key_file) if api_key_file else None
    with _listen(host, port) as listener, tempfile.TemporaryDirectory() as shared, _on_signal(_exit):
        settings = Settings(str(repository), _parse_versions(versions), limits, key, access_log, precision, shared)
        address = f"[{host}]" if ":" in host else host
        where = f"http://{address}:{listener.getsockname()[1]}"
        if workers == 1:
            server = _make_server(settings, _log)
            with _on_signal(server.stop):
                print(f"kerasfound: serving {server.application.state.repository} at {where}", flush=True)
                server.run(sockets=[listener])
        else:
            models = str(_make_server(settings).application.state.repository)  # reports invalid models once
            print(f"kerasfound: serving {models} at {where}, in {workers} processes", flush=True)
            _run_workers(settings, listener, workers)


def _make_server(settings: Settings, log: Callable[[str], None] = lambda line: None) -> "Server":
    """Create a server with every model loaded.

    Raises:
        UserError: if no model can be served, or a library is missing.
    """
    try:
        from .app import App
        from .model_repository import Repository
        from .uvicorn_server import Server
    except ImportError as error:
        raise UserError(f"serving needs {error.name}; pip install 'kerasfound[serving]'.") from error
    unloaded = Path(settings.shared, "unloaded")
    unloaded.mkdir(exist_ok=True)
    threads = ThreadPoolExecutor(BATCH_THREADS, "batch")
    repository = Repository(
        settings.repository, settings.limits, threads, unloaded, settings.versions, log, settings.precision
    )
    return Server(App(repository, settings.limits, settings.api_key, settings.access_log))


def _run_worker(settings: Settings, listener: socket.socket, stop: "Connection", logs: bool) -> None:
    """Serve in a worker process until the main process closes the other end of the `stop` pipe.

    The worker ignores signals: the main process handles them for all.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_metrics_folder(settings))
    with _on_signal(lambda: None):
        try:
            server = _make_server(settings, _log if logs else lambda line: None)
        except UserError as error:
            raise SystemExit(f"kerasfound: {error}") from error
        threading.Thread(target=_stop_when_closed, args=[stop, server], daemon=True).start()
        server.run(sockets=[listener])


def _stop_when_closed(stop: "Connection", server: "Server") -> None:
    stop.poll(None)
    server.stop()


def _run_workers(settings: Settings, listener: socket.socket, workers: int) -> None:
    """Run worker processes until a signal; a dead worker is replaced, and all workers end with this process."""
    from multiprocessing import connection, get_context

    from prometheus_client.multiprocess import mark_process_dead

    _metrics_folder(settings).mkdir()
    spawn = get_context("spawn")
    stop, keep_running = spawn.Pipe(duplex=False)

    def start(index: int) -> "SpawnProcess":
        process = spawn.Process(target=_run_worker, args=(settings, listener, stop, index == 0), daemon=True)
        process.start()
        return process

    stopping = threading.Event()
    with _on_signal(stopping.set):
        running = [start(index) for index in range(workers)]
        while not stopping.is_set():
            connection.wait([process.sentinel for process in running], timeout=POLL_SECONDS)
            for index, process in enumerate(running):
                if process.is_alive() or stopping.is_set():
                    continue
                _log(f"a worker ended with exit code {process.exitcode}; a new one starts")
                mark_process_dead(process.pid, _metrics_folder(settings))
                if not stopping.wait(RESTART_SECONDS):
                    running[index] = start(index)
        keep_running.close()
        listener.close()
        for process in running:
            process.join(STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _metrics_folder(settings: Settings) -> Path:
    return Path(settings.shared, "metrics")


def _max_connections() -> int:
    """Return the number of connections that the limit of open files allows; raise that limit if it is low."""
    limit = Limits().max_connections
    with contextlib.suppress(ImportError, OSError, ValueError):  # not a POSIX system, or no permission
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 <= soft < limit + OTHER_FILES:
            soft = limit + OTHER_FILES if hard < 0 else min(limit + OTHER_FILES, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            return max(1, soft - OTHER_FILES)
    return limit


def _parse_versions(text: str) -> "Versions":
    words: dict[str, Versions] = {"latest": "latest", "all": "all"}
    if text in words:
        return words[text]
    if not re.fullmatch(r"[1-9]\d{0,17}(,[1-9]\d{0,17})*", text):
        raise UserError(f"`versions` {text}: expected latest, all, or numbers such as 1,3.")
    return [int(number) for number in text.split(",")]


def _read_api_key(file: Path | str) -> str:
    try:
        key = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not ASCII"
        raise UserError(f"`api_key_file` {file}: cannot be read ({reason}); expected a file with one key.") from error
    if not key or len(key.split()) > 1:
        raise UserError(f"`api_key_file` {file}: expected one key, without spaces.")
    return key


def _log(line: str) -> None:
    print(f"kerasfound: {line}", file=sys.stderr, flush=True)


def _listen(host: str, port: int) -> socket.socket:
    """Open the listening socket. This happens before models are loaded, so that a port in use fails at once."""
    where = f"`host` {host}, `port` {port}"
    if not 0 <= port <= 65535:  # getaddrinfo treats 65536 as 0
        raise UserError(f"{where}: expected a port from 0 to 65535.")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(f"{where}: no such address; expected 127.0.0.1, 0.0.0.0 or a name of this machine.") from error
    # "localhost" has two addresses; most clients try IPv4 first.
    family, kind, protocol, _, address = min(addresses, key=lambda candidate: candidate[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # on Windows this option would allow a port in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = error.strerror
        raise UserError(f"{where}: cannot listen ({reason}); choose another `port`, 0 for a free one.") from error
    return listener


def _exit() -> None:
    raise SystemExit(0)


@contextlib.contextmanager
def _on_signal(action: Callable[[], None]) -> Iterator[None]:
    """Run `action` on Ctrl-C and SIGTERM; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: action()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
