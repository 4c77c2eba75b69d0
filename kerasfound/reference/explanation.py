"""What a block is, from its docstring and its code: `kerasfound explain NAME` and `kerasfound.explain(block)`."""

import ast
import difflib
import inspect
import os
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasfound.errors import UserError

from .catalog import Block, blocks, folded
from .latex import readable

EQUATIONS = ("update_step", "call", "__call__", "compute_loss", "update_state")
"""The methods of a block that hold its equation."""

WIDTH = 100


def explain(block: Any) -> "Explanation":
    """Formula, derivative, arguments, practice, source and code of a block.

    Args:
        block: its name (`"Adam"`, `"leaky relu"`, `"gradients.check"`), the function or class itself, an instance of
            it, or the Keras object of the same name. Of a loss, a schedule or an optimizer, `plot` draws
            the instance that was given.

    Returns:
        an `Explanation`, which prints as text, shows in a notebook, and has `plot(path)`.

    Raises:
        kerasfound.errors.UserError: if there is no such block; the nearest names are offered.

    Example:
        >>> print(*str(explain("tanh")).splitlines()[:4], sep="\\n")
        tanh (activation)
        The sigmoid stretched to -1 ... 1, so that zero stays zero.
        <BLANKLINE>
            y = tanh x = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ) = 2 σ(2x) - 1
    """
    if isinstance(block, str):
        found, *others = _named(block)
        return Explanation(found, found.object, tuple(others))
    ancestry = (block if inspect.isclass(block) else type(block)).__mro__
    for candidate in (block, *ancestry):
        for known in blocks():
            if candidate is known.object:
                return Explanation(known, block)
    name = getattr(block, "__name__", type(block).__name__)
    found, *others = _named(name)
    return Explanation(found, found.object, tuple(others))


def _named(name: str) -> list[Block]:
    """The blocks that `name` may mean, the likeliest first."""
    room, _, last = name.strip().rpartition(".")
    found = [block for block in blocks() if folded(block.name) == folded(last)]
    found = [block for block in found if not room or room.split(".")[-1] in block.object.__module__.split(".")]
    if not found:
        offer = " or ".join(f'"{near}"' for near in _nearest(last))
        raise UserError(
            f'no block "{name}".{f" Did you mean {offer}?" if offer else ""}  See `kerasfound list blocks`.'
        )
    return sorted(found, key=lambda block: block.name != last)


def _nearest(name: str) -> list[str]:
    names = {folded(block.name): block.name for block in reversed(blocks())}  # of two alike, the first
    near = difflib.get_close_matches(folded(name), names, n=3)
    near += [known for known in names if len(name) > 2 and folded(name) in known and known not in near]
    return [names[known] for known in near[:3]]


@dataclass(frozen=True)
class Explanation:
    """A block, explained: prints as text, shows as Markdown in a notebook, draws a picture."""

    block: Block
    subject: Any
    """What was asked about: the block, or an instance of it."""
    others: tuple[Block, ...] = ()
    """Blocks whose names are spelled almost alike."""

    def __str__(self) -> str:
        block = self.block
        parts = [f"{block.name} ({block.kind})\n{_filled(block.summary)}", _paragraphs(block.sections["idea"])]
        for heading, body in list(block.sections.items())[1:]:
            text = _arguments(body) if heading == "Args" else body if heading == "Example" else _paragraphs(body)
            parts.append(f"{_title(heading)}\n{textwrap.indent(text, '    ')}")
        for piece in equation(block.object):
            parts.append(f"Code  {piece.place}\n{textwrap.indent(piece.code, '    ')}")
        parts += [f"See also the {other.kind} `{other.name}`." for other in self.others]
        return "\n\n".join(part for part in parts if part) + "\n"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        block = self.block
        parts = [f"### {block.name} ({block.kind})", f"**{block.summary}**", block.sections["idea"]]
        for heading, body in list(block.sections.items())[1:]:
            if heading == "Args":
                body = "\n".join(f"- {' '.join(entry.split())}" for entry in _entries(body))
            elif heading == "Example":
                body = f"```python\n{body}\n```"
            parts.append(f"**{_title(heading)}**\n\n{body}")
        parts += [f"**Code** `{piece.place}`\n\n```python\n{piece.code}\n```" for piece in equation(block.object)]
        parts += [f"See also the {other.kind} `{other.name}`." for other in self.others]
        return "\n\n".join(part for part in parts if part)

    def plot(self, path: str | Path) -> Path:
        """Draw the block into a file: a .png or a .svg."""
        path = Path(path)
        if path.suffix.lower() not in (".png", ".svg"):
            raise UserError(f"{path}: a picture is a .png or a .svg file.")
        try:
            from .plots import blocks
        except ModuleNotFoundError as error:
            raise UserError(
                f'a picture needs {error.name}, which is not installed: pip install "kerasfound[recipes]"'
            ) from error
        blocks.save(blocks.draw(self.block, self.subject), path)
        return path


def _title(heading: str) -> str:
    return "Arguments" if heading == "Args" else heading


def _paragraphs(body: str) -> str:
    """Prose filled to the width, displayed formulas on lines of their own."""
    texts: list[str] = []
    for part in re.split(r"\n\s*\n|(\$\$.*?\$\$)", body, flags=re.DOTALL):
        if part and part.startswith("$$"):
            formula = textwrap.indent(readable(part.strip("$")), "    ")
            is_next_line = texts and texts[-1].startswith("    ")
            texts[-1:] = [f"{texts[-1]}\n{formula}"] if is_next_line else [*texts[-1:], formula]
        elif part and part.strip():
            texts.append(_filled(part))
    return "\n\n".join(texts)


def _filled(text: str, later_lines: str = "") -> str:
    text = re.sub(r"\$([^$]+)\$", lambda found: _unbroken(readable(found[1])), " ".join(text.split()))
    text = textwrap.fill(text, WIDTH, subsequent_indent=later_lines, break_on_hyphens=False, break_long_words=False)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _unbroken(formula: str) -> str:
    return formula.replace(" ", "\N{NO-BREAK SPACE}") if len(formula) < WIDTH / 2 else formula


def _entries(body: str) -> list[str]:
    return re.split(r"\n(?=\S)", body)


def _arguments(body: str) -> str:
    return "\n".join(_filled(entry, "    ") for entry in _entries(body))


@dataclass(frozen=True)
class Piece:
    """A part of the code, without its docstring."""

    place: str
    code: str


def equation(block: Any) -> list[Piece]:
    """The code that is the formula: the function, or the methods that hold the equation, and what they call.

    A class without such a method of its own is shown whole.
    """
    if not inspect.isclass(block):
        return [_piece(function) for function in _with_helpers([inspect.unwrap(block)])]
    methods = [getattr(block, name) for name in EQUATIONS if _is_ours(getattr(block, name, None))]
    return [_piece(code) for code in _with_helpers(methods, block)] or [_piece(block)]


def _with_helpers(functions: list[Any], block: Any = None) -> list[Any]:
    """`functions`, and what they call in their own class and module."""
    for function in list(functions):
        source = inspect.getsource(function)
        called = [getattr(block, name, None) for name in re.findall(r"\bself\.(\w+)\(", source)]
        called += [function.__globals__.get(name) for name in re.findall(r"(?<![.\w])(_\w+)\(", source)]
        for helper in called:
            is_check = getattr(helper, "__name__", "").startswith("_check")
            if inspect.isfunction(helper) and _is_ours(helper) and not is_check and helper not in functions:
                functions.append(helper)
    return functions


def _is_ours(code: Any) -> bool:
    return getattr(code, "__module__", "").startswith("kerasfound.")


def _piece(code: Any) -> Piece:
    lines, start = inspect.getsourcelines(code)
    source = textwrap.dedent("".join(lines))
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    kept = source.splitlines()
    if ast.get_docstring(node, clean=False) is not None:
        docstring = node.body[0]
        del kept[docstring.lineno - 1 : docstring.end_lineno]
        if kept[docstring.lineno - 1 : docstring.lineno] == [""]:
            del kept[docstring.lineno - 1]
    kept = kept[node.lineno - 1 :]  # no decorators
    file = inspect.getsourcefile(code) or ""
    shown = os.path.relpath(file) if Path(file).is_relative_to(Path.cwd()) else file
    return Piece(f"{shown}:{max(start, 1) + node.lineno - 1}", re.sub(r"\n\n+", "\n\n", "\n".join(kept)))
