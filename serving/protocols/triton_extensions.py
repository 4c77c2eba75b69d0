"""Triton's extensions of the Open Inference Protocol: config, statistics, the repository, generate, settings.

https://github.com/triton-inference-server/server/tree/main/docs/protocol

What is not here is told as it is: traces are off, shared memory holds no region and takes none.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from kerasfound.bundle.manifest import Tensor

from .. import http
from ..client_error import ClientError
from ..http import Request, Response
from ..metrics import Duration
from ..model import Model
from ..routing import Route, versioned_routes
from ..tensor_codec import decode
from ..text_generation import Wish
from .open_inference import NO_SHARED_MEMORY, declared

if TYPE_CHECKING:
    from ..app import App

LOGGING = {"log_file": "", "log_info": True, "log_warning": True, "log_error": True, "log_format": "default"}
"""What is so, and cannot be changed."""
TRACES = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "triton",
}


class GenerateRequest(Wish, frozen=True, kw_only=True):
    """A text to go on from, and how: here, or in `parameters`."""

    text_input: str
    id: str | None = None
    parameters: Wish = Wish()


class LoadRequest(msgspec.Struct):
    """No parameters: the folder says everything."""

    parameters: dict[str, Any] = {}


class IndexRequest(msgspec.Struct):
    """`ready`: only what is served."""

    ready: bool = False


Settings = dict[str, Any]

_INDEX = msgspec.json.Decoder(IndexRequest)
_LOAD = msgspec.json.Decoder(LoadRequest)
_SETTINGS = msgspec.json.Decoder(Settings)


async def config(app: "App", request: Request, **which: str) -> Response:
    """A model's settings as Triton names them."""
    found = app.repository.get(**which)
    return http.json(
        {
            "name": found.name,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "version_policy": {"specific": {"versions": [*app.repository.served(found.name).versions]}},
            "max_batch_size": app.limits.batch_rows if found.queue.together else 0,
            "input": _configured(found.inputs, found.queue.together),
            "output": _configured(found.outputs.values(), found.queue.together),
            "dynamic_batching": {"max_queue_size": app.limits.queue},
        }
    )


async def statistics(app: "App", request: Request, **which: str) -> Response:
    """How often, how long and how many rows at once each model was asked."""
    return http.json({"model_stats": [_statistics(model) for model in app.repository.meant(**which)]})


async def index(app: "App", request: Request) -> Response:
    """Every version that is served, and every one that is refused with the reason."""
    asked = decode(_INDEX, request.body or b"{}", "the request")
    return http.json(
        [
            {
                "name": found.name,
                "version": found.version,
                "state": "READY" if found.ready else "UNAVAILABLE",
                "reason": found.reason,
            }
            for found in app.repository.index()
            if found.ready or not asked.ready
        ]
    )


async def load(app: "App", request: Request, name: str) -> Response:
    """Look at a model's folder again, at once."""
    asked = decode(_LOAD, request.body or b"{}", "the request")
    if asked.parameters:
        raise ClientError(400, "a model is loaded as its folder has it; expected no parameters")
    await asyncio.to_thread(app.repository.load, name)
    return http.json({})


async def unload(app: "App", request: Request, name: str) -> Response:
    """Put a model away."""
    await asyncio.to_thread(app.repository.unload, name)
    return http.json({})


async def generate(app: "App", request: Request, **which: str) -> Response:
    """Write a text on."""
    about, pieces = await _written(app, request, **which)
    text = "".join([piece async for piece in http.until_disconnect(pieces, request.receive)])
    return http.json(about | {"text_output": text})


async def generate_stream(app: "App", request: Request, **which: str) -> Response:
    """Write a text on, each character as soon as it is there, as server-sent events."""
    about, pieces = await _written(app, request, **which)

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            async for piece in pieces:
                yield b"data: " + msgspec.json.encode(about | {"text_output": piece}) + b"\n\n"
        except ClientError as error:
            yield b"data: " + msgspec.json.encode({"error": error.reason}) + b"\n\n"

    return Response(events(), http.EVENTS, headers=[(b"cache-control", b"no-store")])


async def _written(app: "App", request: Request, **which: str) -> tuple[dict[str, str], AsyncGenerator[str, None]]:
    found = app.repository.get(**which)
    if found.writer is None:
        raise ClientError(400, f"model {found.name!r} does not write texts; ask it with /infer")
    given = decode(_SETTINGS, request.body, "the request")
    try:
        asked = msgspec.convert({**given.pop("parameters", {}), **given}, GenerateRequest)
    except (msgspec.ValidationError, TypeError) as error:  # TypeError: `parameters` is no object
        raise ClientError(400, f"the request: {error}") from None
    if asked.max_tokens > app.limits.text:
        raise ClientError(400, f"max_tokens is {asked.max_tokens}, at most {app.limits.text} are written")
    end = time.monotonic() + app.limits.seconds
    characters = await asyncio.to_thread(found.writer.write, asked.text_input, asked)

    async def pieces() -> AsyncGenerator[str, None]:
        while (piece := await asyncio.to_thread(next, characters, None)) is not None:
            yield piece
            if time.monotonic() > end:
                reason = f"the text was not written within {app.limits.seconds:g} seconds; ask for fewer characters"
                raise ClientError(504, reason)

    about = {"model_name": found.name, "model_version": str(found.version)}
    return about | ({} if asked.id is None else {"id": asked.id}), pieces()


async def log_settings(app: "App", request: Request) -> Response:
    """What is logged; `log_verbose_level` above 0 is a line for each answer of this process, and can be set."""
    asked = decode(_SETTINGS, request.body or b"{}", "the request")
    level = asked.pop("log_verbose_level", None)
    if not (level is None or (type(level) is int and level >= 0)):
        raise ClientError(400, f"log_verbose_level is {level!r}, expected a whole number of at least 0")
    _refuse_change(asked, LOGGING)
    if level == 0 and app.must_log:
        raise ClientError(400, "log_verbose_level is 1 here, by --access-log, and cannot be set to 0")
    if level is not None:
        app.log = level > 0
    return http.json(LOGGING | {"log_verbose_level": int(app.log)})


async def trace_settings(app: "App", request: Request, **which: str) -> Response:
    """Traces are off, and stay so."""
    app.repository.meant(**which)
    _refuse_change(decode(_SETTINGS, request.body or b"{}", "the request"), TRACES)
    return http.json(TRACES)


def _refuse_change(asked: Settings, now: Settings) -> None:
    for name, value in asked.items():
        if value is not None and value != now.get(name):
            raise ClientError(400, f"{name!r} is {now.get(name)!r} here, and cannot be set to {value!r}")


async def regions(app: "App", request: Request) -> Response:
    """Regions of shared memory: none."""
    return http.json([])


async def region(app: "App", request: Request, region: str) -> Response:
    """A region of shared memory: there is none."""
    raise ClientError(404, f"no region {region!r}; there is no shared memory here")


async def register(app: "App", request: Request, region: str) -> Response:
    """Shared memory is not taken."""
    raise ClientError(400, NO_SHARED_MEMORY)


async def unregister(app: "App", request: Request, region: str = "") -> Response:
    """Let go of shared memory: there is none."""
    return http.json({})


def _configured(tensors: Iterable[Tensor], batched: bool) -> list[dict]:
    return [
        {
            "name": each["name"],
            "data_type": "TYPE_" + each["datatype"].replace("BYTES", "STRING"),
            **({"dims": sizes} if sizes else {"dims": [1], "reshape": {"shape": []}}),
        }
        for each in declared(tensors)
        for sizes in [each["shape"][batched:]]
    ]


def _statistics(model: Model) -> dict:
    found = model.statistics
    return {
        "name": model.name,
        "version": str(model.version),
        "last_inference": int(1e3 * found.last),
        "inference_count": found.rows,
        "execution_count": sum(each.count for each in found.batches.values()),
        "inference_stats": {
            "success": _duration(found.success),
            "fail": _duration(found.fail),
            "queue": _duration(found.queue),
            "compute_infer": _duration(found.inference),
            **dict.fromkeys(["compute_input", "compute_output", "cache_hit", "cache_miss"], _duration(Duration())),
        },
        "batch_stats": [
            {"batch_size": rows, "compute_infer": _duration(each)} for rows, each in sorted(found.batches.items())
        ],
    }


def _duration(found: Duration) -> dict:
    return {"count": found.count, "ns": int(1e9 * found.seconds)}


_MODEL = "/v2/models/{name}"

ROUTES: list[Route] = [
    *versioned_routes("POST", _MODEL + "/generate", generate, GenerateRequest),
    *versioned_routes(
        "POST", _MODEL + "/generate_stream", generate_stream, GenerateRequest, content_types=(http.EVENTS,)
    ),
    Route("GET", "/v2/models/stats", statistics),
    *versioned_routes("GET", _MODEL + "/stats", statistics),
    *versioned_routes("GET", _MODEL + "/config", config),
    Route("POST", "/v2/repository/index", index, IndexRequest, optional=True),
    Route("POST", "/v2/repository/models/{name}/load", load, LoadRequest, optional=True),
    Route("POST", "/v2/repository/models/{name}/unload", unload),
]
for _path, _handler in (
    ("/v2/logging", log_settings),
    ("/v2/trace/setting", trace_settings),
    (_MODEL + "/trace/setting", trace_settings),
):
    ROUTES += [Route("GET", _path, _handler), Route("POST", _path, _handler, Settings, optional=True)]
for _kind in ("system", "cuda"):
    _memory = f"/v2/{_kind}sharedmemory"
    ROUTES += [
        Route("GET", f"{_memory}/status", regions),
        Route("GET", f"{_memory}/region/{{region}}/status", region),
        Route("POST", f"{_memory}/region/{{region}}/register", register),
        Route("POST", f"{_memory}/region/{{region}}/unregister", unregister),
        Route("POST", f"{_memory}/unregister", unregister),
    ]
