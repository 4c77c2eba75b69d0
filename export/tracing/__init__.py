"""A Keras model as one TensorFlow graph with named inputs, outputs and dynamic dimensions."""
