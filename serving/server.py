"""From a folder of bundles to a listening port, and back down on a signal without a broken answer."""

import contextlib
import functools
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
from typing import TYPE_CHECKING, NamedTuple, cast

from kerasfound.errors import UserError

if TYPE_CHECKING:
    from kerasfound.serving.app import App
    from kerasfound.serving.repository import Versions


class Settings(NamedTuple):
    """What `serve` was told, as worker processes are told it."""

    repository: str
    versions: str
    body: int
    seconds: float
    batch_rows: int
    queue: int
    api_key: str | None
    access_log: bool


def serve(
    repository: str,
    host: str = "127.0.0.1",
    port: int = 8501,
    versions: str = "latest",
    workers: int = 1,
    max_body_mib: int = 16,
    timeout: float = 30.0,
    max_batch_rows: int = 32,
    max_queue: int = 512,
    api_key_file: str | None = None,
    access_log: bool = False,
) -> None:
    """Answer predictions over HTTP from exported models, until Ctrl-C.

    Speaks TensorFlow Serving's REST (`/v1/models/NAME:predict`) and the Open Inference Protocol
    (`/v2/models/NAME/infer`), with a page at `/` and counts at `/metrics`. The folder is watched: a version that comes
    is checked, and then answers in place of the one before it.

    Args:
        repository: Folder of exported models, as written by `kerasfound export RUN --to models/`. In it
            `NAME/serving.json` may hold a model's own `versions`, `labels` and `canary_share`.
        host: Address to listen at. The default is for this machine only; `0.0.0.0` is for everyone who can reach it.
        port: TCP port to listen at; 0 takes a free one and prints it.
        versions: `latest`, `all`, or numbers with commas between them.
        workers: Processes. Each holds every model, so a second one pays where there are more cores than models asked.
        max_body_mib: Largest request body accepted, in MiB, before and after it is decompressed.
        timeout: Seconds until a request that was not answered is given up.
        max_batch_rows: Rows of several requests that are asked at once, at most.
        max_queue: Requests that wait for a model; more are answered with 429.
        api_key_file: A file with a key that clients must send, as `Authorization: Bearer KEY`.
        access_log: Write a line of JSON to stdout for each answer.

    Raises:
        UserError: if the port cannot be had, or the folder holds nothing that can be served.
    """
    for name, value in (("workers", workers), ("max-body-mib", max_body_mib), ("max-batch-rows", max_batch_rows)):
        if value < 1:
            raise UserError(f"--{name} {value}: expected at least 1.")
    if max_queue < 0 or not timeout > 0:
        raise UserError(f"--max-queue {max_queue} --timeout {timeout}: expected at least 0, and more than 0 seconds.")
    settings = Settings(
        str(repository),
        versions,
        max_body_mib << 20,
        timeout,
        max_batch_rows,
        max_queue,
        _key(api_key_file) if api_key_file else None,
        access_log,
    )
    with _listen(host, port) as listener, _on_signal(_leave):
        address = f"[{host}]" if ":" in host else host
        where = f"http://{address}:{listener.getsockname()[1]}"
        if workers == 1:
            _work(settings, listener, where)
        else:
            _supervise(settings, listener, where, workers)


def application(settings: Settings) -> "App":
    """The application, with every model opened.

    Raises:
        UserError: if there is nothing to serve, or a library is missing.
    """
    try:
        from kerasfound.serving.app import App
        from kerasfound.serving.limits import Limits
        from kerasfound.serving.repository import Repository
    except ImportError as error:
        raise UserError(f"serving needs {error.name}; pip install 'kerasfound[serving]'.") from error
    limits = Limits(body=settings.body, seconds=settings.seconds, batch_rows=settings.batch_rows, queue=settings.queue)
    threads = ThreadPoolExecutor(os.cpu_count(), "batch")
    repository = Repository(settings.repository, limits, threads, _versions(settings.versions), _tell)
    return App(repository, limits, settings.api_key, settings.access_log)


def _work(settings: Settings, listener: socket.socket, where: str) -> None:
    """One process that serves."""
    app = application(settings)
    from kerasfound.serving.process import Server

    server = Server(app)

    def stop() -> None:
        server.should_exit = True

    # uvicorn raises the signal again after it has stopped; it must find this and not the default, which kills.
    with _on_signal(stop):
        if where:
            print(f"kerasfound: serving {app.repository} at {where}", flush=True)
        server.run(sockets=[listener])


def _supervise(settings: Settings, listener: socket.socket, where: str, workers: int) -> None:
    """Several processes that serve; one that dies is started again."""
    from multiprocessing import connection, get_context

    names = str(application(settings).repository)  # so that what cannot be served is told here, and once
    with tempfile.TemporaryDirectory() as counts:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts
        spawn = functools.partial(
            get_context("spawn").Process, target=_work, args=(settings, listener, ""), daemon=True
        )
        running = [spawn() for _ in range(workers)]
        stopping = False

        def stop() -> None:
            nonlocal stopping
            stopping = True
            for process in running:
                if process.pid:
                    process.terminate()

        with _on_signal(stop):
            for process in running:
                process.start()
            print(f"kerasfound: serving {names} at {where}, in {workers} processes", flush=True)
            while running:
                connection.wait([process.sentinel for process in running], timeout=1)
                for process in [process for process in running if not process.is_alive()]:
                    running.remove(process)
                    if not stopping:
                        _tell(f"a worker ended with {process.exitcode}; another one is started")
                        running.append(spawn())
                        running[-1].start()


def _versions(text: str) -> "Versions":
    if text in ("latest", "all"):
        return cast("Versions", text)
    if not re.fullmatch(r"[1-9]\d{0,17}(,[1-9]\d{0,17})*", text):
        raise UserError(f"--versions {text}: expected latest, all, or numbers such as 1,3.")
    return [int(number) for number in text.split(",")]


def _key(file: str) -> str:
    try:
        key = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--api-key-file {file}: cannot be read ({error}); expected a file with one key.") from error
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
