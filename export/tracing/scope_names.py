"""Names of layers as scopes of a TensorFlow graph, which accept fewer characters, for a model called "mein Modell"."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from .patching import replace_function

REFUSED = re.compile(r"[^A-Za-z0-9_.\\/>-]")
STARTS = re.compile(r"[A-Za-z0-9.]")
"""A scope that lies in no other starts with one of these."""


def scope_name(name: str) -> str:
    """The name of a layer as a scope.

    Example:
        >>> scope_name("mein Modell"), scope_name("dense_1"), scope_name("映画")
        ('mein_Modell', 'dense_1', 'layer__')
    """
    valid = REFUSED.sub("_", name)
    return valid if not valid or STARTS.match(valid) else f"layer{valid}"


@contextlib.contextmanager
def any_layer_name() -> Iterator[None]:
    """Trace and save layers whose names are no valid scopes. Layers and their variables open scopes of their names."""

    def open_valid_scope(open_scope: Callable) -> Callable:
        def name_scope(self: tf.Graph, name: str | None) -> Any:
            return open_scope(self, scope_name(name) if name else name)

        return name_scope

    with replace_function(tf.Graph, "name_scope", open_valid_scope):
        yield
