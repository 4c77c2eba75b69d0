"""What a block is, from its docstring and its code: `kerasfound explain NAME` and `kerasfound.explain(block)`."""

import ast
import base64
import contextlib
import inspect
import os
import re
import tempfile
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kerasfound.errors import UserError

from . import ideas
from .catalog import Block, blocks
from .latex import readable
from .names import is_block, search_key

EQUATION_METHODS = ("update_step", "call", "__call__", "compute_loss", "update_state")
"""The methods of a block that hold its equation."""

WIDTH = 100


def explain(block: Any) -> "Explanation | ideas.Idea":
    """Explain a block: formula, derivative, arguments, practice, source and code. Or explain an idea.

    Args:
        block: its name (`"Adam"`, `"leaky relu"`, `"gradients.check"`), the function or class itself, an instance of
            it, or the Keras object of the same name. `plot` draws an instance of a loss, a schedule or an optimizer
            with its own settings. Or the name of an idea (`"overfitting"`) or of a lab.

    Returns:
        an `Explanation`. It prints as text, a notebook shows it as Markdown, and `plot(path)` draws it. For an idea an
        `Idea`, which prints and shows in the same way.

    Raises:
        kerasfound.errors.UserError: if there is no such block or idea; the message suggests similar names.

    Example:
        >>> print(*str(explain("tanh")).splitlines()[:4], sep="\\n")
        tanh (activation)
        The sigmoid stretched to -1 ... 1, so that zero stays zero.
        <BLANKLINE>
            y = tanh x = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ) = 2 σ(2x) - 1
    """
    if isinstance(block, str):
        return _explain_name(block)
    ancestors = (block if inspect.isclass(block) else type(block)).__mro__
    for candidate in (block, *ancestors):
        for known in blocks():
            if candidate is known.object:
                return Explanation(known, block)
    return _explain_name(getattr(block, "__name__", type(block).__name__))


def _explain_name(name: str) -> "Explanation | ideas.Idea":
    if is_block(name):
        best, *rest = _matches(name)
        return Explanation(best, best.object, tuple(rest))
    return ideas.find(name)


def _matches(name: str) -> list[Block]:
    """The blocks that `name` may mean, the best match first."""
    module, _, last = name.strip().rpartition(".")
    matches = [block for block in blocks() if search_key(block.name) == search_key(last)]
    if module:
        matches = [block for block in matches if module.split(".")[-1] in block.object.__module__.split(".")]
    if not matches:
        raise UserError(f'no block "{name}": {module} has none of this name.  See `kerasfound list blocks`.')
    return sorted(matches, key=lambda block: block.name != last)


@dataclass(frozen=True)
class Explanation:
    """The explanation of a block: prints as text, shows as Markdown with its plot in a notebook."""

    block: Block
    subject: Any
    """The object to explain: the block itself, or an instance of it."""
    see_also: tuple[Block, ...] = ()
    """Other blocks whose names differ only in case, spaces, hyphens or underscores."""

    def __str__(self) -> str:
        block = self.block
        parts = [f"{block.name} ({block.kind})\n{_filled(block.summary)}", _paragraphs(block.sections["idea"])]
        for heading, body in list(block.sections.items())[1:]:
            text = _arguments(body) if heading == "Args" else body if heading == "Example" else _paragraphs(body)
            parts.append(f"{_title(heading)}\n{textwrap.indent(text, '    ')}")
        for excerpt in equation(block.object):
            parts.append(f"{excerpt.title}  {excerpt.location}\n{textwrap.indent(excerpt.code, '    ')}")
        parts += self._references()
        return "\n\n".join(part for part in parts if part) + "\n"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        block = self.block
        parts = [f"### {block.name} ({block.kind})", f"**{block.summary}**", block.sections["idea"]]
        for heading, body in list(block.sections.items())[1:]:
            if heading == "Args":
                body = "\n".join(f"- {' '.join(argument.split())}" for argument in _argument_texts(body))
            elif heading == "Example":
                body = f"```python\n{body}\n```"
            parts.append(f"**{_title(heading)}**\n\n{body}")
        for excerpt in equation(block.object):
            parts.append(f"**{excerpt.title}** `{excerpt.location}`\n\n```python\n{excerpt.code}\n```")
        with contextlib.suppress(UserError):  # a block without a plot
            parts.insert(3, f"![plot](data:image/png;base64,{base64.b64encode(self._png()).decode()})")
        parts += self._references()
        return "\n\n".join(part for part in parts if part)

    def _references(self) -> list[str]:
        about = [idea.name for idea in ideas.ideas() if self.block.name in idea.blocks]
        blocks = [f"See also the {other.kind} `{other.name}`." for other in self.see_also]
        return blocks + [f"See also the idea `{name}`." for name in about]

    def _png(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return self.plot(Path(folder) / "plot.png").read_bytes()

    def plot(self, path: str | Path) -> Path:
        """Draw the block into a file, a .png or a .svg, and return its path."""
        path = Path(path)
        if path.suffix.lower() not in (".png", ".svg"):
            raise UserError(f"{path}: a plot is a .png or a .svg file.")
        try:
            from .plots import blocks, style
        except ModuleNotFoundError as error:
            raise UserError(
                f'a plot needs {error.name}, which is not installed: pip install "kerasfound[recipes]"'
            ) from error
        style.save(blocks.draw(self.block, self.subject), path)
        return path


def _title(heading: str) -> str:
    return "Arguments" if heading == "Args" else heading


def _paragraphs(body: str) -> str:
    """Wrap the text at `WIDTH`; each displayed formula stands on its own lines."""
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
    text = re.sub(r"\$([^$]+)\$", lambda match: _unbroken(readable(match[1])), " ".join(text.split()))
    text = textwrap.fill(text, WIDTH, subsequent_indent=later_lines, break_on_hyphens=False, break_long_words=False)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _unbroken(formula: str) -> str:
    return formula.replace(" ", "\N{NO-BREAK SPACE}") if len(formula) < WIDTH / 2 else formula


def _argument_texts(body: str) -> list[str]:
    return re.split(r"\n(?=\S)", body)


def _arguments(body: str) -> str:
    return "\n".join(_filled(argument, "    ") for argument in _argument_texts(body))


@dataclass(frozen=True)
class Excerpt:
    """A function or class of the source code, without its docstring."""

    location: str
    """File and line number."""
    code: str
    title: str = "Code"


def equation(block: Any) -> list[Excerpt]:
    """Return the code of the formula: the function, or the methods that hold the equation, and their helpers.

    A function that calls one operation of Keras comes with its `equation` in elementary operations, a recurrent layer
    with the methods of its cell. For a class that inherits all of these methods from Keras this is the whole class.
    """
    if not inspect.isclass(block):
        return [excerpt for function in _with_helpers([block]) for excerpt in _function_excerpts(function)]
    if hasattr(block, "cell_class"):
        return equation(block.cell_class)
    methods = [getattr(block, name) for name in EQUATION_METHODS if _is_ours(getattr(block, name, None))]
    code = [excerpt for function in _with_helpers(methods, block) for excerpt in _function_excerpts(function)]
    return code or [_excerpt(block)]


def _function_excerpts(function: Any) -> list[Excerpt]:
    code = _excerpt(inspect.unwrap(function))
    written_out = getattr(function, "equation", None)
    return [replace(_excerpt(written_out), title="Equation"), code] if written_out else [code]


def _with_helpers(functions: list[Any], block: Any = None) -> list[Any]:
    """Return `functions` and the functions of their own class, module and of `activations` that they call."""
    for function in list(functions):
        source = inspect.getsource(inspect.unwrap(function))
        names = inspect.unwrap(function).__globals__
        helpers = [getattr(block, name, None) for name in re.findall(r"\bself\.(\w+)\(", source)]
        helpers += [names.get(name) for name in re.findall(r"(?<![.\w])(_\w+)\(", source)]
        helpers += [
            getattr(names["activations"], name) for name in re.findall(r"(?<![.\w])activations\.(\w+)\(", source)
        ]
        for helper in helpers:
            is_check = getattr(helper, "__name__", "").startswith("_check")
            if inspect.isfunction(helper) and _is_ours(helper) and not is_check and helper not in functions:
                functions.append(helper)
    return functions


def _is_ours(code: Any) -> bool:
    return getattr(code, "__module__", "").startswith("kerasfound.")


def _excerpt(code: Any) -> Excerpt:
    lines, start = inspect.getsourcelines(code)
    source = textwrap.dedent("".join(lines))
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    body = source.splitlines()
    if ast.get_docstring(node, clean=False) is not None:
        docstring = node.body[0]
        del body[docstring.lineno - 1 : docstring.end_lineno]
        if body[docstring.lineno - 1 : docstring.lineno] == [""]:
            del body[docstring.lineno - 1]
    body = body[node.lineno - 1 :]  # no decorators
    file = inspect.getsourcefile(code) or ""
    path = os.path.relpath(file) if Path(file).is_relative_to(Path.cwd()) else file
    return Excerpt(f"{path}:{max(start, 1) + node.lineno - 1}", re.sub(r"\n\n+", "\n\n", "\n".join(body)))
