"""The ideas of introductory deep learning: each in a paragraph, with its labs, its blocks and what to read."""

import functools
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

from kerasfound.errors import UserError

from .names import block_names, search_key, similar

WIDTH = 100


@dataclass(frozen=True)
class Idea:
    """One idea.

    Args:
        name: its usual name.
        also: other names and the words that people search for.
        text: what it is, in a paragraph.
        labs: the labs that test claims about it.
        blocks: the blocks that it is about.
        reading: what to read next: author, title, year.
    """

    name: str
    text: str
    also: tuple[str, ...] = ()
    labs: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.name} (idea)", textwrap.fill(self.text, WIDTH)]
        commands = [f"kerasfound lab {lab.replace('_', '-')}" for lab in self.labs]
        blocks = [f"kerasfound explain {block}" for block in self.blocks]
        for title, lines in (("Labs", commands), ("Blocks", blocks), ("Reading", self.reading)):
            if lines:
                parts.append("\n".join([title, *(f"    {line}" for line in lines)]))
        return "\n\n".join(parts) + "\n"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        parts = [f"### {self.name}", self.text]
        labs, blocks = ([f"`{name}`" for name in names] for names in (self.labs, self.blocks))
        for title, lines in (("Labs", labs), ("Blocks", blocks), ("Reading", self.reading)):
            if lines:
                parts.append("\n".join([f"**{title}**", "", *(f"- {line}" for line in lines)]))
        return "\n\n".join(parts)

    def plot(self, path: str | Path) -> Path:
        """Raise an error that names a lab of the idea, which draws a figure."""
        lab = self.labs[0].replace("_", "-")
        raise UserError(f"the idea {self.name} has no plot; its labs draw figures: kerasfound lab {lab} --out DIR")


@functools.cache
def ideas() -> tuple[Idea, ...]:
    """All ideas, in the order of the course."""
    rows = yaml.safe_load((Path(__file__).parent / "ideas.yaml").read_text())
    lists = ("also", "labs", "blocks", "reading")
    return tuple(Idea(**row | {key: tuple(row.get(key, ())) for key in lists}) for row in rows)


@functools.cache
def names() -> dict[str, Idea]:
    """Every name under which an idea is found, in the form of `search_key`: its own, its other names, its labs."""
    found: dict[str, Idea] = {}
    for idea in ideas():
        for name in (idea.name, *idea.also, *idea.labs):
            found.setdefault(search_key(name), idea)
    return found


def find(name: str) -> Idea:
    """The idea of this name, of another name for it, or of one of its labs.

    Raises:
        kerasfound.errors.UserError: if there is no such idea; the message suggests similar names of ideas and blocks.
    """
    idea = names().get(search_key(name))
    if idea:
        return idea
    known = [block for blocks in block_names().values() for block in blocks]
    known += [each for idea in ideas() for each in (idea.name, *idea.also)]
    suggestions = " or ".join(f'"{each}"' for each in similar(name.rpartition(".")[2], known))
    hint = f" Did you mean {suggestions}?" if suggestions else ""
    raise UserError(f'no block or idea "{name}".{hint}  See `kerasfound list blocks` and `kerasfound list ideas`.')
