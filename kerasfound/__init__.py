"""Introductory deep learning as Keras objects, from the formula to the endpoint.

`import kerasfound` loads nothing heavy: each package named in `__init__.pyi` is imported when it is first used.
"""

import os

from kerasfound import _lazy, _registration

# since 1.29 ONNX Runtime sends telemetry and writes to the home folder, unless this is set before it is loaded
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# TensorFlow's C++ code logs its search for a GPU, also into notebooks; its errors raise exceptions
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
_registration.register_blocks_with_keras()
