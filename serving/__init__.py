"""A small model server: bundles of `kerasfound export` in, two HTTP protocols out, without Keras or TensorFlow.

    client -> app.py (paths, limits, errors) -> v1.py, v2.py, triton.py (protocols) -> tensors.py, raw.py -> model.py

`repository.py` finds and checks the bundles, `server.py` binds the port and runs the lot. Importing this package is
cheap: ONNX Runtime, NumPy and uvicorn are loaded by `serve`.
"""

import os

from kerasfound.serving.server import serve

# From 1.29 on ONNX Runtime reports to its maker and keeps a file at home, unless told otherwise before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["serve"]
