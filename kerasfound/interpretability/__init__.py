"""Why did the model say so: what a prediction depends on, for any Keras model on TensorFlow and JAX."""

from kerasfound import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
