"""Introductory deep learning as Keras objects, from the formula to the endpoint.

`import kerasfound` loads nothing heavy: each room named in `__init__.pyi` is imported when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
