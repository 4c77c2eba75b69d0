"""The names of the blocks, read from the source code: a name is looked up without importing Keras."""

import ast
import difflib
import functools
import re
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
KINDS = {
    "activation": "activations/__init__.py",
    "loss": "losses/__init__.py",
    "initializer": "initializers.py",
    "schedule": "schedules.py",
    "layer": "layers/__init__.py",
    "optimizer": "optimizers/__init__.py",
    "gradients": "gradients.py",
}
"""The file whose `__all__` lists the blocks of a kind."""


@functools.cache
def block_names() -> dict[str, tuple[str, ...]]:
    """The names of the blocks of each kind."""
    return {kind: _listed(PACKAGE / file) for kind, file in KINDS.items()}


def _listed(file: Path) -> tuple[str, ...]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return tuple(ast.literal_eval(node.value))
    raise ValueError(f"{file} has no `__all__`.")


def search_key(name: str) -> str:
    """Return `name` in lower case, without spaces, hyphens and underscores: "leaky relu" equals "LeakyReLU"."""
    return re.sub(r"[\s_-]", "", name).casefold()


def is_block(name: str) -> bool:
    """Whether a block has this name, which may name its module too: "layers.dense"."""
    last = search_key(name.strip().rpartition(".")[2])
    return any(search_key(known) == last for names in block_names().values() for known in names)


def similar(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the known names: first those that are spelled alike, then those that contain `name`.

    Example:
        >>> similar("reLu", ["Adam", "relu", "leaky_relu"])
        ['relu', 'leaky_relu']
    """
    names = {search_key(other): other for other in reversed(list(known))}  # the first of equal keys wins
    close = difflib.get_close_matches(search_key(name), names, n=3, cutoff=0.7)
    close += [key for key in names if len(name) > 2 and search_key(name) in key and key not in close]
    return [names[key] for key in close[:3]]
