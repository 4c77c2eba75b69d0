"""TensorFlow Serving's REST protocol: status, metadata, predict by row or by column, classify.

https://www.tensorflow.org/tfx/serving/api_rest
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Tensor

from .. import http, raw_inputs
from ..batching import Tensors
from ..client_error import ClientError
from ..http import Request, Response
from ..model import Model
from ..routing import Route, versioned_routes
from ..state import ServerState
from ..tensor_codec import decode, to_json

SIGNATURE = "serving_default"


class PredictRequest(msgspec.Struct):
    """Either `instances`, a list of rows, or `inputs`, whole tensors."""

    signature_name: str = SIGNATURE
    instances: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    inputs: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class ClassifyRequest(msgspec.Struct):
    """`examples`: a list of rows; `context`: inputs with the same value in every row."""

    examples: msgspec.Raw
    context: dict[str, msgspec.Raw] = {}
    signature_name: str = SIGNATURE


_IMAGES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")
"""How the files of JPEG, PNG, GIF, WebP and BMP images begin. No JSON begins so."""
_PREDICT = msgspec.json.Decoder(PredictRequest)
_CLASSIFY = msgspec.json.Decoder(ClassifyRequest)
_NAMED = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECTS = re.compile(rb'\[\s*\{(?!\s*"b64")')
_RAW = re.compile(rb'[\[{]\s*(\[\s*)?["{]')


async def status(state: ServerState, request: Request, **which: str) -> Response:
    """The versions of a model and their state."""
    ok = {"error_code": "OK", "error_message": ""}
    return http.json(
        {
            "model_version_status": [
                {"version": str(model.version), "state": "AVAILABLE", "status": ok}
                for model in state.repository.select(**which)
            ]
        }
    )


async def metadata(state: ServerState, request: Request, **which: str) -> Response:
    """The inputs and outputs of a model."""
    model = state.repository.get(**which)
    signature = {
        "inputs": _describe_tensors(model.inputs),
        "outputs": _describe_tensors(model.outputs.values()),
        "method_name": "tensorflow/serving/predict",
    }
    return http.json(
        {
            "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }
    )


async def predict(state: ServerState, request: Request, **which: str) -> Response:
    """Run a model. The response of a classifier also has the most likely label of each row."""
    model = state.repository.get(**which)
    _refuse_image(request)
    parsed = decode(_PREDICT, request.body, "the request")
    _check_signature(model, parsed.signature_name)
    by_row, by_column = bytes(parsed.instances), bytes(parsed.inputs)
    if bool(by_row) == bool(by_column):
        raise ClientError(400, "expected either `instances` (a list of rows) or `inputs` (whole tensors)")
    feeds = await _read_feeds(model, by_row or by_column, _read_rows if by_row else _read_columns)
    outputs = await model.predict(feeds, alone=request.alone)
    labels = raw_inputs.top_labels(model.manifest, outputs)
    if by_row:
        return http.json({"predictions": _to_rows(outputs, len(next(iter(feeds.values())))), **labels})
    columns = {key: to_json(key, array) for key, array in outputs.items()}
    return http.json({"outputs": columns if len(columns) > 1 else next(iter(columns.values())), **labels})


async def classify(state: ServerState, request: Request, **which: str) -> Response:
    """Every label of each row with its score."""
    model = state.repository.get(**which)
    _refuse_image(request)
    parsed = decode(_CLASSIFY, request.body, "the request")
    _check_signature(model, parsed.signature_name)
    feeds = await _read_feeds(model, bytes(parsed.examples), _read_rows, parsed.context)
    outputs = await model.predict(feeds, alone=request.alone)
    scores = raw_inputs.class_scores(model.manifest, outputs)
    if scores is None:
        raise ClientError(400, f"model {model.name!r} is no classifier with labels; use :predict")
    labels = model.manifest.labels
    return http.json({"results": [[*zip(labels, row, strict=True)] for row in to_json("scores", scores)]})


def _refuse_image(request: Request) -> None:
    if request.headers.get(b"content-type", b"").startswith(b"image/") or request.body.startswith(_IMAGES):
        raise ClientError(
            400, 'the request is an image file; send it as base64 in JSON: {"instances": [{"b64": "..."}]}'
        )


def _check_signature(model: Model, name: str) -> None:
    if name not in ("", SIGNATURE):
        kinds = " and ".join(sorted({f"{raw.kind}s" for raw in model.raw_inputs.values()}))
        accepts_raw = f", which also accepts {kinds}" if kinds else ""
        raise ClientError(400, f"no signature {name!r}; expected {SIGNATURE!r}{accepts_raw}")


async def _read_feeds(model: Model, text: bytes, read: Callable[..., Tensors], *more: Any) -> Tensors:
    long = raw_inputs.LONG if model.raw_inputs and _RAW.match(text) else http.LONG
    return await http.run_in_thread_if_long(len(text) > long, read, model, text, *more)


def _read_rows(model: Model, text: bytes, context: Mapping[str, msgspec.Raw] = {}) -> Tensors:
    """Read `[row, ...]`, where a row is an object of named inputs, or a bare value if the model has one input."""
    if len(model.readers) == 1 and not context and not _OBJECTS.match(text):
        (reader,) = model.readers.values()
        return {reader.name: _read_tensor(model, reader.name, text)}
    rows = decode(_ROWS, text, "the rows, a list of objects with inputs by name")
    if not rows:
        raise ClientError(400, "the rows: an empty list; expected at least one")
    if context:
        model.input_names(context)
        rows = [{**context, **row} for row in rows]
    for i, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise ClientError(400, f"row {i} has the inputs {sorted(row)}, row 0 has {sorted(rows[0])}")
    return {
        # one JSON list per tensor: decoded and checked in one call
        name: _read_tensor(model, name, b"[" + b",".join(bytes(row[key]) for row in rows) + b"]")
        for key, name in model.input_names(rows[0]).items()
    }


def _read_columns(model: Model, text: bytes) -> Tensors:
    """Read one whole tensor, or an object of tensors by name."""
    if text.startswith(b"{"):
        named = decode(_NAMED, text, "`inputs`")
        names = model.input_names(named)
        return {name: _read_tensor(model, name, bytes(named[key])) for key, name in names.items()}
    if len(model.readers) > 1:
        raise ClientError(400, f"`inputs`: expected an object with the inputs {', '.join(map(repr, model.readers))}")
    (reader,) = model.readers.values()
    return {reader.name: _read_tensor(model, reader.name, text)}


def _read_tensor(model: Model, name: str, text: bytes) -> np.ndarray:
    """Read nested lists, or a list of raw inputs."""
    reader = model.reader(name)
    if (raw := model.raw_inputs.get(name)) and _RAW.match(text):
        return raw.from_json(text)
    return reader.read_nested(text)


def _to_rows(outputs: Tensors, count: int) -> list:
    """Return one value per row, or one object per row if the model has several outputs."""
    for key, array in outputs.items():
        if array.shape[:1] != (count,):
            raise ClientError(400, f"output {key!r} does not have one value per row; send `inputs`, not `instances`")
    if len(outputs) == 1:
        return to_json(*next(iter(outputs.items())))
    columns = [to_json(key, array) for key, array in outputs.items()]
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def _describe_tensors(tensors: Iterable[Tensor]) -> dict:
    return {
        tensor.name: {
            "dtype": DTYPES[tensor.dtype].tensorflow,
            "tensor_shape": {
                "dim": [
                    {"size": str(size), "name": ""} if isinstance(size, int) else {"size": "-1", "name": size}
                    for size in tensor.shape
                ],
                "unknown_rank": False,
            },
            "name": tensor.name,
        }
        for tensor in tensors
    }


_MODEL = "/v1/models/{name}"

ROUTES: list[Route] = [
    *versioned_routes("POST", _MODEL + ":predict", predict, PredictRequest, labels=True),
    *versioned_routes("POST", _MODEL + ":classify", classify, ClassifyRequest, labels=True),
    *versioned_routes("GET", _MODEL, status, labels=True),
    *versioned_routes("GET", _MODEL + "/metadata", metadata, labels=True),
]
