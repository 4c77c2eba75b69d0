"""TensorFlow operations that tf2onnx does not convert, or converts wrongly."""
