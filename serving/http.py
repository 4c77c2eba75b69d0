"""HTTP: a request in, bounded in size and time, and a response out."""

import asyncio
import contextlib
import dataclasses
import re
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from .client_error import ClientError
from .limits import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON, BYTES, EVENTS = b"application/json", b"application/octet-stream", b"text/event-stream; charset=utf-8"
WORTH_COMPRESSING = 4096
"""Bytes; to compress less takes longer than to send it."""
WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}
MAX_DIGITS = 18
"""Of a number in a header."""
LONG = 1 << 18
"""Bytes; to read or to write more takes milliseconds, and other requests would wait for it."""

_UNWANTED = re.compile(rb";\s*q\s*=\s*0(\.0*)?\s*$")
_T = TypeVar("_T")


class DisconnectedError(Exception):
    """The client left before its request was whole."""


@dataclasses.dataclass(slots=True)
class Request:
    """What a client asks, and what is known of it when it is counted: never the client's own words."""

    headers: dict[bytes, bytes]
    receive: Receive
    """After the body nothing but the client's leave is left to come."""
    body: bytes = b""
    alone: bool = False
    """Whether no other request is under way."""
    held: int = 0
    """Bytes of its body so far, as they came."""
    call: str = ""
    model: str = ""


class Response(NamedTuple):
    """What it is told: bytes, or pieces of them as they come."""

    body: bytes | AsyncGenerator[bytes, None]
    kind: bytes = JSON
    status: int = 200
    headers: Headers = []  # noqa: RUF012 (of a NamedTuple, and never changed)


def json(answer: Any, status: int = 200, headers: Headers | None = None) -> Response:
    return Response(msgspec.json.encode(answer), JSON, status, headers or [])


def failed(error: ClientError) -> Response:
    return Response(error.body, JSON, error.status, [(key.encode(), value.encode()) for key, value in error.headers])


async def beside(long: bool, work: Callable[..., _T], *arguments: Any) -> _T:
    """What the work comes to; what takes long is done in a thread, beside the event loop."""
    return await asyncio.to_thread(work, *arguments) if long else work(*arguments)


async def read_body(request: Request, limits: Limits, hold: Callable[[int], None]) -> bytes:
    """The whole body, decompressed; `hold` is told of each part of it how many bytes it has.

    Raises:
        ClientError: 413 if it is too large, 415 if its encoding is not known, 400 if it is not what its headers say.
        DisconnectedError: if the client leaves, or is left because it is too slow.
    """
    encoding = request.headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding != b"identity" and encoding not in WINDOWS:
        raise ClientError(415, f"content encoding {encoding.decode('latin-1')!r}; expected gzip, deflate or none")
    # A length announced is judged before the body is sent; one that is not, while the body comes in.
    length = request.headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise ClientError(400, f"content-length is {length.decode('latin-1')!r}, expected a number of bytes")
    if len(length) > MAX_DIGITS or int(length) > limits.max_body_bytes:
        raise _too_large(limits)
    body = await _whole(request.receive, limits, hold)
    if encoding == b"identity":
        return body
    return await beside(len(body) > LONG, _decompressed, body, encoding, limits)


async def _whole(receive: Receive, limits: Limits, hold: Callable[[int], None]) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part = message.get("body", b"")
        parts.append(part)
        size, more = size + len(part), message.get("more_body", False)
        if size > limits.max_body_bytes:
            raise _too_large(limits)
        hold(len(part))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limits: Limits) -> ClientError:
    return ClientError(413, f"the body is larger than {limits.max_body_bytes >> 20} MiB, the limit of this server")


def _decompressed(body: bytes, encoding: bytes, limits: Limits) -> bytes:
    found = zlib.decompressobj(WINDOWS[encoding])
    try:
        whole = found.decompress(body, limits.max_body_bytes + 1)
    except zlib.error as error:
        raise ClientError(400, f"the body is not {encoding.decode()}: {error}") from None
    if len(whole) > limits.max_body_bytes:
        raise _too_large(limits)
    if not found.eof or found.unused_data:
        raise ClientError(400, f"the body is not one whole {encoding.decode()} stream")
    return whole


async def compressed(response: Response, headers: dict[bytes, bytes]) -> Response:
    """The response as small as the client wants it, where that pays."""
    body, wanted = response.body, headers.get(b"accept-encoding")
    if not wanted or not isinstance(body, bytes) or len(body) < WORTH_COMPRESSING:
        return response
    names = [part.partition(b";")[0].strip() for part in wanted.lower().split(b",") if not _UNWANTED.search(part)]
    encoding = next((name for name in WINDOWS if name in names), None)
    if encoding is None:
        return response
    packed = await beside(len(body) > LONG, _compressed, body, encoding)
    return response._replace(body=packed, headers=[*response.headers, (b"content-encoding", encoding)])


def _compressed(body: bytes, encoding: bytes) -> bytes:
    packing = zlib.compressobj(level=1, wbits=WINDOWS[encoding])
    return packing.compress(body) + packing.flush()


async def send_response(response: Response, receive: Receive, send: Send, extra: Headers) -> None:
    """Send it; what comes in pieces ends when the client leaves."""
    headers = [(b"content-type", response.kind), *response.headers, *extra]
    if isinstance(response.body, bytes):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(response.body, bytes):
        await send({"type": "http.response.body", "body": response.body})
        return
    async for piece in until_left(response.body, receive):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def until_left(pieces: AsyncGenerator[_T, None], receive: Receive) -> AsyncGenerator[_T, None]:
    """The pieces, for as long as the client is there."""
    leaving = asyncio.ensure_future(receive())
    try:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                if leaving.done():
                    break
                yield piece
    finally:
        leaving.cancel()
