"""A small model server: serves bundles of `kerasfound export` with two HTTP protocols, without Keras or TensorFlow.

Read the files in this order:

    server.py            `serve`: its settings, the socket, signals, worker processes
    uvicorn_server.py    one process: uvicorn, its connections, watching the folder, the graceful shutdown
    app.py, state.py     one request: route, API key, limits, metrics, log; the state that all requests share
    http.py, routing.py  requests, responses and paths; limits.py, client_error.py, metrics.py belong to them
    protocols/           tensorflow_serving.py and open_inference.py are the protocols, triton_extensions.py and
                         openapi.py add to them; web_ui.py serves the files of page/
    tensor_codec.py      JSON and bytes to arrays and back; raw_inputs.py does this for images and texts
    model.py             one loaded bundle, checked against its manifest; text_generation.py runs language models
    batching.py          which requests share one call of a model
    model_repository.py  the models and versions in the folder, and the version that a request gets; model_loader.py
                         verifies and opens one version

Importing this package is cheap: `serve` loads ONNX Runtime, NumPy and uvicorn.
"""

from .server import serve

__all__ = ["serve"]
