"""From a folder of bundles to a listening port, and back down on a signal without a broken answer."""

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
from typing import TYPE_CHECKING, NamedTuple

from kerasfound.errors import UserError

from .limits import Limits

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from .model_repository import Versions
    from .uvicorn_server import Server

WORKERS = 4 * (os.cpu_count() or 1)
"""At most: more than there are cores gain nothing, and each takes the memory of all models."""
THREADS = 64
"""Where batches run: more than there are cores, so that none waits for slow ones."""
OTHER_FILES = 256
"""That a process has open beside its connections."""
TICK_SECONDS = 0.2
AGAIN_SECONDS = 1.0
"""Before a worker that died is started again, which may die at once, too."""
LAST_SECONDS = 15
"""More than a worker needs to stop."""


class Settings(NamedTuple):
    """What `serve` was told, as worker processes are told it."""

    repository: str
    versions: "Versions"
    limits: Limits
    api_key: str | None
    access_log: bool
    shared: str
    """A folder of what the worker processes have in common: counts, and which models were put away."""


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
) -> None:
    """Answer HTTP requests with the models of a repository, and show a page to try them, until Ctrl-C.

    Args:
        repository: a folder that `kerasfound export` wrote to. It is watched: a new version is checked and takes over.
        host: the address to listen at. 0.0.0.0 lets other machines in.
        port: 0 takes a free one and prints it.
        versions: latest, all, or numbers with commas between them; a model's own serving.json goes before.
        workers: processes, each with all models; one for each core pays where many ask for little.
        max_body_mib: the largest request, before and after it is decompressed; four bytes for each value of a tensor.
        timeout: seconds after which a request is given up.
        max_batch_rows: rows that are asked at once, at most; a request with more is asked in pieces.
        max_queue: requests that wait for a model; more are refused with 429.
        api_key_file: a file with the key that clients must send.
        access_log: write a line of JSON for each answer.

    Raises:
        UserError: if the port cannot be had, or the folder holds nothing that can be served.
    """
    if not 1 <= workers <= WORKERS:
        raise UserError(f"--workers {workers}: expected 1 to {WORKERS}, four for each core.")
    for name, value in (("max-body-mib", max_body_mib), ("max-batch-rows", max_batch_rows)):
        if value < 1:
            raise UserError(f"--{name} {value}: expected at least 1.")
    if max_queue < 0:
        raise UserError(f"--max-queue {max_queue}: expected at least 0.")
    if not timeout > 0:
        raise UserError(f"--timeout {timeout}: expected more than 0 seconds.")
    limits = Limits(max_body_mib << 20, timeout, max_batch_rows, max_queue, _connections())
    key = _key(api_key_file) if api_key_file else None
    with _listen(host, port) as listener, tempfile.TemporaryDirectory() as shared, _on_signal(_leave):
        settings = Settings(str(repository), _versions(versions), limits, key, access_log, shared)
        address = f"[{host}]" if ":" in host else host
        where = f"http://{address}:{listener.getsockname()[1]}"
        if workers == 1:
            server = _server(settings, _tell)
            with _on_signal(server.stop):
                print(f"kerasfound: serving {server.application.repository} at {where}", flush=True)
                server.run(sockets=[listener])
        else:
            models = str(_server(settings).application.repository)  # what cannot be served is told here, and once
            print(f"kerasfound: serving {models} at {where}, in {workers} processes", flush=True)
            _supervise(settings, listener, workers)


def _server(settings: Settings, tell: Callable[[str], None] = lambda line: None) -> "Server":
    """A server with every model opened.

    Raises:
        UserError: if there is nothing to serve, or a library is missing.
    """
    try:
        from .app import App
        from .model_repository import Repository
        from .uvicorn_server import Server
    except ImportError as error:
        raise UserError(f"serving needs {error.name}; pip install 'kerasfound[serving]'.") from error
    away = Path(settings.shared, "away")
    away.mkdir(exist_ok=True)
    threads = ThreadPoolExecutor(THREADS, "batch")
    repository = Repository(settings.repository, settings.limits, threads, away, settings.versions, tell)
    return Server(App(repository, settings.limits, settings.api_key, settings.access_log))


def _worker(settings: Settings, listener: socket.socket, leash: "Connection", tells: bool) -> None:
    """One process of several, until the supervisor lets go of the leash; a signal is for the supervisor to judge."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_counts(settings))
    with _on_signal(lambda: None):
        try:
            server = _server(settings, _tell if tells else lambda line: None)
        except UserError as error:
            raise SystemExit(f"kerasfound: {error}") from error
        threading.Thread(target=_follow, args=[leash, server], daemon=True).start()
        server.run(sockets=[listener])


def _follow(leash: "Connection", server: "Server") -> None:
    leash.poll(None)
    server.stop()


def _supervise(settings: Settings, listener: socket.socket, workers: int) -> None:
    """Several processes that serve; one that dies is started again, and all end with this one, however it ends."""
    from multiprocessing import connection, get_context

    from prometheus_client.multiprocess import mark_process_dead

    _counts(settings).mkdir()
    spawn = get_context("spawn")
    leash, hold = spawn.Pipe(duplex=False)

    def start(place: int) -> "SpawnProcess":
        process = spawn.Process(target=_worker, args=(settings, listener, leash, place == 0), daemon=True)
        process.start()
        return process

    stopping = threading.Event()
    with _on_signal(stopping.set):
        running = [start(place) for place in range(workers)]
        while not stopping.is_set():
            connection.wait([process.sentinel for process in running], timeout=TICK_SECONDS)
            for place, process in enumerate(running):
                if process.is_alive() or stopping.is_set():
                    continue
                _tell(f"a worker ended with {process.exitcode}; another one is started")
                mark_process_dead(process.pid, _counts(settings))
                if not stopping.wait(AGAIN_SECONDS):
                    running[place] = start(place)
        hold.close()
        listener.close()
        for process in running:
            process.join(LAST_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _counts(settings: Settings) -> Path:
    return Path(settings.shared, "counts")


def _connections() -> int:
    """As many as there may be open files, which are more from now on if they were few."""
    wanted = Limits().connections
    with contextlib.suppress(ImportError, OSError, ValueError):  # not a POSIX system, or not allowed
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 <= soft < wanted + OTHER_FILES:
            soft = wanted + OTHER_FILES if hard < 0 else min(wanted + OTHER_FILES, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            return max(1, soft - OTHER_FILES)
    return wanted


def _versions(text: str) -> "Versions":
    words: dict[str, Versions] = {"latest": "latest", "all": "all"}
    if text in words:
        return words[text]
    if not re.fullmatch(r"[1-9]\d{0,17}(,[1-9]\d{0,17})*", text):
        raise UserError(f"--versions {text}: expected latest, all, or numbers such as 1,3.")
    return [int(number) for number in text.split(",")]


def _key(file: Path | str) -> str:
    try:
        key = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not ASCII"
        raise UserError(f"--api-key-file {file}: cannot be read ({reason}); expected a file with one key.") from error
    if not key or len(key.split()) > 1:
        raise UserError(f"--api-key-file {file}: expected one key, without spaces.")
    return key


def _tell(line: str) -> None:
    print(f"kerasfound: {line}", file=sys.stderr, flush=True)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket: bound before models are loaded, so that a port in use is told at once."""
    where = f"--host {host} --port {port}"
    if not 0 <= port <= 65535:  # getaddrinfo would take 65536 for 0
        raise UserError(f"{where}: expected a port from 0 to 65535.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(f"{where}: no such address; expected 127.0.0.1, 0.0.0.0 or a name of this machine.") from error
    # "localhost" is two addresses, and what clients try first is the IPv4 one.
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere this option would share a port in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = error.strerror
        raise UserError(f"{where}: cannot listen ({reason}); choose another with --port, 0 for a free one.") from error
    return listener


def _leave() -> None:
    raise SystemExit(0)


@contextlib.contextmanager
def _on_signal(action: Callable[[], None]) -> Iterator[None]:
    """Runs `action` on Ctrl-C and SIGTERM, where the main thread allows it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: action()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
