"""`config.pbtxt` is read as Triton reads it: by the schema that it publishes (protobuf/model_config.proto)."""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from kerasfound.errors import UserError
from kerasfound.export import triton
from kerasfound.export.manifest import Manifest, Tensor

FIELD = descriptor_pb2.FieldDescriptorProto
NUMBERS = ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]
TYPES = ["INVALID", "BOOL", *NUMBERS, "STRING", "BF16"]
MESSAGES = {
    "ModelTensorReshape": [("shape", 1, FIELD.TYPE_INT64, "*")],
    "ModelInput": [
        ("name", 1, FIELD.TYPE_STRING, ""),
        ("data_type", 2, FIELD.TYPE_ENUM, "DataType"),
        ("dims", 4, FIELD.TYPE_INT64, "*"),
        ("reshape", 5, FIELD.TYPE_MESSAGE, "ModelTensorReshape"),
    ],
    "ModelOutput": [
        ("name", 1, FIELD.TYPE_STRING, ""),
        ("data_type", 2, FIELD.TYPE_ENUM, "DataType"),
        ("dims", 3, FIELD.TYPE_INT64, "*"),
        ("reshape", 5, FIELD.TYPE_MESSAGE, "ModelTensorReshape"),
    ],
    "ModelDynamicBatching": [],
    "ModelConfig": [
        ("name", 1, FIELD.TYPE_STRING, ""),
        ("max_batch_size", 4, FIELD.TYPE_INT32, ""),
        ("input", 5, FIELD.TYPE_MESSAGE, "*ModelInput"),
        ("output", 6, FIELD.TYPE_MESSAGE, "*ModelOutput"),
        ("dynamic_batching", 11, FIELD.TYPE_MESSAGE, "ModelDynamicBatching"),
        ("backend", 17, FIELD.TYPE_STRING, ""),
    ],
}
"""What our files use of the schema: field, number, type; `*` is repeated, the rest the type's name."""


@pytest.fixture(scope="module")
def schema():
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(TYPES):
        kinds.value.add(name=f"TYPE_{name}", number=number)
    for message, fields in MESSAGES.items():
        added = file.message_type.add(name=message)
        for name, number, kind, of in fields:
            label = FIELD.LABEL_REPEATED if of.startswith("*") else FIELD.LABEL_OPTIONAL
            field = added.field.add(name=name, number=number, type=kind, label=label)
            if of.strip("*"):
                field.type_name = f".inference.{of.strip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def manifest(inputs, outputs):
    return Manifest(1, "mine", 1, "tensors", inputs, outputs, [], [], [], {}, None, [], {}, "", {})


def test_every_dtype_and_several_tensors(schema):
    inputs = [Tensor(f"in_{dtype}", dtype, ["batch", "time", 3]) for dtype in triton.TYPES]
    outputs = [Tensor("score", "float32", ["batch"]), Tensor("labels", "string", ["batch", 2])]
    read = text_format.Parse(triton.config(manifest(inputs, outputs)), schema())
    assert (read.name, read.backend, read.max_batch_size) == ("mine", "onnxruntime", 64)
    assert read.HasField("dynamic_batching")
    names = {"float16": "FP16", "float32": "FP32", "float64": "FP64"}
    for tensor, declared in zip(read.input, inputs, strict=True):
        assert tensor.name == declared.name
        assert TYPES[tensor.data_type] == names.get(declared.dtype, declared.dtype.upper())
        assert list(tensor.dims) == [-1, 3]
    assert [(list(y.dims), y.HasField("reshape")) for y in read.output] == [([1], True), ([2], False)]
    assert list(read.output[0].reshape.shape) == []


@pytest.mark.parametrize("shape", [[3, 4], [3, "time"], []])
def test_a_model_whose_first_size_is_no_batch_is_told_all_sizes(schema, shape):
    made = manifest([Tensor("x", "float32", shape)], [Tensor("y", "float32", ["batch", 2])])
    read = text_format.Parse(triton.config(made), schema())
    assert read.max_batch_size == 0
    assert not read.HasField("dynamic_batching")
    assert list(read.input[0].dims) == [-1 if size == "time" else size for size in shape] or [1]
    assert list(read.output[0].dims) == [-1, 2]


def test_a_name_may_hold_any_character(schema):
    made = manifest([Tensor('a "b"\\', "float32", ["batch", 1])], [Tensor("größe", "bool", ["batch", 1])])
    read = text_format.Parse(triton.config(made), schema())
    assert (read.input[0].name, read.output[0].name) == ('a "b"\\', "größe")


def test_a_dtype_that_no_engine_serves_is_refused():
    with pytest.raises(UserError, match="x is of complex64"):
        triton.config(manifest([Tensor("x", "complex64", ["batch"])], []))


def test_the_kserve_examples_are_inference_services_of_this_layout():
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    services = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    models = {service["spec"]["predictor"]["model"]["modelFormat"]["name"]: service for service in services}
    assert models.keys() == {"triton", "tensorflow"}
    assert all(service["kind"] == "InferenceService" for service in services)
    assert models["triton"]["spec"]["predictor"]["model"]["storageUri"].endswith("/models")
    assert models["tensorflow"]["spec"]["predictor"]["model"]["storageUri"].endswith("/models/mnist_cnn")
