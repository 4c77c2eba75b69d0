"""HTTP requests with a bounded body, and HTTP responses."""

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
"""Bytes; compressing a smaller body takes longer than sending it."""
WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}
MAX_DIGITS = 18
"""Of a number in a header, so that it fits into 64 bits."""
LONG = 1 << 18
"""Bytes; reading or writing a longer body takes milliseconds, in which the event loop would serve no other request."""

_REFUSED_ENCODING = re.compile(rb";\s*q\s*=\s*0(\.0*)?\s*$")
_T = TypeVar("_T")


class DisconnectedError(Exception):
    """The client disconnected before its request was complete."""


@dataclasses.dataclass(slots=True)
class Request:
    """A request, with the names under which it is counted; these never contain text from the client."""

    headers: dict[bytes, bytes]
    receive: Receive
    """After the body it returns only the message that the client disconnected."""
    body: bytes = b""
    alone: bool = False
    """Whether no other request is in flight."""
    reserved: int = 0
    """Bytes of the body so far, before decompression."""
    call: str = ""
    """The name of the handler."""
    model: str = ""
    """The name of the model, if it is in the repository."""


class Response(NamedTuple):
    """A response whose body is bytes, or a stream of bytes."""

    body: bytes | AsyncGenerator[bytes, None]
    content_type: bytes = JSON
    status: int = 200
    headers: Headers = []  # noqa: RUF012 (the field of a NamedTuple, never changed)


def json(content: Any, status: int = 200, headers: Headers | None = None) -> Response:
    return Response(msgspec.json.encode(content), JSON, status, headers or [])


def error_response(error: ClientError) -> Response:
    return Response(error.body, JSON, error.status, [(key.encode(), value.encode()) for key, value in error.headers])


async def run_in_thread_if_long(is_long: bool, function: Callable[..., _T], *arguments: Any) -> _T:
    """Call the function: in a thread if it takes long, so that the event loop goes on, and directly otherwise."""
    return await asyncio.to_thread(function, *arguments) if is_long else function(*arguments)


async def read_body(request: Request, limits: Limits, reserve: Callable[[int], None]) -> bytes:
    """Return the complete body, decompressed. For each part, `reserve` is called with its number of bytes.

    Raises:
        ClientError: 413 if the body is too large, 415 if its encoding is unknown, 400 if it contradicts its headers.
        DisconnectedError: if the client disconnects, or the server closes the connection because it is too slow.
    """
    encoding = request.headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding != b"identity" and encoding not in WINDOWS:
        raise ClientError(415, f"content encoding {encoding.decode('latin-1')!r}; expected gzip, deflate or none")
    # A declared length is checked before the body arrives; without one, the size is checked while the body arrives.
    length = request.headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise ClientError(400, f"content-length is {length.decode('latin-1')!r}, expected a number of bytes")
    if len(length) > MAX_DIGITS or int(length) > limits.max_body_bytes:
        raise _too_large(limits)
    body = await _receive_body(request.receive, limits, reserve)
    if encoding == b"identity":
        return body
    return await run_in_thread_if_long(len(body) > LONG, _decompress, body, encoding, limits)


async def _receive_body(receive: Receive, limits: Limits, reserve: Callable[[int], None]) -> bytes:
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
        reserve(len(part))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limits: Limits) -> ClientError:
    return ClientError(413, f"the body is larger than {limits.max_body_bytes >> 20} MiB, the limit of this server")


def _decompress(body: bytes, encoding: bytes, limits: Limits) -> bytes:
    decompressor = zlib.decompressobj(WINDOWS[encoding])
    try:
        content = decompressor.decompress(body, limits.max_body_bytes + 1)
    except zlib.error as error:
        raise ClientError(400, f"the body is not {encoding.decode()}: {error}") from None
    if len(content) > limits.max_body_bytes:
        raise _too_large(limits)
    if not decompressor.eof or decompressor.unused_data:
        raise ClientError(400, f"the body is not exactly one complete {encoding.decode()} stream")
    return content


async def compress_response(response: Response, headers: dict[bytes, bytes]) -> Response:
    """Compress the body with an encoding that the client accepts, unless the body is small or a stream."""
    body, accepted = response.body, headers.get(b"accept-encoding")
    if not accepted or not isinstance(body, bytes) or len(body) < WORTH_COMPRESSING:
        return response
    names = [
        part.partition(b";")[0].strip() for part in accepted.lower().split(b",") if not _REFUSED_ENCODING.search(part)
    ]
    encoding = next((name for name in WINDOWS if name in names), None)
    if encoding is None:
        return response
    compressed = await run_in_thread_if_long(len(body) > LONG, _compress, body, encoding)
    return response._replace(body=compressed, headers=[*response.headers, (b"content-encoding", encoding)])


def _compress(body: bytes, encoding: bytes) -> bytes:
    compressor = zlib.compressobj(level=1, wbits=WINDOWS[encoding])
    return compressor.compress(body) + compressor.flush()


async def send_response(response: Response, receive: Receive, send: Send, extra: Headers) -> None:
    """Send the response; a stream ends early if the client disconnects."""
    headers = [(b"content-type", response.content_type), *response.headers, *extra]
    if isinstance(response.body, bytes):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(response.body, bytes):
        await send({"type": "http.response.body", "body": response.body})
        return
    async for piece in until_disconnect(response.body, receive):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def until_disconnect(pieces: AsyncGenerator[_T, None], receive: Receive) -> AsyncGenerator[_T, None]:
    """Yield the pieces until the client disconnects."""
    disconnect = asyncio.ensure_future(receive())
    try:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                if disconnect.done():
                    break
                yield piece
    finally:
        disconnect.cancel()
