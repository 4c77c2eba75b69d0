"""A model of Triton's Python backend for an ONNX file; `benchmarks/serving.py` copies it to `model.py`."""

import json

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        file = json.loads(args["model_config"])["parameters"]["file"]["string_value"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        (self.input,) = (tensor.name for tensor in self.session.get_inputs())
        (self.output,) = (tensor.name for tensor in self.session.get_outputs())

    def execute(self, requests):
        rows = [triton.get_input_tensor_by_name(request, self.input).as_numpy() for request in requests]
        (outputs,) = self.session.run(None, {self.input: rows[0] if len(rows) == 1 else np.concatenate(rows)})
        ends = np.cumsum([len(x) for x in rows])[:-1]
        return [triton.InferenceResponse([triton.Tensor(self.output, y)]) for y in np.split(outputs, ends)]
