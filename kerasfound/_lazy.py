"""Rooms that are imported when they are first used."""

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
