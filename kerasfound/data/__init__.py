"""Data sets, named or your own, as NumPy splits and a schema: the same arrays on every backend."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
