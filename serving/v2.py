"""The Open Inference Protocol, version 2: health, metadata, infer in JSON and binary, and Triton's extensions of it.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/tree/main/docs/protocol for config, statistics, the repository,
binary tensors, classification, generate
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from kerasfound.export.manifest import Tensor
from kerasfound.serving import raw, web
from kerasfound.serving.batching import Tensors
from kerasfound.serving.errors import ClientError
from kerasfound.serving.metrics import Duration
from kerasfound.serving.model import Model
from kerasfound.serving.routes import Route, versioned
from kerasfound.serving.tensors import DTYPES, decode, joined, split
from kerasfound.serving.web import Request, Response
from kerasfound.serving.writing import Wish

if TYPE_CHECKING:
    from kerasfound.serving.app import App

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "generate",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "statistics",
]
HEAD_LENGTH = b"inference-header-content-length"
"""Of a body or an answer with binary tensors: the bytes of JSON before them."""


class InputParameters(msgspec.Struct, frozen=True):
    """`binary_data_size`: the bytes of this tensor, behind the JSON."""

    binary_data_size: int | None = None


class Input(msgspec.Struct):
    """A tensor with its elements: in row order, flat or nested, or behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    parameters: InputParameters = InputParameters()


class OutputParameters(msgspec.Struct, frozen=True):
    """`binary_data`: whether it shall come behind the JSON; `classification`: how many of the likeliest classes."""

    binary_data: bool | None = None
    classification: int = 0


class Output(msgspec.Struct):
    """A tensor that is wanted."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferParameters(msgspec.Struct, frozen=True):
    """`timeout` in microseconds; `binary_data_output`: whether outputs shall come behind the JSON."""

    timeout: int | None = None
    binary_data_output: bool = False


class InferRequest(msgspec.Struct):
    """Inputs by name; all outputs are answered unless some are named."""

    inputs: list[Input]
    outputs: list[Output] | None = None
    id: str | None = None
    parameters: InferParameters = InferParameters()


class GenerateRequest(msgspec.Struct):
    """A text to go on from, and how: `max_tokens`, `temperature`, `top_k`, `top_p`, `seed`, here or in `parameters`."""

    text_input: str
    parameters: Wish = Wish()


class LoadRequest(msgspec.Struct):
    """No parameters: the folder says everything."""

    parameters: dict[str, Any] = {}


class IndexRequest(msgspec.Struct):
    """`ready`: only what is served."""

    ready: bool = False


_INFER = msgspec.json.Decoder(InferRequest)
_INDEX = msgspec.json.Decoder(IndexRequest)
_LOAD = msgspec.json.Decoder(LoadRequest)
_FLAT = msgspec.json.Decoder(dict[str, Any])


async def live(app: "App", request: Request) -> Response:
    """Whether the process answers."""
    return web.json({"live": True})


async def ready(app: "App", request: Request) -> Response:
    """Whether it shall be sent requests: not while it is stopping, nor without a model."""
    if app.draining or not app.repository.models:
        raise ClientError(503, "the server is stopping" if app.draining else "no model is served")
    return web.json({"ready": True})


async def server(app: "App", request: Request) -> Response:
    """Name, version and extensions."""
    return web.json({"name": "kerasfound", "version": app.version, "extensions": EXTENSIONS})


async def model_ready(app: "App", request: Request, name: str, version: str | None = None) -> Response:
    """Whether a model is served."""
    return web.json({"name": app.repository.get(name, version).name, "ready": True})


async def model(app: "App", request: Request, name: str, version: str | None = None) -> Response:
    """The inputs and outputs of a model."""
    found = app.repository.get(name, version)
    return web.json(
        {
            "name": found.name,
            "versions": [str(v) for v in app.repository.served(name).versions],
            "platform": "onnxruntime_onnx",
            "inputs": _declared(found.inputs),
            "outputs": _declared(found.outputs.values()),
        }
    )


async def config(app: "App", request: Request, name: str, version: str | None = None) -> Response:
    """A model's settings as Triton names them."""
    found = app.repository.get(name, version)
    return web.json(
        {
            "name": found.name,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "version_policy": {"specific": {"versions": [*app.repository.served(name).versions]}},
            "max_batch_size": app.limits.batch_rows if found.queue.together else 0,
            "input": _configured(found.inputs, found.queue.together),
            "output": _configured(found.outputs.values(), found.queue.together),
            "dynamic_batching": {"max_queue_size": app.limits.queue},
        }
    )


async def statistics(app: "App", request: Request, name: str | None = None, version: str | None = None) -> Response:
    """How often, how long and how many rows at once each model was asked."""
    if name is None:
        found = [model for served in app.repository.models.values() for model in served.versions.values()]
    elif version is None:
        found = [*app.repository.served(name).versions.values()]
    else:
        found = [app.repository.get(name, version)]
    return web.json({"model_stats": [_statistics(model) for model in found]})


async def index(app: "App", request: Request) -> Response:
    """Every version that is served, and every one that is refused with the reason."""
    asked = decode(_INDEX, request.body or b"{}", "the request")
    return web.json(
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
    return web.json({})


async def unload(app: "App", request: Request, name: str) -> Response:
    """Put a model away."""
    await asyncio.to_thread(app.repository.unload, name)
    return web.json({})


async def infer(app: "App", request: Request, name: str, version: str | None = None) -> Response:
    """Ask a model."""
    found = app.repository.get(name, version)
    head, tensors = _split(request)
    asked = decode(_INFER, head, "the request")
    feeds = _feeds(found, asked.inputs, tensors)
    wanted = {output.name: output.parameters for output in asked.outputs or []}
    seconds = asked.parameters.timeout / 1e6 if asked.parameters.timeout else None
    answers = await found.predict(feeds, [*wanted], seconds, request.alone)
    answer: dict[str, Any] = {"model_name": found.name, "model_version": str(found.version)}
    if asked.id is not None:
        answer["id"] = asked.id
    return _answer(answer, found, answers, wanted, asked.parameters.binary_data_output)


async def generate(app: "App", request: Request, name: str, version: str | None = None) -> Response:
    """Write a text on."""
    found, pieces = _written(app, request, name, version)
    text = await asyncio.to_thread("".join, pieces)
    return web.json({"model_name": found.name, "model_version": str(found.version), "text_output": text})


async def generate_stream(app: "App", request: Request, name: str, version: str | None = None) -> Response:
    """Write a text on, each character as soon as it is there, as server-sent events."""
    found, pieces = _written(app, request, name, version)
    about = {"model_name": found.name, "model_version": str(found.version)}

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield b"data: " + msgspec.json.encode(about | {"text_output": piece}) + b"\n\n"
        except ClientError as error:
            yield b"data: " + msgspec.json.encode({"error": error.reason}) + b"\n\n"

    return Response(events(), web.EVENTS, headers=[(b"cache-control", b"no-store")])


def _written(app: "App", request: Request, name: str, version: str | None) -> tuple[Model, Iterator[str]]:
    found = app.repository.get(name, version)
    if found.writer is None:
        raise ClientError(400, f"model {name!r} does not write texts; ask it with /infer")
    given = decode(_FLAT, request.body, "the request")
    flat = {key: value for key, value in given.items() if key in Wish.__struct_fields__}
    rest = {key: value for key, value in given.items() if key not in flat}
    parameters = rest.pop("parameters", None) or {}
    try:
        asked = msgspec.convert(rest | {"parameters": {**parameters, **flat}}, GenerateRequest)
    except (msgspec.ValidationError, TypeError) as error:
        raise ClientError(400, f"the request: {error}") from None
    if asked.parameters.max_tokens > app.limits.text:
        raise ClientError(400, f"max_tokens is {asked.parameters.max_tokens}, at most {app.limits.text} are written")
    return found, _in_time(found.writer.write(asked.text_input, asked.parameters), app.limits.seconds)


def _in_time(pieces: Iterator[str], seconds: float) -> Iterator[str]:
    end = time.monotonic() + seconds
    for piece in pieces:
        if time.monotonic() > end:
            raise ClientError(504, f"the text was not written within {seconds:g} seconds; ask for fewer characters")
        yield piece


def _split(request: Request) -> tuple[bytes, memoryview]:
    """The JSON of a body, and the binary tensors behind it."""
    if HEAD_LENGTH not in request.headers:
        return request.body, memoryview(b"")
    length = request.headers[HEAD_LENGTH]
    if not length.isdigit() or len(length) > 12 or int(length) > len(request.body):
        raise ClientError(
            400, f"{HEAD_LENGTH.decode()} is {length.decode('latin-1')!r}, the body has {len(request.body)} bytes"
        )
    return request.body[: int(length)], memoryview(request.body)[int(length) :]


def _feeds(model: Model, inputs: list[Input], tensors: memoryview) -> Tensors:
    feeds: Tensors = {}
    place = 0
    for tensor in inputs:
        reader = model.reader(tensor.name)
        if tensor.name in feeds:
            raise reader.fail("given twice")
        size = tensor.parameters.binary_data_size
        data = None if size is None else tensors[place : place + max(size, 0)]
        if data is not None:
            if size is None or size < 0 or len(data) != size or tensor.data:
                raise reader.fail(f"binary_data_size is {size}, {len(tensors) - place} bytes are left")
            place += size
        feeds[tensor.name] = _feed(model, tensor, data)
    if place != len(tensors):
        raise ClientError(400, f"{len(tensors) - place} bytes behind the JSON belong to no input")
    return feeds


def _feed(model: Model, tensor: Input, data: memoryview | None) -> np.ndarray:
    reader = model.reader(tensor.name)
    given = model.raw if model.raw and model.raw.name == tensor.name else None
    if tensor.datatype == "BYTES" and given:
        count = tensor.shape[0] if tensor.shape and tensor.shape[1:] in ([], [1]) else 0
        x = given.from_json(bytes(tensor.data)) if data is None else given.read(split(data, reader.what) or [b""])
        if len(x) != count:
            raise reader.fail(f"{len(x)} of {given.kind} do not fill the shape {tensor.shape}")
        return x
    if tensor.datatype != reader.dtype.v2:
        raise reader.fail(f"got datatype {tensor.datatype!r}, expected {reader.dtype.v2!r}")
    if data is not None:
        return reader.binary(data, tensor.shape)
    if not tensor.data:
        raise reader.fail("no `data`")
    return reader.shaped(tensor.data, tensor.shape)


def _answer(
    answer: dict[str, Any], model: Model, answers: Tensors, wanted: dict[str, OutputParameters], binary: bool
) -> Response:
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for name, array in answers.items():
        how = wanted.get(name, OutputParameters())
        datatype = DTYPES[model.outputs[name].dtype].v2
        if how.classification:
            array, datatype = _classes(model, name, array, how.classification), "BYTES"
        output: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype}
        if binary if how.binary_data is None else how.binary_data:
            behind.append(joined(array))
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    head = msgspec.json.encode(answer | {"outputs": outputs})
    if not behind:
        return Response(head)
    return Response(b"".join([head, *behind]), web.BYTES, headers=[(HEAD_LENGTH, str(len(head)).encode())])


def _classes(model: Model, name: str, scores: np.ndarray, count: int) -> np.ndarray:
    """The likeliest classes of each row as texts, `score:number` or `score:number:label`."""
    if scores.ndim != 2 or scores.dtype.kind not in "fiu" or count < 1:
        raise ClientError(400, f"output {name!r} of shape {list(scores.shape)} has no {count} classes")
    named = raw.class_scores(model.manifest, {name: scores}) is not None
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.array(
        [
            [f"{row[i]:f}:{i}" + (f":{model.manifest.labels[i]}" if named else "") for i in places]
            for row, places in zip(scores, best, strict=True)
        ],
        dtype=object,
    )


def _declared(tensors: Iterable[Tensor]) -> list[dict]:
    return [
        {
            "name": tensor.name,
            "datatype": DTYPES[tensor.dtype].v2,
            "shape": [size if isinstance(size, int) else -1 for size in tensor.shape],
        }
        for tensor in tensors
    ]


def _configured(tensors: Iterable[Tensor], batched: bool) -> list[dict]:
    return [
        {
            "name": each["name"],
            "data_type": "TYPE_" + each["datatype"].replace("BYTES", "STRING"),
            "dims": each["shape"][1:] if batched else each["shape"],
        }
        for each in _declared(tensors)
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
            "compute_input": _duration(Duration()),
            "compute_infer": _duration(found.inference),
            "compute_output": _duration(Duration()),
        },
        "batch_stats": [
            {"batch_size": rows, "compute_infer": _duration(each)} for rows, each in sorted(found.batches.items())
        ],
    }


def _duration(found: Duration) -> dict:
    return {"count": found.count, "ns": int(1e9 * found.seconds)}


_MODEL = "/v2/models/{name}"

ROUTES: list[Route] = [
    *versioned("POST", _MODEL + "/infer", infer, InferRequest),
    *versioned("POST", _MODEL + "/generate", generate, GenerateRequest),
    *versioned("POST", _MODEL + "/generate_stream", generate_stream, GenerateRequest),
    Route("GET", "/v2/health/live", live, open=True),
    Route("GET", "/v2/health/ready", ready, open=True),
    Route("GET", "/v2", server),
    Route("GET", "/v2/", server),
    Route("GET", "/v2/models/stats", statistics),
    *versioned("GET", _MODEL, model),
    *versioned("GET", _MODEL + "/ready", model_ready),
    *versioned("GET", _MODEL + "/config", config),
    *versioned("GET", _MODEL + "/stats", statistics),
    Route("POST", "/v2/repository/index", index, IndexRequest),
    Route("POST", "/v2/repository/models/{name}/load", load),
    Route("POST", "/v2/repository/models/{name}/unload", unload),
]
