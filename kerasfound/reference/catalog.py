"""The list of all blocks, each with the sections of its docstring."""

import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from kerasfound import activations, gradients, initializers, layers, losses, optimizers, schedules

MODULES = {
    "activation": activations,
    "loss": losses,
    "initializer": initializers,
    "schedule": schedules,
    "layer": layers,
    "optimizer": optimizers,
    "gradients": gradients,
}

HEADINGS = ("Derivative", "Shapes", "Range", "Units", "Args", "Returns", "Raises", "In practice", "Source", "Example")
"""The headings of a docstring, in the order in which they are shown."""

HEADING = re.compile(rf"^({'|'.join(HEADINGS)}):(?:[ ]|$)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One public function or class of the theory."""

    kind: str
    name: str
    object: Any

    @property
    def summary(self) -> str:
        return _docstring(self.object).splitlines()[0]

    @property
    def sections(self) -> dict[str, str]:
        """The docstring by heading, in the order of `HEADINGS`; the text before the first heading is the "idea"."""
        idea, *rest = HEADING.split(_docstring(self.object))
        bodies = dict(zip(rest[::2], rest[1::2], strict=True))
        sections = {heading: _dedented(bodies[heading]) for heading in HEADINGS if heading in bodies}
        return {"idea": idea.partition("\n")[2].strip()} | sections

    @property
    def formula(self) -> list[str]:
        """The displayed formulas, in LaTeX."""
        return re.findall(r"\$\$(.*?)\$\$", self.sections["idea"], re.DOTALL)


@functools.cache
def blocks() -> tuple[Block, ...]:
    """All public blocks, by kind, each kind in the order of its module."""
    return tuple(
        Block(kind, name, getattr(module, name)) for kind, module in MODULES.items() for name in _public_names(module)
    )


def _public_names(module: Any) -> Iterator[str]:
    if module is gradients:
        yield "check"
    elif hasattr(module, "__all__"):
        yield from module.__all__
    else:  # the module defines helpers too: only what Keras can load from a file is a block
        registered = (name for name, value in vars(module).items() if _is_registered(value, module))
        yield from (name for name in registered if not name.startswith("_"))


def _is_registered(value: Any, module: Any) -> bool:
    return (
        (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
        and keras.saving.get_registered_name(value).startswith("kerasfound>")
    )


def search_key(name: str) -> str:
    """Return `name` in lower case, without spaces, hyphens and underscores: "leaky relu" equals "LeakyReLU"."""
    return re.sub(r"[\s_-]", "", name).casefold()


def _docstring(block: Any) -> str:
    return inspect.cleandoc(block.__doc__ or "")


def _dedented(body: str) -> str:
    first, _, rest = body.partition("\n")
    return f"{first.strip()}\n{textwrap.dedent(rest)}".strip()
