"""One process that serves: uvicorn, the watch over the folder, and the way down without a broken answer."""

import asyncio
import socket
import sys

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kerasfound.errors import UserError
from kerasfound.serving.app import App

GRACE_SECONDS = 5
"""How long requests under way may take after a signal to stop."""
QUIET_SECONDS = 0.3
"""A connection that is kept alive, and silent for so long while the server stops, is let go of."""
WATCH_SECONDS = 1.0
"""Between two looks at the folder."""
HEAD_SECONDS = 20
"""How long the head of a request may take to come."""


class Connection(HttpToolsProtocol):
    """Closes when the head of a request does not come in time; all else is bounded by uvicorn, or by `web`."""

    waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        if self.waiting:
            self.waiting.cancel()
        super().on_headers_complete()

    def _wait(self) -> None:
        if self.waiting:
            self.waiting.cancel()
        self.waiting = self.loop.call_later(HEAD_SECONDS, self.transport.close)


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
            limit_concurrency=app.limits.connections,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self.application = app
        app.under_way = self.server_state.tasks.__len__

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._watching = asyncio.create_task(self._watch())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._watching.cancel()
        self.application.draining = True
        await self._drain()
        await super().shutdown(sockets)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await asyncio.to_thread(self.application.repository.refresh)
            except UserError as error:  # the folder is away, for a moment or for good: what is open goes on
                print(f"kerasfound: {error}", file=sys.stderr, flush=True)

    async def _drain(self) -> None:
        """Answer until every client has been told that its connection closes, or is silent."""
        for listening in self.servers:
            listening.close()
        state, now = self.server_state, asyncio.get_running_loop().time
        end, quiet, asked = now() + GRACE_SECONDS, now(), state.total_requests
        while state.connections and now() < min(end, quiet + QUIET_SECONDS) and not self.force_exit:
            await asyncio.sleep(0.02)
            if state.tasks or state.total_requests != asked:
                quiet, asked = now(), state.total_requests
