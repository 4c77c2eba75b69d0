"""`config.pbtxt` is parsed with the schema that Triton publishes (protobuf/model_config.proto)."""

import re
import runpy
from pathlib import Path

import pytest
import tritonclient
import yaml
from google.protobuf import text_format

from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Manifest, Tensor
from kerasfound.errors import UserError
from kerasfound.export import triton_config


@pytest.fixture(scope="module")
def schema():
    """The schema inside Triton's client. It is run by its path, because its package needs gRPC."""
    return runpy.run_path(str(Path(tritonclient.__file__).parent / "grpc" / "model_config_pb2.py"))


def manifest(inputs, outputs):
    return Manifest(1, "mine", 1, "tensors", inputs, outputs, [], [], [], {}, None, [], {}, "", {})


def test_all_dtypes_and_several_tensors(schema):
    inputs = [Tensor(f"in_{dtype}", dtype, ["batch", "time", 3]) for dtype in DTYPES]
    outputs = [Tensor("score", "float32", ["batch"]), Tensor("labels", "string", ["batch", 2])]
    read = text_format.Parse(triton_config.config(manifest(inputs, outputs)), schema["ModelConfig"]())
    assert (read.name, read.backend, read.max_batch_size) == ("mine", "onnxruntime", 64)
    assert read.HasField("dynamic_batching")
    names = {"float16": "FP16", "float32": "FP32", "float64": "FP64"}
    for tensor, declared in zip(read.input, inputs, strict=True):
        assert tensor.name == declared.name
        kind = schema["DataType"].Name(tensor.data_type)
        assert kind == f"TYPE_{names.get(declared.dtype, declared.dtype.upper())}"
        assert list(tensor.dims) == [-1, 3]
    assert [(list(y.dims), y.HasField("reshape")) for y in read.output] == [([1], True), ([2], False)]
    assert list(read.output[0].reshape.shape) == []


@pytest.mark.parametrize("shape", [[3, 4], [3, "time"], []])
def test_the_config_has_all_dimensions_if_the_first_one_is_no_batch(schema, shape):
    document = manifest([Tensor("x", "float32", shape)], [Tensor("y", "float32", ["batch", 2])])
    read = text_format.Parse(triton_config.config(document), schema["ModelConfig"]())
    assert read.max_batch_size == 0
    assert not read.HasField("dynamic_batching")
    assert list(read.input[0].dims) == [-1 if size == "time" else size for size in shape] or [1]
    assert list(read.output[0].dims) == [-1, 2]


def test_a_name_may_contain_any_character(schema):
    document = manifest([Tensor('a "b"\\', "float32", ["batch", 1])], [Tensor("größe", "bool", ["batch", 1])])
    read = text_format.Parse(triton_config.config(document), schema["ModelConfig"]())
    assert (read.input[0].name, read.output[0].name) == ('a "b"\\', "größe")


def test_a_dtype_that_triton_cannot_serve_raises_an_error():
    with pytest.raises(UserError, match="x has dtype complex64"):
        triton_config.config(manifest([Tensor("x", "complex64", ["batch"])], []))


def test_the_kserve_examples_are_inference_services_for_this_folder_layout():
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    services = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    models = {service["spec"]["predictor"]["model"]["modelFormat"]["name"]: service for service in services}
    assert models.keys() == {"triton", "tensorflow"}
    assert all(service["kind"] == "InferenceService" for service in services)
    assert models["triton"]["spec"]["predictor"]["model"]["storageUri"].endswith("/models")
    assert models["tensorflow"]["spec"]["predictor"]["model"]["storageUri"].endswith("/models/mnist_cnn")
