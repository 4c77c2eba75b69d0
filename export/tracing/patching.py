"""Replace attributes of Keras for the one thread that traces; every other thread sees the original.

Keras has no public hook for these places. A changed copy of the model does not help, because a subclassed model cannot
be copied with its variables. So the attribute is replaced on the class, and the replacement checks which thread runs.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

lock = threading.RLock()
"""Held while attributes are replaced: one thread traces at a time."""


@contextlib.contextmanager
def replace_function(owner: Any, name: str, make_replacement: Callable[[Callable], Callable]) -> Iterator[None]:
    """Call another function instead of `owner.name` in this thread.

    Args:
        owner: a class or a module.
        name: the method or function.
        make_replacement: original function to one that takes the same arguments.
    """
    with lock:
        original, thread = getattr(owner, name), threading.get_ident()
        replacement = make_replacement(original)

        @functools.wraps(original)
        def dispatch(*args: Any, **kwargs: Any) -> Any:
            return (replacement if threading.get_ident() == thread else original)(*args, **kwargs)

        with _set_attribute(owner, name, dispatch):
            yield


@contextlib.contextmanager
def replace_values(cls: type, name: str, values: list[tuple[Any, Any]]) -> Iterator[None]:
    """Read the attribute `name` of some instances of `cls` from `values` in this thread.

    Args:
        cls: a class of all the instances.
        name: an attribute that each instance stores in its `__dict__`.
        values: pairs of an instance and its value.
    """
    with lock, contextlib.ExitStack() as stack:
        if values:
            stack.enter_context(_set_attribute(cls, name, _ValuesOfThread(name, values, vars(cls).get(name))))
        yield


class _ValuesOfThread:
    """A data descriptor, which Python reads before the `__dict__` of an instance."""

    def __init__(self, name: str, values: list[tuple[Any, Any]], outer: Any):
        self.name = name
        self.values = {id(instance): value for instance, value in values}
        self.outer = outer if isinstance(outer, _ValuesOfThread) else None
        self.thread = threading.get_ident()

    def __get__(self, instance: Any, cls: type) -> Any:
        if instance is None:
            return self
        if threading.get_ident() == self.thread and id(instance) in self.values:
            return self.values[id(instance)]
        if self.outer:
            return self.outer.__get__(instance, cls)
        try:
            return vars(instance)[self.name]
        except KeyError:
            raise AttributeError(f"{cls.__name__} has no attribute {self.name}") from None

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self.name] = value

    def __delete__(self, instance: Any) -> None:
        del vars(instance)[self.name]


@contextlib.contextmanager
def _set_attribute(owner: Any, name: str, value: Any) -> Iterator[None]:
    is_inherited = name not in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
