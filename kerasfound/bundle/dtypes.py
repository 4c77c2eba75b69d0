"""The element types of a bundle's tensors, and their names in NumPy, JSON, the engines and the protocols."""

from typing import Any, NamedTuple

import numpy as np


class Dtype(NamedTuple):
    """The names of one element type.

    Args:
        numpy: the NumPy scalar type.
        json: the Python type that JSON decodes to.
        onnxruntime: as an ONNX Runtime session reports it.
        tensorflow: as TensorFlow Serving's REST API writes it.
        open_inference: as the Open Inference Protocol writes it.
        triton: as Triton's model configuration writes it.
    """

    numpy: Any
    json: type
    onnxruntime: str
    tensorflow: str
    open_inference: str
    triton: str


DTYPES = {
    "bool": Dtype(np.bool_, bool, "tensor(bool)", "DT_BOOL", "BOOL", "TYPE_BOOL"),
    "uint8": Dtype(np.uint8, int, "tensor(uint8)", "DT_UINT8", "UINT8", "TYPE_UINT8"),
    "uint16": Dtype(np.uint16, int, "tensor(uint16)", "DT_UINT16", "UINT16", "TYPE_UINT16"),
    "uint32": Dtype(np.uint32, int, "tensor(uint32)", "DT_UINT32", "UINT32", "TYPE_UINT32"),
    "uint64": Dtype(np.uint64, int, "tensor(uint64)", "DT_UINT64", "UINT64", "TYPE_UINT64"),
    "int8": Dtype(np.int8, int, "tensor(int8)", "DT_INT8", "INT8", "TYPE_INT8"),
    "int16": Dtype(np.int16, int, "tensor(int16)", "DT_INT16", "INT16", "TYPE_INT16"),
    "int32": Dtype(np.int32, int, "tensor(int32)", "DT_INT32", "INT32", "TYPE_INT32"),
    "int64": Dtype(np.int64, int, "tensor(int64)", "DT_INT64", "INT64", "TYPE_INT64"),
    "float16": Dtype(np.float16, float, "tensor(float16)", "DT_HALF", "FP16", "TYPE_FP16"),
    "float32": Dtype(np.float32, float, "tensor(float)", "DT_FLOAT", "FP32", "TYPE_FP32"),
    "float64": Dtype(np.float64, float, "tensor(double)", "DT_DOUBLE", "FP64", "TYPE_FP64"),
    "string": Dtype(np.object_, str, "tensor(string)", "DT_STRING", "BYTES", "TYPE_STRING"),
}
