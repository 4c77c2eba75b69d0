"""The HTTP protocols: TensorFlow Serving's REST API, the Open Inference Protocol, Triton's extensions, OpenAPI."""
