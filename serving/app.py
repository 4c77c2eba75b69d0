"""The ASGI application: which path is whose, who may ask, and what is told, counted and logged of it."""

import asyncio
import functools
import hmac
import itertools
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from importlib import metadata as installed

import msgspec

from . import http, metrics, web_ui
from .client_error import ClientError
from .http import Message, Receive, Request, Response, Send
from .limits import Limits
from .model_repository import Repository
from .protocols import open_inference, openapi, tensorflow_serving, triton_extensions
from .routing import Route, match_route

LOG = logging.getLogger("kerasfound.serving")
ROUTES = (
    *tensorflow_serving.ROUTES,
    *triton_extensions.ROUTES,
    *open_inference.ROUTES,
    *web_ui.ROUTES,
    *openapi.ROUTES,
)
MAX_PATH = 512
HELD = 1 << 29
"""Bytes of bodies that all requests under way may have together."""

_ID = re.compile(rb"[!-~]{1,128}")


class App:
    """Answers both protocols from one repository.

    Args:
        repository: of models.
        limits: on what a client may ask.
        key: that a client must know, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; None lets everyone in.
        log: whether each answer is told on stdout, a line of JSON.
    """

    def __init__(self, repository: Repository, limits: Limits, key: str | None = None, log: bool = False):
        self.repository = repository
        self.limits = limits
        self.routes = ROUTES
        self.version = installed.version("kerasfound")
        self.draining = False
        self.held = 0
        self.may_hold = max(HELD, 2 * limits.body)
        self.under_way: Callable[[], int] = lambda: 2
        """How many requests there are; told by the server."""
        self.key = key and key.encode()
        self.log = self.must_log = log
        self._ids = map(f"{os.urandom(4).hex()}-{{:x}}".format, itertools.count())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request = Request(dict(scope["headers"]), receive)
        try:
            response = await self._answer(request, scope)
        except ClientError as error:
            response = http.error_response(error)
        except http.DisconnectedError:
            return
        except asyncio.CancelledError:  # uvicorn, when the grace after a signal to stop is over
            response = http.error_response(ClientError(503, "the server is stopping"))
        except Exception:
            LOG.exception("%s %r failed", scope["method"], scope["path"])
            response = http.error_response(ClientError(500, "the server failed on this request; its log says why"))
        given = request.headers.get(b"x-request-id", b"")
        if not _ID.fullmatch(given):
            given = next(self._ids).encode()
        extra = [(b"x-request-id", given)]
        if self.draining:
            extra.append((b"connection", b"close"))
        try:
            await http.send_response(await http.compress_response(response, request.headers), receive, send, extra)
        finally:
            seconds = time.perf_counter() - started
            metrics.answered(request.call, request.model, response.status, seconds)
            if self.log:
                self._tell(scope, response, given, seconds)

    async def _answer(self, request: Request, scope: Message) -> Response:
        if len(scope["path"]) > MAX_PATH:
            raise ClientError(414, f"a path of {len(scope['path'])} characters; at most {MAX_PATH} are read")
        route, named = _routed(scope["method"], scope["path"])
        request.call = route.handler.__name__
        if scope.get("state", {}).get("place", 0) > self.limits.connections and not route.open:
            reason = f"more than {self.limits.connections} connections, the limit of this server; try again"
            raise ClientError(503, reason, (("retry-after", "1"), ("connection", "close")))
        if named.get("name") in self.repository.models:
            request.model = named["name"]
        if self.key and not route.open:
            self._check_key(request.headers)
        try:
            if route.method == "POST":
                request.body = await http.read_body(request, self.limits, functools.partial(self._hold, request))
            request.alone = self.under_way() < 2
            return await route.handler(self, request, **named)
        finally:
            self.held -= request.reserved

    def count_queued(self) -> None:
        """Tell `/metrics` who waits."""
        models = self.repository.models.items()
        metrics.queued(
            {name: sum(each.statistics.waiting for each in found.versions.values()) for name, found in models}
        )

    def _hold(self, request: Request, size: int) -> None:
        request.reserved += size
        self.held += size
        if self.held > self.may_hold:
            reason = f"requests of {self.may_hold >> 20} MiB are under way, the limit of this server; try again"
            raise ClientError(429, reason, (("retry-after", "1"),))

    def _check_key(self, headers: dict[bytes, bytes]) -> None:
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        given = bearer.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        if not hmac.compare_digest(given, self.key or b""):
            reason = "a key is needed, as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
            raise ClientError(401, reason, (("www-authenticate", "Bearer"),))

    def _tell(self, scope: Message, response: Response, given: bytes, seconds: float) -> None:
        line = {
            "time": time.time(),
            "id": given.decode("latin-1"),
            "client": (scope.get("client") or [""])[0],
            "method": scope["method"],
            "path": scope["path"],
            "status": response.status,
            "milliseconds": round(1e3 * seconds, 3),
        }
        try:
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
            sys.stdout.flush()
        except OSError as error:  # whoever read the log has left
            self.log = False
            LOG.warning("no more access log: %s", error)


@functools.lru_cache(maxsize=4096)
def _routed(method: str, path: str) -> tuple[Route, dict[str, str]]:
    return match_route(ROUTES, method, path)
