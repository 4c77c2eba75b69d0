"""The ASGI application: for each request the route, the API key, the limits, the response, the metrics and the log."""

import asyncio
import functools
import hmac
import itertools
import logging
import os
import re
import sys
import time

import msgspec

from . import http, metrics, web_ui
from .client_error import ClientError
from .http import Message, Receive, Request, Response, Send
from .limits import Limits
from .model_repository import Repository
from .protocols import open_inference, openapi, tensorflow_serving, triton_extensions
from .routing import Route, match_route
from .state import ServerState

LOG = logging.getLogger("kerasfound.serving")
ROUTES = (
    *tensorflow_serving.ROUTES,
    *triton_extensions.ROUTES,
    *open_inference.ROUTES,
    *web_ui.ROUTES,
    *openapi.ROUTES,
)
MAX_PATH = 512
"""Characters of a path."""

_REQUEST_ID = re.compile(rb"[!-~]{1,128}")


class App:
    """Serves the models of one repository with all protocols.

    Args:
        repository: the models.
        limits: bounds on requests.
        api_key: the key that clients must send, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; None allows every
            client.
        access_log: whether each response is logged on stdout, as one line of JSON.
    """

    def __init__(self, repository: Repository, limits: Limits, api_key: str | None = None, access_log: bool = False):
        self.state = ServerState(repository, limits, ROUTES, api_key, access_log)
        self._request_ids = map(f"{os.urandom(4).hex()}-{{:x}}".format, itertools.count())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request = Request(dict(scope["headers"]), receive)
        try:
            response = await self._respond(request, scope)
        except ClientError as error:
            response = http.error_response(error)
        except http.DisconnectedError:
            return
        except asyncio.CancelledError:  # uvicorn cancels what still runs at the end of a graceful shutdown
            response = http.error_response(ClientError(503, "the server is stopping"))
        except Exception:
            LOG.exception("%s %r failed", scope["method"], scope["path"])
            response = http.error_response(ClientError(500, "internal server error; the server's log has the details"))
        request_id = request.headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = next(self._request_ids).encode()
        extra = [(b"x-request-id", request_id)]
        if self.state.draining:
            extra.append((b"connection", b"close"))
        try:
            await http.send_response(await http.compress_response(response, request.headers), receive, send, extra)
        finally:
            seconds = time.perf_counter() - started
            metrics.count_response(request.call, request.model, response.status, seconds)
            if self.state.access_log:
                self._log(scope, response, request_id, seconds)

    async def _respond(self, request: Request, scope: Message) -> Response:
        state = self.state
        if len(scope["path"]) > MAX_PATH:
            raise ClientError(414, f"the path has {len(scope['path'])} characters; expected at most {MAX_PATH}")
        route, named = _find_route(scope["method"], scope["path"])
        request.call = route.handler.__name__
        if scope.get("state", {}).get("place", 0) > state.limits.max_connections and not route.open:
            reason = f"more than {state.limits.max_connections} connections, the limit of this server; try again"
            raise ClientError(503, reason, (("retry-after", "1"), ("connection", "close")))
        if named.get("name") in state.repository.models:
            request.model = named["name"]
        if state.api_key and not route.open:
            _check_api_key(request.headers, state.api_key)
        try:
            if route.method == "POST":
                reserve = functools.partial(state.reserve_body, request)
                request.body = await http.read_body(request, state.limits, reserve)
            request.alone = state.count_in_flight() < 2
            return await route.handler(state, request, **named)
        finally:
            state.total_body_bytes -= request.reserved

    def _log(self, scope: Message, response: Response, request_id: bytes, seconds: float) -> None:
        line = {
            "time": time.time(),
            "id": request_id.decode("latin-1"),
            "client": (scope.get("client") or [""])[0],
            "method": scope["method"],
            "path": scope["path"],
            "status": response.status,
            "milliseconds": round(1e3 * seconds, 3),
        }
        try:
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
            sys.stdout.flush()
        except OSError as error:  # the reader of the log closed the pipe
            self.state.access_log = False
            LOG.warning("the access log stops: %s", error)


@functools.lru_cache(maxsize=4096)
def _find_route(method: str, path: str) -> tuple[Route, dict[str, str]]:
    return match_route(ROUTES, method, path)


def _check_api_key(headers: dict[bytes, bytes], api_key: bytes) -> None:
    scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
    sent = bearer.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
    if not hmac.compare_digest(sent, api_key):
        reason = "missing or wrong API key; send `Authorization: Bearer KEY` or `X-API-Key: KEY`"
        raise ClientError(401, reason, (("www-authenticate", "Bearer"),))
