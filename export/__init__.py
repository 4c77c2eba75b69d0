"""Export a trained model to ONNX, a SavedModel or a bundle of both. Every file is verified against the model."""

from kerasfound import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
