"""Triton's extensions of the Open Inference Protocol: config, statistics, repository, text generation, settings.

https://github.com/triton-inference-server/server/tree/main/docs/protocol

Traces and shared memory are not supported: traces are always off, and the list of shared memory regions is empty.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import msgspec

from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Tensor

from .. import http
from ..client_error import ClientError
from ..http import Request, Response
from ..metrics import Duration
from ..model import Model
from ..routing import Route, versioned_routes
from ..state import ServerState
from ..tensor_codec import decode
from ..text_generation import SamplingParameters
from .open_inference import NO_SHARED_MEMORY

LOGGING = {"log_file": "", "log_info": True, "log_warning": True, "log_error": True, "log_format": "default"}
"""Fixed values: clients can read but not change them."""
TRACES = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "triton",
}


class GenerateRequest(SamplingParameters, frozen=True, kw_only=True):
    """A prompt and sampling parameters, at the top level or in `parameters`."""

    text_input: str
    id: str | None = None
    parameters: SamplingParameters = SamplingParameters()


class LoadRequest(msgspec.Struct):
    """No parameters are supported: the model's folder defines everything."""

    parameters: dict[str, Any] = {}


class IndexRequest(msgspec.Struct):
    """`ready`: list only versions that are ready."""

    ready: bool = False


Settings = dict[str, Any]

_INDEX = msgspec.json.Decoder(IndexRequest)
_LOAD = msgspec.json.Decoder(LoadRequest)
_SETTINGS = msgspec.json.Decoder(Settings)


async def config(state: ServerState, request: Request, **which: str) -> Response:
    """The configuration of a model, with Triton's names."""
    model = state.repository.get(**which)
    return http.json(
        {
            "name": model.name,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "version_policy": {"specific": {"versions": [*state.repository.get_versions(model.name).versions]}},
            "max_batch_size": state.limits.max_batch_rows if model.batcher.batchable else 0,
            "input": _describe_tensors(model.inputs, model.batcher.batchable),
            "output": _describe_tensors(model.outputs.values(), model.batcher.batchable),
            "dynamic_batching": {"max_queue_size": state.limits.max_queue},
        }
    )


async def statistics(state: ServerState, request: Request, **which: str) -> Response:
    """Number, duration and batch size of the calls of each model."""
    return http.json({"model_stats": [_describe_statistics(model) for model in state.repository.select(**which)]})


async def index(state: ServerState, request: Request) -> Response:
    """Every served version, and every refused version with the reason."""
    parsed = decode(_INDEX, request.body or b"{}", "the request")
    return http.json(
        [
            {
                "name": version.name,
                "version": version.version,
                "state": "READY" if version.ready else "UNAVAILABLE",
                "reason": version.reason,
            }
            for version in state.repository.index()
            if version.ready or not parsed.ready
        ]
    )


async def load(state: ServerState, request: Request, name: str) -> Response:
    """Load a model from its folder now."""
    if decode(_LOAD, request.body or b"{}", "the request").parameters:
        raise ClientError(400, "loading takes no parameters: the model's folder defines everything")
    await asyncio.to_thread(state.repository.load, name)
    return http.json({})


async def unload(state: ServerState, request: Request, name: str) -> Response:
    """Stop serving a model."""
    await asyncio.to_thread(state.repository.unload, name)
    return http.json({})


async def generate(state: ServerState, request: Request, **which: str) -> Response:
    """Continue a prompt."""
    model_fields, pieces = await _start_generation(state, request, **which)
    text = "".join([piece async for piece in http.until_disconnect(pieces, request.receive)])
    return http.json(model_fields | {"text_output": text})


async def generate_stream(state: ServerState, request: Request, **which: str) -> Response:
    """Continue a prompt, and send each character immediately, as server-sent events."""
    model_fields, pieces = await _start_generation(state, request, **which)

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            async for piece in pieces:
                yield b"data: " + msgspec.json.encode(model_fields | {"text_output": piece}) + b"\n\n"
        except ClientError as error:
            yield b"data: " + msgspec.json.encode({"error": error.reason}) + b"\n\n"

    return Response(events(), http.EVENTS, headers=[(b"cache-control", b"no-store")])


async def _start_generation(
    state: ServerState, request: Request, **which: str
) -> tuple[dict[str, str], AsyncGenerator[str, None]]:
    model = state.repository.get(**which)
    if model.text_generator is None:
        raise ClientError(400, f"model {model.name!r} does not generate text; use /infer")
    fields = decode(_SETTINGS, request.body, "the request")
    try:
        parsed = msgspec.convert({**fields.pop("parameters", {}), **fields}, GenerateRequest)
    except (msgspec.ValidationError, TypeError) as error:  # TypeError: `parameters` is no object
        raise ClientError(400, f"the request: {error}") from None
    if parsed.max_tokens > state.limits.max_tokens:
        raise ClientError(400, f"max_tokens is {parsed.max_tokens}, expected at most {state.limits.max_tokens}")
    deadline = time.monotonic() + state.limits.timeout_seconds
    characters = await asyncio.to_thread(model.text_generator.generate, parsed.text_input, parsed)

    async def pieces() -> AsyncGenerator[str, None]:
        while (piece := await asyncio.to_thread(next, characters, None)) is not None:
            yield piece
            if time.monotonic() > deadline:
                reason = f"the text is not complete after {state.limits.timeout_seconds:g} seconds"
                raise ClientError(504, f"{reason}; request fewer characters")

    model_fields = {"model_name": model.name, "model_version": str(model.version)}
    return model_fields | ({} if parsed.id is None else {"id": parsed.id}), pieces()


async def log_settings(state: ServerState, request: Request) -> Response:
    """Log settings. `log_verbose_level` can be changed: above 0, this process logs one line for each response."""
    changes = decode(_SETTINGS, request.body or b"{}", "the request")
    level = changes.pop("log_verbose_level", None)
    if not (level is None or (type(level) is int and level >= 0)):
        raise ClientError(400, f"log_verbose_level is {level!r}, expected an integer of at least 0")
    _refuse_changes(changes, LOGGING)
    if level == 0 and state.access_log_required:
        raise ClientError(400, "--access-log keeps log_verbose_level at 1 or above; it cannot be 0")
    if level is not None:
        state.access_log = level > 0
    return http.json(LOGGING | {"log_verbose_level": int(state.access_log)})


async def trace_settings(state: ServerState, request: Request, **which: str) -> Response:
    """Trace settings: traces are always off."""
    state.repository.select(**which)
    _refuse_changes(decode(_SETTINGS, request.body or b"{}", "the request"), TRACES)
    return http.json(TRACES)


def _refuse_changes(changes: Settings, current: Settings) -> None:
    for name, value in changes.items():
        if value is not None and value != current.get(name):
            raise ClientError(400, f"{name!r} is {current.get(name)!r} and cannot be changed to {value!r}")


async def regions(state: ServerState, request: Request) -> Response:
    """The shared memory regions: always empty."""
    return http.json([])


async def region(state: ServerState, request: Request, region: str) -> Response:
    """One shared memory region: always 404."""
    raise ClientError(404, f"no region {region!r}; this server has no shared memory")


async def register(state: ServerState, request: Request, region: str) -> Response:
    """Register shared memory: not supported."""
    raise ClientError(400, NO_SHARED_MEMORY)


async def unregister(state: ServerState, request: Request, region: str = "") -> Response:
    """Unregister shared memory: does nothing."""
    return http.json({})


def _describe_tensors(tensors: Iterable[Tensor], batched: bool) -> list[dict]:
    """Return name, data type and dimensions of each tensor; the batch axis is left out."""
    described = []
    for tensor in tensors:
        dims = [size if isinstance(size, int) else -1 for size in tensor.shape[batched:]]
        shape = {"dims": dims} if dims else {"dims": [1], "reshape": {"shape": []}}
        described.append({"name": tensor.name, "data_type": DTYPES[tensor.dtype].triton, **shape})
    return described


def _describe_statistics(model: Model) -> dict:
    counters = model.statistics
    return {
        "name": model.name,
        "version": str(model.version),
        "last_inference": int(1e3 * counters.last_batch_time),
        "inference_count": counters.rows,
        "execution_count": sum(calls.count for calls in counters.batches_by_rows.values()),
        "inference_stats": {
            "success": _duration(counters.success),
            "fail": _duration(counters.fail),
            "queue": _duration(counters.queue),
            "compute_infer": _duration(counters.inference),
            **dict.fromkeys(["compute_input", "compute_output", "cache_hit", "cache_miss"], _duration(Duration())),
        },
        "batch_stats": [
            {"batch_size": rows, "compute_infer": _duration(calls)}
            for rows, calls in sorted(counters.batches_by_rows.items())
        ],
    }


def _duration(total: Duration) -> dict:
    return {"count": total.count, "ns": int(1e9 * total.seconds)}


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
