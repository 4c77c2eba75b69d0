"""Parts of single recipes that are not layers of `kerasfound.layers`: most are fitted to the training data."""

from kerasfound import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
