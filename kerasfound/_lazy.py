"""Rooms that are imported when they are first used."""

import importlib
import types
from collections.abc import Callable
from typing import Any

import lazy_loader

from kerasfound.errors import NotInstalledError


def attach(room: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a room, from the stub beside its `__init__` file.

    Where Keras is missing, it is said when something is first used that needs it.
    """
    found, listed, names = lazy_loader.attach_stub(room, file)

    def used(name: str) -> Any:
        try:
            return found(name)
        except ModuleNotFoundError as error:
            if error.name != "keras":
                raise
            raise NotInstalledError(
                f"{room}.{name} needs Keras, which", 'pip install "kerasfound[tensorflow]"'
            ) from error

    return used, listed, names


class LazyModule(types.ModuleType):
    """A module that is imported when one of its attributes is first used."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)  # from now on a plain attribute
        return value


def module(name: str) -> Any:
    """Return a stand-in for an expensive module, so that a file can name its imports at the top.

    Type checkers do not follow it: import the module itself under `if TYPE_CHECKING`.

    Example:
        >>> math = module("math")
        >>> math.sqrt(9.0)
        3.0
    """
    return LazyModule(name)
