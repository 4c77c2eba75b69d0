"""One serving process: uvicorn, the watch over the model folder, and a shutdown that breaks no connection.

uvicorn is pinned to one version, because `Connection` builds on private parts of it: `HttpToolsProtocol` with its
`cycle`, `scope`, `flow` and `_start_asgi_task`, and `RequestResponseCycle`. They limit the size and time of a
request's head, the time of its body, and the time in which a client reads nothing of its response.

The alternatives lack these limits and break connections. With uvicorn's public API, 144 of 44,467 requests broke in 12
shutdowns under load, with granian 19 of 29,084, with hypercorn 98 of 22,799; with this module 0 of 44,219, but 115 of
51,130 without the packet filter. See "Which HTTP server" in `benchmarks/RESULTS.md`.
"""

import asyncio
import contextlib
import ctypes
import gc
import logging
import math
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import cast

import uvicorn
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from .app import App
from .client_error import ClientError

LOG = logging.getLogger("kerasfound.serving")

GRACE_SECONDS = 5
"""How long requests in flight may take after a signal to stop."""
QUIET_SECONDS = 0.3
"""While the server stops, it closes a kept-alive connection that is silent for this long."""
FIRST_SECONDS = 2.0
"""The same for a connection that has sent nothing yet: its client is about to send a request."""
ACCEPT_SECONDS = 0.2
"""Enough to accept every connection that was in the kernel's queue when the packet filter was set."""
LAST_SECONDS = 8
"""The process ends this long after a signal to stop, even if a model is still computing."""
WATCH_SECONDS = 1.0
"""Time between two checks of the model folder."""
HEAD_SECONDS = 20
"""How long the head of a request may take to arrive."""
HEAD_BYTES = 1 << 16
REST_SECONDS = 5
"""How long the rest of a body may take to arrive after its request was refused."""
READ_SECONDS = 20
"""How long a client may read nothing while part of its response waits to be sent."""
KEEP_ALIVE_SECONDS = 75
"""Longer than common proxy keep-alives (usually 60), so the proxy closes first."""

SO_ATTACH_FILTER = 26
NO_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""A packet filter: load the flags (byte 13 of the TCP header), mask SYN and ACK, drop if only SYN is set, else pass."""


class Connection(HttpToolsProtocol):
    """A connection with limits on slow or long heads, slow bodies, unread responses and idle time.

    uvicorn and `http` enforce the other limits.
    """

    waiting_for: tuple[str, object] = ("", None)
    """The state at the last check: what the server waits for, and an object that changes when there is progress."""
    waiting_since = 0.0
    head_bytes = 0
    """Bytes of the current head so far."""
    head_scope: HTTPScope | None = None
    """The scope that uvicorn fills from the current head."""
    active_cycle: RequestResponseCycle | None = None
    """The cycle of the request in flight; uvicorn's own `cycle` is that of the last request that arrived."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn's own limit would also refuse older connections, and its response is not JSON
        self.app_state = {"place": len(self.connections)}
        self.time_limits = {
            "head": HEAD_SECONDS,
            "body": cast(App, self.app).state.limits.timeout_seconds,
            "response": math.inf,
            "rest": REST_SECONDS,
            "reading": READ_SECONDS,
            "request": KEEP_ALIVE_SECONDS,
        }

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.active_cycle:
            self.active_cycle.disconnected = True
            self.active_cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head() and not self.transport.is_closing():
            # of the chunk that a head starts in, an unknown part belongs to it: count from the next chunk on
            self.head_bytes = self.head_bytes + len(data) if self.head_scope is self.scope else 0
            self.head_scope = self.scope
            if self.head_bytes > HEAD_BYTES:
                self._refuse(431, f"the head of the request is longer than {HEAD_BYTES} bytes; send shorter headers")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.active_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.cycle.more_body = False  # uvicorn leaves it True if the response was sent before the body was complete

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def check_time_limit(self, now: float) -> None:
        """Close the connection if the server has waited for the same thing for too long."""
        what, _ = waiting_for = self._waits_for()
        limit = self.time_limits[what]
        if waiting_for != self.waiting_for:
            self.waiting_for, self.waiting_since = waiting_for, now
        elif now > self.waiting_since + limit:
            self.waiting_since = now
            if what in ("head", "body") and self.scope and not self.transport.is_closing():
                self._refuse(408, f"the {what} of the request did not arrive within {limit:g} seconds; send it again")
            else:
                self.transport.abort()

    def _waits_for(self) -> tuple[str, object]:
        if self.flow.write_paused:
            return "reading", self.transport.get_write_buffer_size()
        if self.active_cycle and not self.active_cycle.response_complete:
            return "body" if self.active_cycle.more_body else "response", self.active_cycle
        if self._is_in_head():
            return "head", self.cycle
        return "rest" if self.cycle.more_body else "request", self.cycle

    def _is_in_head(self) -> bool:
        return self.scope is None or "method" not in self.scope

    def _refuse(self, status: int, reason: str) -> None:
        body = ClientError(status, reason).body
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


class Server(uvicorn.Server):
    """A uvicorn server that watches the model folder and stops without breaking a response.

    While it stops, in-flight requests complete, and responses carry `Connection: close`.
    """

    def __init__(self, app: App):
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the application uses the client's address only in its access log
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self.application = app
        app.state.count_in_flight = self.server_state.tasks.__len__
        self._last_resort = threading.Timer(LAST_SECONDS, _end_process)
        self._last_resort.daemon = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`."""
        try:
            super().run(sockets)
            self.application.state.repository.threads.shutdown()
        finally:
            self._last_resort.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller of `run`: with several workers, the supervisor handles them."""
        yield

    def stop(self) -> None:
        """Stop gracefully; a second call stops at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # modules and models stay in memory; scanning them in each collection would take milliseconds
        self._watcher = asyncio.create_task(self._watch())

    async def on_tick(self, counter: int) -> bool:
        """Check the connections; uvicorn calls this ten times a second."""
        self.application.state.count_queued()
        now = asyncio.get_running_loop().time()
        for connection in self._connections():
            connection.check_time_limit(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._last_resort.start()
        self._watcher.cancel()
        self.application.state.draining = True
        await self._stop_listening(sockets or [])
        await self._drain()
        await super().shutdown(sockets)

    def _connections(self) -> list[Connection]:
        return [connection for connection in self.server_state.connections if isinstance(connection, Connection)]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await asyncio.to_thread(self.application.state.repository.refresh)
            except Exception:
                LOG.exception("cannot read the model folder")

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Close the listening sockets. Closing resets connections that wait in the kernel, so accept those first."""
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in NO_SYN))
        for listening in sockets if sys.platform == "linux" else []:
            with contextlib.suppress(OSError):
                value = struct.pack("HP", len(NO_SYN), ctypes.addressof(program))
                listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, value)
        await asyncio.sleep(ACCEPT_SECONDS)
        for server in self.servers:
            server.close()

    async def _drain(self) -> None:
        """Serve until every connection is closed or silent."""
        state, now = self.server_state, asyncio.get_running_loop().time
        end, last_activity, num_requests = now() + GRACE_SECONDS, now(), state.total_requests
        while state.connections and not self.force_exit:
            connections = self._connections()
            is_sending = any(connection.transport.get_write_buffer_size() for connection in connections)
            if is_sending or state.tasks or state.total_requests != num_requests:
                last_activity, num_requests = now(), state.total_requests
            has_new = any(connection.cycle is None for connection in connections)
            if now() > min(end, last_activity + (FIRST_SECONDS if has_new else QUIET_SECONDS)):
                break
            await asyncio.sleep(0.02)


def _end_process() -> None:
    print("kerasfound: stopped while a model was still computing; no client waits for it", file=sys.stderr, flush=True)
    os._exit(0)
