"""The ASGI application: which path is whose, how much may come in, and how errors go out."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from kerasfound.serving import v1, v2
from kerasfound.serving.errors import ClientError
from kerasfound.serving.repository import Repository

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOG = logging.getLogger("kerasfound.serving")

_ROUTES = [(re.compile(path), *route) for path, route in (v1.ROUTES | v2.ROUTES).items()]


class Disconnected(Exception):  # noqa: N818 (an event rather than an error)
    """The client left before its request was whole."""


class App:
    """Answers both protocols from one repository; both write an error as `{"error": "one line"}`."""

    def __init__(self, repository: Repository, max_body: int):
        self.repository = repository
        self.max_body = max_body

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        status, headers = 200, [("content-type", "application/json")]
        try:
            body = msgspec.json.encode(await self._answer(scope, receive))
        except ClientError as error:
            status, body = error.status, _error(error.reason)
            headers += error.headers
        except Disconnected:
            return
        except asyncio.CancelledError:  # uvicorn, when the grace after a signal to stop is over
            status, body = 503, _error("the server is stopping")
        except Exception:
            LOG.exception("%s %r failed", scope["method"], scope["path"])
            status, body = 500, _error("the server failed on this request; its log says why")
        headers += [("content-length", str(len(body)))]
        await send(
            {"type": "http.response.start", "status": status, "headers": [(k.encode(), v.encode()) for k, v in headers]}
        )
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Message, receive: Receive) -> dict:
        path, method = scope["path"], scope["method"]
        for pattern, expected, handler in _ROUTES:
            if match := pattern.fullmatch(path):
                if method != expected:
                    raise ClientError(405, f"{path!r} takes {expected}, not {method}", (("allow", expected),))
                if method == "POST":
                    return handler(self.repository, **match.groupdict(), body=await self._body(scope, receive))
                return handler(self.repository, **match.groupdict())
        raise ClientError(404, f"nothing at {path!r}; see /v1/models/NAME or /v2/models/NAME")

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        headers = dict(scope["headers"])
        encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
        if encoding.strip().lower() != "identity":
            raise ClientError(415, f"content encoding {encoding!r} is not supported; send the body as it is")
        v2.refuse_binary(headers)
        # A length announced is judged before the body is sent; one that is not, while the body comes in.
        body, size, more = bytearray(), int(headers.get(b"content-length", 0)), True
        while more and size <= self.max_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            body += message.get("body", b"")
            size, more = max(size, len(body)), message.get("more_body", False)
        if size > self.max_body:
            raise ClientError(413, f"the body is larger than {self.max_body >> 20} MiB, the limit of this server")
        return bytes(body)


def _error(reason: str) -> bytes:
    return msgspec.json.encode({"error": reason})
