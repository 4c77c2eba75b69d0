"""One process that serves: uvicorn, the watch over the folder, and the way down without a broken answer."""

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
"""How long requests under way may take after a signal to stop."""
QUIET_SECONDS = 0.3
"""A connection that is kept alive, and silent for so long while the server stops, is let go of."""
FIRST_SECONDS = 2.0
"""The same for one that has sent nothing yet: who connects is about to ask."""
ACCEPT_SECONDS = 0.2
"""Enough to accept every connection that the kernel was making when it was told to make no more."""
LAST_SECONDS = 8
"""Whatever a model is still computing so long after a signal to stop, for nobody, ends with the process."""
WATCH_SECONDS = 1.0
"""Between two looks at the folder."""
HEAD_SECONDS = 20
"""How long the head of a request may take to come."""
HEAD_BYTES = 1 << 16
REST_SECONDS = 5
"""How long what is left of a body may take to come when it was refused: who still sends reads no answer."""
READ_SECONDS = 20
"""How long a client may read nothing of an answer that waits for it."""
KEEP_ALIVE_SECONDS = 75
"""Longer than proxies keep a connection, 60 as a rule: who closes first is never surprised by a request."""

SO_ATTACH_FILTER = 26
NO_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""For the kernel: of the flags at byte 13 of a TCP head take SYN and ACK; if SYN is alone drop the packet, else not."""


class Connection(HttpToolsProtocol):
    """Closes when a request does not come in time, or its head does not end, and when an answer is not read.

    All else is bounded by uvicorn, or by `web`.
    """

    awaited: tuple[str, object] = ("", None)
    """What it waited for when it was looked at last, and of what."""
    since = 0.0
    head = 0
    """Bytes so far of the head that is coming."""
    heading: HTTPScope | None = None
    """What uvicorn makes of that head."""
    asking: RequestResponseCycle | None = None
    """The request under way; uvicorn's own `cycle` is the last one that came."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn's own limit would turn away those who came before, too, and in no protocol's words
        self.app_state = {"place": len(self.connections)}
        self.patience = {
            "head": HEAD_SECONDS,
            "body": cast(App, self.app).state.limits.timeout_seconds,
            "answer": math.inf,
            "rest": REST_SECONDS,
            "reading": READ_SECONDS,
            "request": KEEP_ALIVE_SECONDS,
        }

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.asking:
            self.asking.disconnected = True
            self.asking.message_event.set()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head() and not self.transport.is_closing():
            # of the part that it begins in, it may be the least
            self.head = self.head + len(data) if self.heading is self.scope else 0
            self.heading = self.scope
            if self.head > HEAD_BYTES:
                self._refuse(431, f"the head of the request is longer than {HEAD_BYTES} bytes")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.asking = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.cycle.more_body = False  # which uvicorn leaves as it was once the answer went out

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def look(self, now: float) -> None:
        """Give up a client that lets one wait for too long for the same thing."""
        what, _ = awaited = self._awaited()
        if awaited != self.awaited:
            self.awaited, self.since = awaited, now
        elif now > self.since + self.patience[what]:
            self.since = now
            if what in ("head", "body") and self.scope and not self.transport.is_closing():
                self._refuse(408, f"the {what} of the request did not come within {self.patience[what]:g} seconds")
            else:
                self.transport.abort()

    def _awaited(self) -> tuple[str, object]:
        if self.flow.write_paused:
            return "reading", self.transport.get_write_buffer_size()
        if self.asking and not self.asking.response_complete:
            return "body" if self.asking.more_body else "answer", self.asking
        if self._in_head():
            return "head", self.cycle
        return "rest" if self.cycle.more_body else "request", self.cycle

    def _in_head(self) -> bool:
        return self.scope is None or "method" not in self.scope

    def _refuse(self, status: int, reason: str) -> None:
        body = ClientError(status, reason).body
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


class Server(uvicorn.Server):
    """Watches the folder; stops by answering whom it owes an answer, and telling each client to come no more."""

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
            proxy_headers=False,  # nothing but the log would know the difference
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self.application = app
        app.state.count_in_flight = self.server_state.tasks.__len__
        self._last = threading.Timer(LAST_SECONDS, _abandon)
        self._last.daemon = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`."""
        try:
            super().run(sockets)
            self.application.state.repository.threads.shutdown()
        finally:
            self._last.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever runs the server says when it ends; uvicorn would take the signals of several workers, too."""
        yield

    def stop(self) -> None:
        """Come to an end; asked a second time, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # modules and models stay; to look through them for garbage would take milliseconds each time
        self._watching = asyncio.create_task(self._watch())

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        self.application.state.count_queued()
        now = asyncio.get_running_loop().time()
        for each in list(self.server_state.connections):
            if isinstance(each, Connection):
                each.look(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._last.start()
        self._watching.cancel()
        self.application.state.draining = True
        await self._close(sockets or [])
        await self._drain()
        await super().shutdown(sockets)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await asyncio.to_thread(self.application.state.repository.refresh)
            except Exception:
                LOG.exception("the folder of models could not be looked at")

    async def _close(self, sockets: list[socket.socket]) -> None:
        """Stop listening. What the kernel accepted and we did not would be broken by that, so it is accepted first."""
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in NO_SYN))
        for listening in sockets if sys.platform == "linux" else []:
            with contextlib.suppress(OSError):
                value = struct.pack("HP", len(NO_SYN), ctypes.addressof(program))
                listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, value)
        await asyncio.sleep(ACCEPT_SECONDS)
        for server in self.servers:
            server.close()

    async def _drain(self) -> None:
        """Answer until every client has been told that its connection closes, or is silent."""
        state, now = self.server_state, asyncio.get_running_loop().time
        end, last, asked = now() + GRACE_SECONDS, now(), state.total_requests
        while state.connections and not self.force_exit:
            connections = [each for each in state.connections if isinstance(each, Connection)]
            sending = any(each.transport.get_write_buffer_size() for each in connections)
            if sending or state.tasks or state.total_requests != asked:
                last, asked = now(), state.total_requests
            new = any(each.cycle is None for each in connections)
            if now() > min(end, last + (FIRST_SECONDS if new else QUIET_SECONDS)):
                break
            await asyncio.sleep(0.02)


def _abandon() -> None:
    print("kerasfound: stopped while a model was still computing, for nobody", file=sys.stderr, flush=True)
    os._exit(0)
