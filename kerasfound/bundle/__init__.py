"""The contract between export and serving: what a bundle on disk holds, and how outputs are compared."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
