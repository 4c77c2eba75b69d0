"""The Open Inference Protocol, version 2: health, metadata, and infer in JSON and binary; `triton.py` has the rest.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/tree/main/docs/protocol for binary tensors and classification
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from kerasfound.bundle.manifest import Tensor

from .. import http, raw_inputs
from ..batching import Tensors
from ..client_error import ClientError
from ..http import MAX_DIGITS, Request, Response
from ..model import Model
from ..routing import Route, versioned_routes
from ..tensor_codec import DTYPES, MAX_VALUES, decode, described, joined, listed

if TYPE_CHECKING:
    from ..app import App

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "generate",
    "logging",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "statistics",
]
HEAD_LENGTH = b"inference-header-content-length"
"""Of a body or an answer with binary tensors: the bytes of JSON before them."""

NO_SHARED_MEMORY = "there is no shared memory here; send the data, and ask for it, in the body"

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """Of a tensor. Shared memory is refused."""

    shared_memory_region: str | None = None

    def __post_init__(self) -> None:
        if self.shared_memory_region is not None:
            raise ValueError(NO_SHARED_MEMORY)


class InputParameters(Parameters, frozen=True):
    """`binary_data_size`: the bytes of this tensor, behind the JSON."""

    binary_data_size: Whole | None = None


class Input(msgspec.Struct):
    """A tensor with its elements: in row order, flat or nested, or behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    parameters: InputParameters = InputParameters()


class OutputParameters(Parameters, frozen=True):
    """`binary_data`: whether it shall come behind the JSON; `classification`: how many of the likeliest classes."""

    binary_data: bool | None = None
    classification: Whole = 0


class Output(msgspec.Struct):
    """A tensor that is wanted."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferParameters(msgspec.Struct, frozen=True):
    """`timeout` in microseconds, or 0; `binary_data_output`: whether outputs shall come behind the JSON."""

    timeout: Whole = 0
    binary_data_output: bool = False


class InferRequest(msgspec.Struct):
    """Inputs by name; all outputs are answered unless some are named."""

    inputs: list[Input]
    outputs: list[Output] | None = None
    id: str | None = None
    parameters: InferParameters = InferParameters()


_INFER = msgspec.json.Decoder(InferRequest)


async def live(app: "App", request: Request) -> Response:
    """Whether the process answers."""
    return http.json({"live": True})


async def ready(app: "App", request: Request) -> Response:
    """Whether it shall be sent requests: not while it is stopping, nor without a model."""
    if app.draining or not app.repository.models:
        raise ClientError(503, "the server is stopping" if app.draining else "no model is served")
    return http.json({"ready": True})


async def server(app: "App", request: Request) -> Response:
    """Name, version and extensions."""
    return http.json({"name": "kerasfound", "version": app.version, "extensions": EXTENSIONS})


async def model_ready(app: "App", request: Request, **which: str) -> Response:
    """Whether a model is served."""
    return http.json({"name": app.repository.get(**which).name, "ready": True})


async def model(app: "App", request: Request, **which: str) -> Response:
    """The inputs and outputs of a model."""
    found = app.repository.get(**which)
    return http.json(
        {
            "name": found.name,
            "versions": [str(v) for v in app.repository.served(found.name).versions],
            "platform": "onnxruntime_onnx",
            "inputs": declared(found.inputs),
            "outputs": declared(found.outputs.values()),
        }
    )


async def infer(app: "App", request: Request, **which: str) -> Response:
    """Ask a model."""
    found = app.repository.get(**which)
    head, tensors = _split(request)
    asked = decode(_INFER, head, "the request")
    wanted = {output.name: output.parameters for output in asked.outputs or ()}
    texts = any(tensor.datatype == "BYTES" for tensor in asked.inputs)
    long = len(head) > http.LONG or (texts and len(request.body) > raw_inputs.LONG)
    feeds = await http.run_in_thread_if_long(long, _feeds, found, asked.inputs, tensors)
    seconds = asked.parameters.timeout / 1e6 or None
    answers = await found.predict(feeds, [*wanted], seconds, request.alone)
    answer: dict[str, Any] = {"model_name": found.name, "model_version": str(found.version)}
    if asked.id is not None:
        answer["id"] = asked.id
    return _answer(answer, found, answers, wanted, asked.parameters.binary_data_output)


def _split(request: Request) -> tuple[bytes, memoryview]:
    """The JSON of a body, and the binary tensors behind it."""
    if HEAD_LENGTH not in request.headers:
        return request.body, memoryview(b"")
    length = request.headers[HEAD_LENGTH]
    if not length.isdigit() or len(length) > MAX_DIGITS or int(length) > len(request.body):
        raise ClientError(
            400, f"{HEAD_LENGTH.decode()} is {length.decode('latin-1')!r}, the body has {len(request.body)} bytes"
        )
    return request.body[: int(length)], memoryview(request.body)[int(length) :]


def _feeds(model: Model, inputs: list[Input], tensors: memoryview) -> Tensors:
    feeds: Tensors = {}
    for tensor in inputs:
        reader = model.reader(tensor.name)
        if tensor.name in feeds:
            raise reader.fail("given twice")
        size = tensor.parameters.binary_data_size
        if (size is None) != bool(tensor.data):
            raise reader.fail("expected either `data` or `binary_data_size`")
        if (size or 0) > len(tensors):
            raise reader.fail(f"binary_data_size is {size}, {len(tensors)} bytes are left")
        data, tensors = (None, tensors) if size is None else (tensors[:size], tensors[size:])
        feeds[tensor.name] = _feed(model, tensor, data)
    if tensors:
        raise ClientError(400, f"{len(tensors)} bytes behind the JSON belong to no input")
    return feeds


def _feed(model: Model, tensor: Input, data: memoryview | None) -> np.ndarray:
    reader = model.reader(tensor.name)
    if tensor.datatype == "BYTES" and model.raw and model.raw.name == tensor.name:
        if not tensor.shape or tensor.shape[1:] not in ([], [1]):
            raise reader.fail(f"got shape {tensor.shape} of BYTES, where {model.raw.kind}s have [n] or [n, 1]")
        count = tensor.shape[0]
        return model.raw.from_json(bytes(tensor.data), count) if data is None else model.raw.from_binary(data, count)
    if tensor.datatype != reader.dtype.v2:
        raise reader.fail(f"got datatype {tensor.datatype!r}, expected {reader.dtype.v2!r}")
    shape = tensor.shape
    if len(reader.shape) == 1 and shape[1:] == [1]:
        shape = shape[:1]  # Triton knows no tensor of rows that are single values
    return reader.shaped(tensor.data, shape) if data is None else reader.binary(data, shape)


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
            output["data"] = listed(name, array.ravel())
        outputs.append(output)
    head = msgspec.json.encode(answer | {"outputs": outputs})
    if not behind:
        return Response(head)
    return Response(b"".join([head, *behind]), http.BYTES, headers=[(HEAD_LENGTH, str(len(head)).encode())])


def _classes(model: Model, name: str, scores: np.ndarray, count: int) -> np.ndarray:
    """The likeliest classes of each row as texts, `score:number` or `score:number:label`."""
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise ClientError(400, f"output {name!r} of shape {described([*scores.shape])} has no classes")
    if len(scores) * min(count, scores.shape[1]) > MAX_VALUES:
        raise ClientError(413, f"output {name!r}: more than {MAX_VALUES} classes in all; send fewer rows")
    labels = model.manifest.labels if raw_inputs.class_scores(model.manifest, {name: scores}) is not None else None
    written = "{:f}:{}".format if scores.dtype.kind == "f" else "{}:{}".format
    best = np.argsort(-scores.astype("float64"), axis=1, kind="stable")[:, :count]
    return np.array(
        [
            [written(row[i], i) + (f":{labels[i]}" if labels else "") for i in places]
            for row, places in zip(scores, best, strict=True)
        ],
        dtype=object,
    )


def declared(tensors: Iterable[Tensor]) -> list[dict]:
    return [
        {
            "name": tensor.name,
            "datatype": DTYPES[tensor.dtype].v2,
            "shape": [size if isinstance(size, int) else -1 for size in tensor.shape],
        }
        for tensor in tensors
    ]


_MODEL = "/v2/models/{name}"

ROUTES: list[Route] = [
    *versioned_routes("POST", _MODEL + "/infer", infer, InferRequest, content_types=(http.JSON, http.BYTES)),
    Route("GET", "/v2/health/live", live, open=True),
    Route("GET", "/v2/health/ready", ready, open=True),
    Route("GET", "/v2", server),
    Route("GET", "/v2/", server),
    *versioned_routes("GET", _MODEL, model),
    *versioned_routes("GET", _MODEL + "/ready", model_ready),
]
