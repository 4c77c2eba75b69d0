"""Trained model -> verified bundle. Nothing appears that was not proven to answer as the model does."""

from kerasfound import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
