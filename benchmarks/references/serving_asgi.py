"""The smallest possible ASGI server: it runs the model in the event loop, without checks and metrics.

    MODEL=model.onnx uvicorn serving_asgi:app --app-dir benchmarks/references

An upper bound for the speed of a Python server at one connection. Binary tensors come only after the JSON.
"""

import os

import numpy as np
import onnxruntime
import orjson

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
(name,) = (tensor.name for tensor in session.get_inputs())
(output,) = (tensor.name for tensor in session.get_outputs())


async def app(scope, receive, send):
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    length = next((int(value) for key, value in scope["headers"] if key == b"inference-header-content-length"), 0)
    tensor = orjson.loads(body[:length] if length else body)["inputs"][0]
    x = np.frombuffer(body, "<f4", offset=length) if length else np.array(tensor["data"], "float32")
    (y,) = session.run(None, {name: x.reshape(tensor["shape"])})
    result = {"name": output, "shape": y.shape, "datatype": "FP32"}
    if length:
        result["parameters"] = {"binary_data_size": y.nbytes}
        head = orjson.dumps({"model_name": "model", "outputs": [result]})
        body = head + y.tobytes()
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"inference-header-content-length", b"%d" % len(head)),
        ]
    else:
        result["data"] = y.ravel()
        body = orjson.dumps({"model_name": "model", "outputs": [result]}, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = [(b"content-type", b"application/json")]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
