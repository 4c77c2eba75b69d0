"""TensorFlow Serving's REST protocol: status, metadata and predict, in row and in column form.

https://www.tensorflow.org/tfx/serving/api_rest
"""

import re
from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from kerasfound.export.manifest import Tensor
from kerasfound.serving.errors import ClientError
from kerasfound.serving.model import Model
from kerasfound.serving.repository import Repository
from kerasfound.serving.tensors import DTYPES, decode

SIGNATURE = "serving_default"

_ABSENT = msgspec.Raw()


class PredictRequest(msgspec.Struct):
    signature_name: str = SIGNATURE
    instances: msgspec.Raw = _ABSENT
    inputs: msgspec.Raw = _ABSENT


_REQUEST = msgspec.json.Decoder(PredictRequest)
_NAMED = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECTS = re.compile(rb"\[\s*\{")


def status(repository: Repository, name: str, version: str | None) -> dict:
    versions = repository.versions(name) if version is None else [repository.get(name, version).version]
    return {
        "model_version_status": [
            {"version": str(v), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            for v in versions
        ]
    }


def metadata(repository: Repository, name: str, version: str | None) -> dict:
    model = repository.get(name, version)
    signature = {
        "inputs": _signature(model.inputs),
        "outputs": _signature(model.outputs.values()),
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def predict(repository: Repository, name: str, version: str | None, body: bytes) -> dict:
    model = repository.get(name, version)
    request = decode(_REQUEST, body, "the request")
    if request.signature_name != SIGNATURE:
        raise ClientError(400, f"no signature {request.signature_name!r}; expected {SIGNATURE!r}")
    by_row, by_column = bytes(request.instances), bytes(request.inputs)
    if bool(by_row) == bool(by_column):
        raise ClientError(400, "expected either `instances` (a list of rows) or `inputs` (whole tensors)")
    if by_row:
        feeds = _read_rows(model, by_row)
        return {"predictions": _rows(model.predict(feeds), len(next(iter(feeds.values()))))}
    answers = {key: array.tolist() for key, array in model.predict(_read_columns(model, by_column)).items()}
    return {"outputs": answers if len(answers) > 1 else next(iter(answers.values()))}


def _read_rows(model: Model, text: bytes) -> dict[str, np.ndarray]:
    """`[row, ...]`, where a row is an object of named inputs, or a bare value if the model has one input."""
    if len(model.readers) == 1 and not _OBJECTS.match(text):
        (reader,) = model.readers.values()
        return {reader.name: reader.nested(text)}
    rows = decode(_ROWS, text, "`instances`, a list of objects of inputs by name")
    if not rows:
        raise ClientError(400, "`instances`: an empty list; expected at least one row")
    for i, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise ClientError(400, f"`instances[{i}]` names {sorted(row)}, `instances[0]` names {sorted(rows[0])}")
    return {
        # One JSON list a tensor: decoded and checked in one go.
        key: model.reader(key).nested(b"[" + b",".join(bytes(row[key]) for row in rows) + b"]")
        for key in rows[0]
    }


def _read_columns(model: Model, text: bytes) -> dict[str, np.ndarray]:
    """A whole tensor, or an object of them by name."""
    if text.startswith(b"{"):
        named = decode(_NAMED, text, "`inputs`")
        return {key: model.reader(key).nested(value) for key, value in named.items()}
    if len(model.readers) > 1:
        raise ClientError(400, f"`inputs`: expected an object of the inputs {', '.join(map(repr, model.readers))}")
    (reader,) = model.readers.values()
    return {reader.name: reader.nested(text)}


def _rows(answers: dict[str, np.ndarray], count: int) -> list:
    """One value a row, or an object of them if the model has several outputs."""
    for key, array in answers.items():
        if array.shape[:1] != (count,):
            raise ClientError(400, f"output {key!r} does not have one value a row; ask with `inputs`, not `instances`")
    if len(answers) == 1:
        return next(iter(answers.values())).tolist()
    columns = [array.tolist() for array in answers.values()]
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


_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[^/:]+))?"

ROUTES: dict[str, tuple[str, Callable[..., dict]]] = {
    _MODEL + ":predict": ("POST", predict),
    _MODEL: ("GET", status),
    _MODEL + "/metadata": ("GET", metadata),
}
