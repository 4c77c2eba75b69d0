"""Introductory deep learning as Keras objects, from the formula to the endpoint.

`import kerasfound` loads nothing heavy: each room below is imported when it is first used.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasfound import activations, data, export, layers, losses, optimizers, recipes, serving, training

__version__ = "0.1.0"
__all__ = ["activations", "data", "export", "layers", "losses", "optimizers", "recipes", "serving", "training"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
