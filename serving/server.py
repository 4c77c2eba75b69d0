"""From a folder of bundles to a listening port, and back down on a signal."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

from kerasfound.errors import UserError

GRACE_SECONDS = 3
"""How long requests under way may take after a signal to stop."""


def serve(repository: str, host: str = "127.0.0.1", port: int = 8501, max_body_mib: int = 16) -> None:
    """Answer predictions over HTTP from exported models, until Ctrl-C.

    Speaks TensorFlow Serving's REST (`/v1/models/NAME:predict`) and the Open Inference Protocol
    (`/v2/models/NAME/infer`). The newest version of each model answers unless the path asks for another.

    Args:
        repository: Folder of exported models, as written by `kerasfound export RUN --to models/`.
        host: Address to listen at. The default is for this machine only; `0.0.0.0` is for everyone who can reach it.
        port: TCP port to listen at; 0 takes a free one and prints it.
        max_body_mib: Largest request body accepted, in MiB.

    Raises:
        UserError: if the port cannot be had, or the folder holds nothing that can be served.
    """
    if max_body_mib < 1:
        raise UserError(f"--max-body-mib {max_body_mib}: expected at least 1.")
    with _listen(host, port) as listener, _on_signal(_leave):
        try:
            import uvicorn

            from kerasfound.serving.app import App
            from kerasfound.serving.repository import Repository
        except ImportError as error:
            raise UserError(f"serving needs {error.name}; pip install 'kerasfound[serving]'.") from error
        models = Repository(repository)
        config = uvicorn.Config(
            App(models, max_body_mib << 20),
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = uvicorn.Server(config)

        def stop() -> None:
            server.should_exit = True

        # uvicorn raises the signal again after it has stopped; it must find this and not the default, which kills.
        with _on_signal(stop):
            address = f"[{host}]" if ":" in host else host
            print(f"kerasfound: serving {models} at http://{address}:{listener.getsockname()[1]}", flush=True)
            server.run(sockets=[listener])


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
