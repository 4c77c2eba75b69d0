"""A traced Keras model as an ONNX graph."""
