r"""A formula in LaTeX as Unicode text, for a terminal.

>>> print(readable(r"w_t = w_{t-1} - \alpha\, \frac{g_t}{\sqrt{v_t} + \hat\epsilon}"))
wₜ = wₜ₋₁ - α gₜ / (√vₜ + ε̂)
"""

import re

from pylatexenc.latex2text import LatexNodes2Text

_to_text = LatexNodes2Text(math_mode="text").latex_to_text

GROUP = r"\{((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)\}"
ARGUMENT = rf"\s*(?:{GROUP}|(\\[A-Za-z]+|[^\s\\]))"
# where Unicode has no letter these stand for _ and ^, so that no later step converts them again
SUBSCRIPT, SUPERSCRIPT = "\ue000", "\ue001"
TAKES_ONE = r"(?:hat|tilde|bar|mathrm|text|operatorname)(?![A-Za-z])"
CASES = re.compile(r"\\begin\{cases\}(.*?)\\end\{cases\}", re.DOTALL)

# ruff: noqa: RUF001 (letters that look alike are intended here)
SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvxβγρϕχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
SUPERSCRIPTS = dict(
    zip(
        "0123456789+-=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWβγδθϕχ⊤",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵝᵞᵟᶿᵠᵡᵀ",
        strict=True,
    )
)

# what pylatexenc does not know, or converts to text that a terminal shows badly
BEFORE = (
    (r"\\[Bb]igg?[lr]?(?![A-Za-z])|\\(?:left|right|textstyle|displaystyle)(?![A-Za-z])", ""),
    (r"\\ne(?![A-Za-z])", "≠"),
    (r"\\[lr]Vert(?![A-Za-z])\s*|\\\|\s?", "‖"),
    (r"\\partial\s*", "∂"),
    (r"\\overrightarrow\{(\w)\}", "\\1\N{COMBINING RIGHT ARROW ABOVE}"),
    (r"\\overleftarrow\{(\w)\}", "\\1\N{COMBINING LEFT ARROW ABOVE}"),
    (r"\\q?quad\b", "\N{EM SPACE}"),
    (r"\\[,;:! ]", " "),
    (r"\\(ln|log|sin|cos|tanh)(?=\\)", r"\\\1 "),
    (rf"(\\ln|\\log)\s*(\\frac\s*{GROUP}\s*{GROUP})", r"\1 (\2)"),
)
AFTER = (
    (r" ‖(?=[²)\s]|$)", "‖"),
    ("ϵ", "ε"),
    (r"√\((\w+)\)", r"√\1"),
    (r"[ \n]+", " "),
    (r"([(\[⌊⌈⟨]) ", r"\1"),
    (r" ([)\]⌋⌉⟩,])", r"\1"),
    (r" ?\N{EM SPACE} ?", "    "),
)


def readable(latex: str) -> str:
    """Return `latex` (without the dollar signs) in Unicode. A formula with cases takes several lines."""
    if cases := CASES.search(latex):
        return _with_cases(latex[: cases.start()], cases[1], latex[cases.end() :])
    return _convert(latex).replace(SUBSCRIPT, "_").replace(SUPERSCRIPT, "^")


def _convert(latex: str) -> str:
    for pattern, replacement in BEFORE:
        latex = re.sub(pattern, replacement, latex)
    latex = re.sub(rf"\\sqrt\[3\]{ARGUMENT}", lambda match: f"∛({_convert(match[1] or match[2])})", latex)
    latex = re.sub(rf"\\sqrt(?!\[){ARGUMENT}", lambda match: f"√({_convert(match[1] or match[2])})", latex)
    latex = re.sub(r"\\tfrac\s*(?:12|\{1\}\s*\{2\})", "½", latex)
    latex = re.sub(rf"\\[td]?frac\s*{GROUP}\s*{GROUP}", lambda match: _fraction(match[1], match[2]), latex)
    latex = re.sub(rf"([_^]){ARGUMENT}", lambda match: _script(match[1], match[2] or match[3]), latex)
    latex = re.sub(rf"\\(?!{TAKES_ONE})([A-Za-z]+)\s+", r"\\\1{} ", latex)  # LaTeX would swallow the space
    text = _to_text(latex)
    for pattern, replacement in AFTER:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def _fraction(above: str, below: str) -> str:
    a, b = _convert(above), _convert(below)
    if _outside_brackets(a, r"[-+]"):
        a = f"({a})"
    if _outside_brackets(b, r"[-+/ ]"):
        b = f"({b})"
    return f"{a}/{b}" if a.isalnum() and b.isalnum() else f"{a} / {b}"


def _outside_brackets(text: str, pattern: str) -> bool:
    while text != (text := re.sub(r"\([^()]*\)", "", text)):
        pass
    return bool(re.search(pattern, text))


def _script(kind: str, inside: str) -> str:
    text = _convert(inside)
    known = SUBSCRIPTS if kind == "_" else SUPERSCRIPTS
    letters = text.replace(" ", "")
    if all(letter in known for letter in letters):
        return "{}" + "".join(known[letter] for letter in letters)
    if kind == "_":
        return f"{{}}{SUBSCRIPT}{text}" if text.isalnum() else f"[{text}]"
    return f"{{}}{SUPERSCRIPT}{text}" if len(text) == 1 else f"{{}}{SUPERSCRIPT}({text})"


def _with_cases(before: str, cases: str, after: str) -> str:
    """Return one line for each case, behind a brace of that height; the middle line has the text before and after."""
    rows = [[readable(cell) for cell in row.split("&")] for row in re.split(r"\\\\", cases)]
    wide = max(len(row[0]) for row in rows)
    brace = {1: "{", 2: "⎰⎱"}.get(
        len(rows), "⎧" + "⎪" * ((len(rows) - 3) // 2) + "⎨" + "⎪" * ((len(rows) - 2) // 2) + "⎩"
    )
    start = readable(before)
    lines = []
    for i, (row, edge) in enumerate(zip(rows, brace, strict=True)):
        middle = i == (len(rows) - 1) // 2
        condition = "   ".join([row[0].ljust(wide), *row[1:]])
        lines.append(
            f"{start if middle else ' ' * len(start)} {edge} {condition}{f'    {readable(after)}' if middle else ''}"
        )
    return "\n".join(line.rstrip() for line in lines)
