"""A plain FastAPI application in the style of its tutorial, with pydantic models of the request and the response.

MODEL=model.onnx uvicorn serving_fastapi:app --app-dir benchmarks/references
"""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferRequest(BaseModel):
    inputs: list[Tensor]


class InferResponse(BaseModel):
    outputs: list[Tensor]


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: InferRequest) -> InferResponse:
    feeds = {tensor.name: np.array(tensor.data, "float32").reshape(tensor.shape) for tensor in request.inputs}
    results = zip(session.get_outputs(), session.run(None, feeds), strict=True)
    return InferResponse(
        outputs=[
            Tensor(name=output.name, shape=list(y.shape), datatype="FP32", data=y.ravel().tolist())
            for output, y in results
        ]
    )
