"""Registers all blocks with Keras as soon as Keras is imported, so that `keras.saving.load_model` knows them."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def register_blocks_with_keras() -> None:
    """Register the blocks now if Keras is imported already, otherwise right after its import."""
    if "keras" in sys.modules:
        importlib.import_module("kerasfound.saving")
    else:
        sys.meta_path.insert(0, RegisterAfterImport())


class RegisterAfterImport:
    """An import hook that registers the blocks when Keras is imported.

    One of our own modules may be what imports Keras. The blocks are then registered after that module.
    """

    def __init__(self) -> None:
        self.being_found: list[str] = []
        self.being_imported: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if (name != "keras" and not name.startswith("kerasfound.")) or name in self.being_found:
            return None
        self.being_found.append(name)
        spec = importlib.util.find_spec(name)  # by the other finders
        self.being_found.remove(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: self._execute_and_register(execute, module)  # type: ignore[method-assign]
        return spec

    def _execute_and_register(self, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
        self.being_imported.append(module.__name__)
        try:
            execute(module)
        finally:
            self.being_imported.remove(module.__name__)
        if "keras" in sys.modules and not self.being_imported and self in sys.meta_path:
            sys.meta_path.remove(self)  # type: ignore[arg-type]
            importlib.import_module("kerasfound.saving")
