"""Packages whose modules are imported at their first use."""

import contextlib
import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import lazy_loader

from kerasfound._stderr import stderr_only_on_error
from kerasfound.errors import NotInstalledError


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package, from the stub next to its `__init__` file.

    If Keras is missing, the first use of a name that needs it raises `NotInstalledError`.
    """
    load, list_names, names = lazy_loader.attach_stub(package, file)

    def load_or_explain(name: str) -> Any:
        # what is loaded first imports Keras and its backend, which log messages
        quiet = contextlib.nullcontext() if "keras" in sys.modules else stderr_only_on_error()
        try:
            with quiet:
                return load(name)
        except ModuleNotFoundError as error:
            if error.name != "keras":
                raise
            raise NotInstalledError(
                f"{package}.{name} needs Keras, which", 'pip install "kerasfound[tensorflow]"'
            ) from error

    return load_or_explain, list_names, names


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
