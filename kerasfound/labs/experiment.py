"""`@lab` makes an experiment of a function: its keyword arguments are the knobs, checked against their bounds."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import time
import typing
from collections.abc import Callable
from typing import Annotated, Any

from kerasfound import _lazy
from kerasfound.errors import UserError

from .evidence import Evidence, Result

if typing.TYPE_CHECKING:
    import keras
else:
    keras = _lazy.module("keras")


@dataclasses.dataclass(frozen=True)
class Between:
    """The bounds of a knob, both included: `Annotated[int, Between(1, 100)]`."""

    low: float
    high: float


Seeds = Annotated[int, Between(2, 100)]
"""The number of seeds; the intervals need two."""
BACKENDS = ("tensorflow", "jax")


def lab(claim: str, who: str) -> Callable[[Callable[..., Evidence]], Lab]:
    """Decorate the function of an experiment.

    Args:
        claim: the claim in one sentence, without its full stop.
        who: who makes it: author, work and year, or "introductions".
    """
    return lambda function: Lab(function, claim, who)


class Lab:
    """An experiment on one claim. Calling it with knobs runs it and returns a `Result`."""

    def __init__(self, function: Callable[..., Evidence], claim: str, who: str):
        functools.update_wrapper(self, function)
        self.function = function
        self.claim = claim
        self.who = who

    @property
    def name(self) -> str:
        return self.function.__name__

    def __call__(self, **knobs: Any) -> Result:
        """Run the experiment.

        Raises:
            kerasfound.errors.UserError: if a knob does not exist or is out of range, or on a backend that labs do not
                run on.
        """
        knobs = self.complete(knobs)
        backend = keras.backend.backend()
        if backend not in BACKENDS:
            raise UserError(f"labs run on the backends {' and '.join(BACKENDS)}, not on {backend}; set KERAS_BACKEND.")
        start = time.process_time()
        evidence = self.function(**knobs)
        return Result(self.name, self.claim, self.who, knobs, backend, time.process_time() - start, evidence)

    def complete(self, knobs: dict[str, Any]) -> dict[str, Any]:
        """Check the knobs and add the defaults of the others."""
        parameters = inspect.signature(self.function).parameters
        hints = typing.get_type_hints(self.function, include_extras=True)
        for name, value in knobs.items():
            if name not in parameters:
                close = difflib.get_close_matches(name, parameters, n=1)
                hint = f" Did you mean `{close[0]}`?" if close else ""
                raise UserError(f"lab {self.name} has no knob '{name}'; its knobs: {', '.join(parameters)}.{hint}")
            _check_value(name, value, hints[name])
        return {name: knobs.get(name, parameter.default) for name, parameter in parameters.items()}

    def __repr__(self) -> str:
        return f"<lab {self.name}: {self.claim}>"


def _check_value(name: str, value: Any, hint: Any) -> None:
    kind, *metadata = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    if typing.get_origin(kind) is typing.Literal:
        if value not in (choices := typing.get_args(kind)):
            raise UserError(f"`{name}` must be {', '.join(map(str, choices))}, got {value!r}.")
        return
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise UserError(f"`{name}` must be {'a number' if kind is float else 'a whole number'}, got {value!r}.")
    for bounds in metadata:
        if isinstance(bounds, Between) and not bounds.low <= value <= bounds.high:
            raise UserError(f"`{name}` must be between {bounds.low:,} and {bounds.high:,}, got {value:,}.")
