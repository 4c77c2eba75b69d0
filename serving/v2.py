"""The Open Inference Protocol, version 2, in JSON: health, metadata and infer.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from collections.abc import Callable, Iterable
from importlib import metadata as installed

import msgspec
import numpy as np

from kerasfound.export.manifest import Tensor
from kerasfound.serving.errors import ClientError
from kerasfound.serving.repository import Repository
from kerasfound.serving.tensors import DTYPES, decode


class Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw


class Output(msgspec.Struct):
    name: str


class InferRequest(msgspec.Struct):
    inputs: list[Input]
    outputs: list[Output] | None = None
    id: str | None = None


_REQUEST = msgspec.json.Decoder(InferRequest)


def live(repository: Repository) -> dict:
    return {"live": True}


def ready(repository: Repository) -> dict:
    return {"ready": True}  # the server answers only after every model is loaded and warm


def server(repository: Repository) -> dict:
    return {"name": "kerasfound", "version": installed.version("kerasfound"), "extensions": []}


def model_ready(repository: Repository, name: str, version: str | None) -> dict:
    return {"name": repository.get(name, version).name, "ready": True}


def model(repository: Repository, name: str, version: str | None) -> dict:
    found = repository.get(name, version)
    return {
        "name": found.name,
        "versions": [str(v) for v in repository.versions(name)],
        "platform": "onnxruntime_onnx",
        "inputs": _declared(found.inputs),
        "outputs": _declared(found.outputs.values()),
    }


def infer(repository: Repository, name: str, version: str | None, body: bytes) -> dict:
    found = repository.get(name, version)
    request = decode(_REQUEST, body, "the request")
    feeds: dict[str, np.ndarray] = {}
    for tensor in request.inputs:
        reader = found.reader(tensor.name)
        if tensor.name in feeds:
            raise reader.fail("given twice")
        if tensor.datatype != reader.dtype.v2:
            raise reader.fail(f"got datatype {tensor.datatype!r}, expected {reader.dtype.v2!r}")
        feeds[tensor.name] = reader.shaped(tensor.data, tensor.shape)
    wanted = list(dict.fromkeys(output.name for output in request.outputs or []))
    answers = found.predict(feeds, wanted)
    answer = {"model_name": found.name, "model_version": str(found.version)}
    if request.id is not None:
        answer["id"] = request.id
    return answer | {
        "outputs": [
            {
                "name": key,
                "shape": list(array.shape),
                "datatype": DTYPES[found.outputs[key].dtype].v2,
                "data": array.ravel().tolist(),
            }
            for key, array in answers.items()
        ]
    }


def refuse_binary(headers: dict[bytes, bytes]) -> None:
    if b"inference-header-content-length" in headers:
        raise ClientError(400, "binary tensors are not supported here; send the tensors as JSON, without this header")


def _declared(tensors: Iterable[Tensor]) -> list[dict]:
    return [
        {
            "name": tensor.name,
            "datatype": DTYPES[tensor.dtype].v2,
            "shape": [size if isinstance(size, int) else -1 for size in tensor.shape],
        }
        for tensor in tensors
    ]


_MODEL = r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?"

ROUTES: dict[str, tuple[str, Callable[..., dict]]] = {
    _MODEL + "/infer": ("POST", infer),
    "/v2/health/live": ("GET", live),
    "/v2/health/ready": ("GET", ready),
    "/v2/?": ("GET", server),
    _MODEL: ("GET", model),
    _MODEL + "/ready": ("GET", model_ready),
}
