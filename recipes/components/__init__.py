"""Parts of single recipes that are fitted to the training data and are therefore not layers of `kerasfound.layers`."""

from kerasfound import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
