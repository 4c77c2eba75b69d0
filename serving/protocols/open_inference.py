"""The Open Inference Protocol, version 2: health, metadata, and inference with JSON or binary tensors.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/tree/main/docs/protocol for binary tensors and classification

`triton_extensions.py` has the other extensions of Triton.
"""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import numpy as np

from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Tensor
from kerasfound.wording import counted

from .. import http, raw_inputs
from ..batching import Tensors
from ..client_error import ClientError
from ..http import MAX_DIGITS, Request, Response
from ..model import Model
from ..routing import Route, versioned_routes
from ..row_inputs import CellReader
from ..state import ServerState
from ..tensor_codec import MAX_VALUES, TensorReader, decode, format_shape, to_binary, to_json

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
"""The header of a message with binary tensors: the number of bytes of JSON before them."""

NO_SHARED_MEMORY = "this server has no shared memory; send and receive the data in the body"

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of a tensor. Shared memory is not supported."""

    shared_memory_region: str | None = None

    def __post_init__(self) -> None:
        if self.shared_memory_region is not None:
            raise ValueError(NO_SHARED_MEMORY)


class InputParameters(Parameters, frozen=True):
    """`binary_data_size`: the bytes of this tensor, which follow the JSON."""

    binary_data_size: Whole | None = None


class Input(msgspec.Struct):
    """A tensor with its elements: as a flat or nested list in row-major order, or as bytes after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    parameters: InputParameters = InputParameters()


class OutputParameters(Parameters, frozen=True):
    """`binary_data`: send the tensor as bytes after the JSON; `classification`: return this many top classes."""

    binary_data: bool | None = None
    classification: Whole = 0


class Output(msgspec.Struct):
    """A requested output."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferParameters(msgspec.Struct, frozen=True):
    """`timeout` in microseconds, or 0; `binary_data_output`: send all outputs as bytes after the JSON."""

    timeout: Whole = 0
    binary_data_output: bool = False


class InferRequest(msgspec.Struct):
    """Inputs by name. The response has all outputs unless some are named."""

    inputs: list[Input]
    outputs: list[Output] | None = None
    id: str | None = None
    parameters: InferParameters = InferParameters()


DATATYPES = {dtype.open_inference for dtype in DTYPES.values()}
_INFER = msgspec.json.Decoder(InferRequest)


async def live(state: ServerState, request: Request) -> Response:
    """Whether the server process is running."""
    return http.json({"live": True})


async def ready(state: ServerState, request: Request) -> Response:
    """Whether the server accepts inference requests: not while it is stopping, nor without a model."""
    if state.draining or not state.repository.models:
        raise ClientError(503, "the server is stopping" if state.draining else "the server has no model")
    return http.json({"ready": True})


async def server(state: ServerState, request: Request) -> Response:
    """Name, version and extensions of the server."""
    return http.json({"name": "kerasfound", "version": state.version, "extensions": EXTENSIONS})


async def model_ready(state: ServerState, request: Request, **which: str) -> Response:
    """Whether a model is ready."""
    return http.json({"name": state.repository.get(**which).name, "ready": True})


async def model(state: ServerState, request: Request, **which: str) -> Response:
    """The inputs and outputs of a model."""
    served = state.repository.get(**which)
    return http.json(
        {
            "name": served.name,
            "versions": [str(v) for v in state.repository.get_versions(served.name).versions],
            "platform": "onnxruntime_onnx",
            "inputs": describe_tensors(served.inputs),
            "outputs": describe_tensors(served.outputs.values()),
        }
    )


async def infer(state: ServerState, request: Request, **which: str) -> Response:
    """Run a model."""
    served = state.repository.get(**which)
    head, tensors = _split_body(request)
    parsed = decode(_INFER, head, "the request")
    requested = {output.name: output.parameters for output in parsed.outputs or ()}
    has_strings = any(tensor.datatype == "BYTES" for tensor in parsed.inputs)
    long = len(head) > http.LONG or (has_strings and len(request.body) > raw_inputs.LONG)
    feeds = await http.run_in_thread_if_long(long, _read_inputs, served, parsed.inputs, tensors)
    timeout_seconds = parsed.parameters.timeout / 1e6 or None
    outputs = await served.predict(feeds, [*requested], timeout_seconds, request.alone)
    head_fields: dict[str, Any] = {"model_name": served.name, "model_version": str(served.version)}
    if parsed.id is not None:
        head_fields["id"] = parsed.id
    return _make_response(head_fields, served, outputs, requested, parsed.parameters.binary_data_output)


def _split_body(request: Request) -> tuple[bytes, memoryview]:
    """Return the JSON of a body and the binary tensors after it."""
    if HEAD_LENGTH not in request.headers:
        return request.body, memoryview(b"")
    length = request.headers[HEAD_LENGTH]
    if not length.isdigit() or len(length) > MAX_DIGITS or int(length) > len(request.body):
        size = counted(len(request.body), "byte")
        raise ClientError(400, f"{HEAD_LENGTH.decode()} is {length.decode('latin-1')!r}, but the body has {size}")
    return request.body[: int(length)], memoryview(request.body)[int(length) :]


def _read_inputs(model: Model, inputs: list[Input], tensors: memoryview) -> Tensors:
    feeds: Tensors = {}
    names = model.input_names(dict.fromkeys(tensor.name for tensor in inputs))
    for tensor in inputs:
        size = tensor.parameters.binary_data_size
        if tensor.name in names:  # training left out the other columns of a table
            reader = model.reader(names[tensor.name])
            if reader.name in feeds:
                raise reader.error("the request has it twice")
            if (size is None) != bool(tensor.data):
                raise reader.error("expected either `data` or `binary_data_size`")
            if (size or 0) > len(tensors):
                raise reader.error(
                    f"binary_data_size is {size}, but the JSON is followed by {counted(len(tensors), 'byte')}"
                )
            feeds[reader.name] = _read_input(model, reader, tensor, None if size is None else tensors[:size])
        tensors = tensors[size or 0 :]
    if tensors:
        raise ClientError(400, f"{counted(len(tensors), 'byte')} after the JSON for no input")
    return feeds


def _read_input(model: Model, reader: TensorReader, tensor: Input, data: memoryview | None) -> np.ndarray:
    if tensor.datatype == "BYTES" and (raw := model.raw_inputs.get(reader.name)):
        if not tensor.shape or tensor.shape[1:] not in ([], [1]):
            raise reader.error(f"got BYTES of shape {tensor.shape}; {raw.kind}s have shape [n] or [n, 1]")
        count = tensor.shape[0]
        return raw.from_json(bytes(tensor.data), count) if data is None else raw.from_binary(data, count)
    is_cell = isinstance(reader, CellReader) and data is None and tensor.datatype in DATATYPES
    if tensor.datatype != reader.dtype.open_inference and not is_cell:
        raise reader.error(f"got datatype {tensor.datatype!r}, expected {reader.dtype.open_inference!r}")
    shape = tensor.shape
    if len(reader.shape) == 1 and shape[1:] == [1]:
        shape = shape[:1]  # Triton clients cannot send rows without an axis
    return reader.read_flat(tensor.data, shape) if data is None else reader.read_binary(data, shape)


def _make_response(
    fields: dict[str, Any], model: Model, arrays: Tensors, requested: dict[str, OutputParameters], binary: bool
) -> Response:
    outputs: list[dict[str, Any]] = []
    binary_tensors: list[bytes] = []
    for name, array in arrays.items():
        parameters = requested.get(name, OutputParameters())
        datatype = DTYPES[model.outputs[name].dtype].open_inference
        if parameters.classification:
            array, datatype = _top_classes(model, name, array, parameters.classification), "BYTES"
        output: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype}
        if binary if parameters.binary_data is None else parameters.binary_data:
            binary_tensors.append(to_binary(array))
            output["parameters"] = {"binary_data_size": len(binary_tensors[-1])}
        else:
            output["data"] = to_json(name, array.ravel())
        outputs.append(output)
    head = msgspec.json.encode(fields | {"outputs": outputs})
    if not binary_tensors:
        return Response(head)
    return Response(b"".join([head, *binary_tensors]), http.BYTES, headers=[(HEAD_LENGTH, str(len(head)).encode())])


def _top_classes(model: Model, name: str, scores: np.ndarray, count: int) -> np.ndarray:
    """Return the most likely classes of each row as strings, `score:index` or `score:index:label`."""
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise ClientError(400, f"output {name!r} of shape {format_shape(scores.shape)} has no class scores")
    if len(scores) * min(count, scores.shape[1]) > MAX_VALUES:
        raise ClientError(413, f"output {name!r}: more than {MAX_VALUES} classes in the response; send fewer rows")
    labels = model.manifest.labels if raw_inputs.class_scores(model.manifest, {name: scores}) is not None else None
    format_class = "{:f}:{}".format if scores.dtype.kind == "f" else "{}:{}".format
    best = np.argsort(-scores.astype("float64"), axis=1, kind="stable")[:, :count]
    return np.array(
        [
            [format_class(row[i], i) + (f":{labels[i]}" if labels else "") for i in classes]
            for row, classes in zip(scores, best, strict=True)
        ],
        dtype=object,
    )


def describe_tensors(tensors: Iterable[Tensor]) -> list[dict]:
    """Return name, datatype and shape of each tensor, as the protocol writes them."""
    return [
        {
            "name": tensor.name,
            "datatype": DTYPES[tensor.dtype].open_inference,
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
