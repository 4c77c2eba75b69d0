"""TensorFlow Serving's REST protocol: status, metadata, predict in row and in column form, classify.

https://www.tensorflow.org/tfx/serving/api_rest
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from kerasfound.bundle.manifest import Tensor

from .. import http, raw_inputs
from ..batching import Tensors
from ..client_error import ClientError
from ..http import Request, Response
from ..model import Model
from ..routing import Route, versioned_routes
from ..tensor_codec import DTYPES, decode, listed

if TYPE_CHECKING:
    from ..app import App

SIGNATURE = "serving_default"


class PredictRequest(msgspec.Struct):
    """Either `instances`, a list of rows, or `inputs`, whole tensors."""

    signature_name: str = SIGNATURE
    instances: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    inputs: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class ClassifyRequest(msgspec.Struct):
    """`examples`: a list of rows; `context`: inputs that are the same in all of them."""

    examples: msgspec.Raw
    context: dict[str, msgspec.Raw] = {}
    signature_name: str = SIGNATURE


_PREDICT = msgspec.json.Decoder(PredictRequest)
_CLASSIFY = msgspec.json.Decoder(ClassifyRequest)
_NAMED = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECTS = re.compile(rb'\[\s*\{(?!\s*"b64")')
_RAW = re.compile(rb'[\[{]\s*["{]')


async def status(app: "App", request: Request, **which: str) -> Response:
    """Which versions of a model are ready."""
    ok = {"error_code": "OK", "error_message": ""}
    return http.json(
        {
            "model_version_status": [
                {"version": str(model.version), "state": "AVAILABLE", "status": ok}
                for model in app.repository.meant(**which)
            ]
        }
    )


async def metadata(app: "App", request: Request, **which: str) -> Response:
    """The inputs and outputs of a model."""
    model = app.repository.get(**which)
    signature = {
        "inputs": _signature(model.inputs),
        "outputs": _signature(model.outputs.values()),
        "method_name": "tensorflow/serving/predict",
    }
    return http.json(
        {
            "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }
    )


async def predict(app: "App", request: Request, **which: str) -> Response:
    """Ask a model; of a classifier the likeliest labels come beside the tensors."""
    model = app.repository.get(**which)
    asked = decode(_PREDICT, request.body, "the request")
    _check_signature(model, asked.signature_name)
    by_row, by_column = bytes(asked.instances), bytes(asked.inputs)
    if bool(by_row) == bool(by_column):
        raise ClientError(400, "expected either `instances` (a list of rows) or `inputs` (whole tensors)")
    feeds = await _read(model, by_row or by_column, _read_rows if by_row else _read_columns)
    answers = await model.predict(feeds, alone=request.alone)
    labels = raw_inputs.labels(model.manifest, answers)
    if by_row:
        return http.json({"predictions": _rows(answers, len(next(iter(feeds.values())))), **labels})
    columns = {key: listed(key, array) for key, array in answers.items()}
    return http.json({"outputs": columns if len(columns) > 1 else next(iter(columns.values())), **labels})


async def classify(app: "App", request: Request, **which: str) -> Response:
    """Every label of each row with its score."""
    model = app.repository.get(**which)
    asked = decode(_CLASSIFY, request.body, "the request")
    _check_signature(model, asked.signature_name)
    feeds = await _read(model, bytes(asked.examples), _read_rows, asked.context)
    answers = await model.predict(feeds, alone=request.alone)
    scores = raw_inputs.class_scores(model.manifest, answers)
    if scores is None:
        raise ClientError(400, f"model {model.name!r} is no classifier with labels; ask it with :predict")
    labels = model.manifest.labels
    return http.json({"results": [[*zip(labels, row, strict=True)] for row in listed("scores", scores)]})


def _check_signature(model: Model, name: str) -> None:
    if name not in ("", SIGNATURE):
        raw_too = f", which takes {model.raw.kind}s too" if model.raw else ""
        raise ClientError(400, f"no signature {name!r}; expected {SIGNATURE!r}{raw_too}")


async def _read(model: Model, text: bytes, read: Callable[..., Tensors], *more: Any) -> Tensors:
    long = raw_inputs.LONG if model.raw and _RAW.match(text) else http.LONG
    return await http.run_in_thread_if_long(len(text) > long, read, model, text, *more)


def _read_rows(model: Model, text: bytes, context: Mapping[str, msgspec.Raw] = {}) -> Tensors:
    """`[row, ...]`, where a row is an object of named inputs, or a bare value if the model has one input."""
    if len(model.readers) == 1 and not context and not _OBJECTS.match(text):
        (reader,) = model.readers.values()
        return {reader.name: _tensor(model, reader.name, text)}
    rows = decode(_ROWS, text, "the rows, a list of objects of inputs by name")
    if not rows:
        raise ClientError(400, "the rows: an empty list; expected at least one")
    if context:
        for key in context:
            model.reader(key)
        rows = [{**context, **row} for row in rows]
    for i, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise ClientError(400, f"row {i} names {sorted(row)}, row 0 names {sorted(rows[0])}")
    return {
        # One JSON list a tensor: decoded and checked in one go.
        key: _tensor(model, key, b"[" + b",".join(bytes(row[key]) for row in rows) + b"]")
        for key in rows[0]
    }


def _read_columns(model: Model, text: bytes) -> Tensors:
    """A whole tensor, or an object of them by name."""
    if text.startswith(b"{"):
        named = decode(_NAMED, text, "`inputs`")
        return {key: _tensor(model, key, bytes(value)) for key, value in named.items()}
    if len(model.readers) > 1:
        raise ClientError(400, f"`inputs`: expected an object of the inputs {', '.join(map(repr, model.readers))}")
    (reader,) = model.readers.values()
    return {reader.name: _tensor(model, reader.name, text)}


def _tensor(model: Model, name: str, text: bytes) -> np.ndarray:
    """From nested lists, or from a list of what the model takes raw."""
    reader = model.reader(name)
    if model.raw and model.raw.name == name and _RAW.match(text):
        return model.raw.from_json(text)
    return reader.nested(text)


def _rows(answers: Tensors, count: int) -> list:
    """One value a row, or an object of them if the model has several outputs."""
    for key, array in answers.items():
        if array.shape[:1] != (count,):
            raise ClientError(400, f"output {key!r} does not have one value a row; ask with `inputs`, not `instances`")
    if len(answers) == 1:
        return listed(*next(iter(answers.items())))
    columns = [listed(key, array) for key, array in answers.items()]
    return [dict(zip(answers, row, strict=True)) for row in zip(*columns, strict=True)]


def _signature(tensors: Iterable[Tensor]) -> dict:
    return {
        tensor.name: {
            "dtype": DTYPES[tensor.dtype].v1,
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
