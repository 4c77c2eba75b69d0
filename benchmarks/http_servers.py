"""Compare HTTP servers under the same application: speed, CPU time, and broken connections at shutdown.

    pip install granian hypercorn                         # kerasfound does not depend on them
    python benchmarks/http_servers.py models/mnist_cnn    # needs wrk

All servers run at the same time and take turns under each load. The table shows requests a second (`rate`) and CPU time
a request (`cpu`), divided by ours: median and quartiles over the rounds. A connection is broken if a request that was
sent on it gets no complete response.
"""

import contextlib
import http.client
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cyclopts
import uvicorn

from kerasfound.serving import uvicorn_server
from kerasfound.serving.app import App
from kerasfound.serving.http import Message, Receive, Send
from kerasfound.serving.limits import Limits
from kerasfound.serving.model_repository import Repository
from serving import Load, Model, Running, Server, install, running

cli = cyclopts.App()


class CountingApp(App):
    """Counts its requests in flight, which our HTTP server does for it."""

    num_in_flight = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.num_in_flight += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.num_in_flight -= 1


def serve_ours(app: App, port: int) -> None:
    server = uvicorn_server.Server(app)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.run(sockets=[socket.create_server(("127.0.0.1", port), backlog=2048)])


def serve_ours_without_filter(app: App, port: int) -> None:
    uvicorn_server.SO_ATTACH_FILTER = -1  # the kernel rejects this option
    serve_ours(app, port)


def serve_uvicorn(app: App, port: int) -> None:
    flags = {"lifespan": "off", "ws": "none", "access_log": False, "log_level": "error", "server_header": False}
    uvicorn.run(app, port=port, timeout_keep_alive=75, timeout_graceful_shutdown=5, **flags)


def serve_granian(app: App, port: int) -> None:
    from granian import Granian

    flags = {"interface": "asginl", "websockets": False, "log_enabled": False, "loop": "uvloop"}
    Granian("app", "127.0.0.1", port, **flags).serve(target_loader=lambda *_: app)


def serve_hypercorn(app: App, port: int) -> None:
    import uvloop
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind, config.loglevel, config.keep_alive_timeout = [f"127.0.0.1:{port}"], "ERROR", 75
    uvloop.run(serve(app, config))


SERVERS = {
    "ours": serve_ours,
    "ours without the packet filter": serve_ours_without_filter,
    "uvicorn, public API": serve_uvicorn,
    "granian": serve_granian,
    "hypercorn": serve_hypercorn,
}


@cli.command
def start(name: str, repository: Path, port: int) -> None:
    """Serve a repository with one of the servers."""
    with tempfile.TemporaryDirectory() as folder:
        app = CountingApp(Repository(repository, Limits(), ThreadPoolExecutor(64), Path(folder), "latest"), Limits())
        app.state.count_in_flight = lambda: app.num_in_flight
        SERVERS[name](app, port)


def run_server(name: str, model: Model) -> contextlib.AbstractContextManager[Running]:
    def command(bin: Path, model: Model, port: int, folder: Path) -> list:
        return [bin / "python", __file__, "start", name, model.folder.parent, port]

    return running(Server(install, command), Path(sys.executable).parent, model)


def send_until_refused(server: Running, keep_alive: bool) -> Counter:
    """Send requests one after another until the server refuses a connection; count requests and broken ones."""
    body, headers = server.model.bodies[1, False][0].read_bytes(), {} if keep_alive else {"Connection": "close"}
    connection, counts = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10), Counter()
    while True:
        try:
            connection.request("POST", server.path, body, headers)  # connects again if the server closed
            connection.getresponse().read()
        except ConnectionRefusedError:
            return counts
        except (OSError, http.client.HTTPException):
            counts["broken"] += 1
            connection.close()
        counts["requests"] += 1


def count_broken(name: str, model: Model, stops: int) -> Counter:
    """Stop a server several times under 8 clients that keep their connections and 4 that do not."""
    counts = Counter()
    for _ in range(stops):
        with run_server(name, model) as server, ThreadPoolExecutor(12) as threads:
            clients = [threads.submit(send_until_refused, server, keep_alive=i < 8) for i in range(12)]
            time.sleep(1)
            server.process.terminate()
            counts.update(sum((client.result() for client in clients), Counter()))
    return counts


def format_ratio(theirs: list[dict], ours: list[dict], key: str) -> str:
    ratios = [server[key] / reference[key] for server, reference in zip(theirs, ours, strict=True)]
    return "{1:.2f} ({0:.2f} to {2:.2f})".format(*statistics.quantiles(ratios, n=4, method="inclusive"))


@cli.default
def main(model: Path, rounds: int = 18, seconds: int = 1, stops: int = 12) -> None:
    """Print one table.

    Args:
        model: its folder in an export, such as models/mnist_cnn.
        rounds: turns of each server under each load.
        seconds: length of each turn.
        stops: SIGTERMs for each server.
    """
    results: dict = {(name, connections): [] for name in SERVERS for connections in (1, 64)}
    columns = [(connections, key) for connections in (1, 64) for key in ("rate", "cpu")]
    with tempfile.TemporaryDirectory() as folder:
        served = Model(model, Path(folder))
        with contextlib.ExitStack() as stack:
            servers = {name: stack.enter_context(run_server(name, served)) for name in SERVERS}
            for _ in range(rounds):
                for (name, connections), measured in results.items():
                    measured.append(servers[name].run_load(Load(connections, 1), seconds))
        print(f"| | {' | '.join(f'{key}, connections: {count}' for count, key in columns)} | broken |\n{'|---' * 6}|")
        for name in SERVERS:
            cells = [format_ratio(results[name, count], results["ours", count], key) for count, key in columns]
            counts = count_broken(name, served, stops)
            print(f"| {name} | {' | '.join(cells)} | {counts['broken']} of {counts['requests']} |", flush=True)


if __name__ == "__main__":
    cli()
