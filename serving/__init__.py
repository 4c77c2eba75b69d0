"""A small model server: bundles of `kerasfound export` in, two HTTP protocols out, without Keras or TensorFlow.

To be read in this order:

    server.py       what `serve` is told, the socket, signals, worker processes
    process.py      one process: uvicorn, its connections, the watch over the folder, the way down
    app.py          one request: its route, who may ask, bounds, counts and log (web, routes, errors, limits, metrics)
    v1.py, v2.py    the two protocols; triton.py has the extensions, page.py and openapi.py the rest
    tensors.py      arrays from JSON and bytes, and back; raw.py: from pictures and texts
    model.py        one bundle opened, and held against what it promises; writing.py: a language model
    batching.py     who is asked together with whom
    repository.py   which versions of which models there are, and who is meant

Importing this package is cheap: ONNX Runtime, NumPy and uvicorn are loaded by `serve`.
"""

from .server import serve

__all__ = ["serve"]
