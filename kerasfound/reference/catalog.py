"""The list of all blocks, each with the sections of its docstring."""

import functools
import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import Any

from kerasfound import activations, gradients, initializers, layers, losses, optimizers, schedules

from .names import block_names

MODULES = (activations, losses, initializers, schedules, layers, optimizers, gradients)
"""The modules of the kinds in `names.KINDS`, in this order."""

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
        Block(kind, name, getattr(module, name))
        for (kind, names), module in zip(block_names().items(), MODULES, strict=True)
        for name in names
    )


def _docstring(block: Any) -> str:
    return inspect.cleandoc(block.__doc__ or "")


def _dedented(body: str) -> str:
    first, _, rest = body.partition("\n")
    return f"{first.strip()}\n{textwrap.dedent(rest)}".strip()
