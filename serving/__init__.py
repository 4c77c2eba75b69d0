"""A small model server: bundles of `kerasfound export` in, two HTTP protocols out, without Keras or TensorFlow.

    client -> app.py (paths, limits, errors) -> v1.py, v2.py, triton.py (protocols) -> tensors.py, raw.py -> model.py

`repository.py` finds and checks the bundles, `server.py` binds the port and runs the lot. Importing this package is
cheap: ONNX Runtime, NumPy and uvicorn are loaded by `serve`.
"""

from kerasfound.serving.server import serve

__all__ = ["serve"]
