"""Packages whose modules are imported at their first use."""

from collections.abc import Callable
from typing import Any

import lazy_loader

from kerasfound.errors import NotInstalledError


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package, from the stub next to its `__init__` file.

    If Keras is missing, the first use of a name that needs it raises `NotInstalledError`.
    """
    load, list_names, names = lazy_loader.attach_stub(package, file)

    def load_or_explain(name: str) -> Any:
        try:
            return load(name)
        except ModuleNotFoundError as error:
            if error.name != "keras":
                raise
            raise NotInstalledError(
                f"{package}.{name} needs Keras, which", 'pip install "kerasfound[tensorflow]"'
            ) from error

    return load_or_explain, list_names, names
