"""LaTeX formulas as Unicode text."""

import re

import pytest

import kerasfound as kf
from kerasfound.reference.catalog import blocks
from kerasfound.reference.latex import readable

BLOCKS = pytest.mark.parametrize("block", blocks(), ids=lambda block: f"{block.kind}-{block.name}")
NO_LATEX = re.compile(r"\\[A-Za-z]|\$|\{[^{}]*\}_|[_^]\{")


def text_above_code(explanation):
    return str(explanation).partition("\nCode  ")[0].partition("\nExample\n")[0]


@BLOCKS
def test_no_latex_is_left_in_the_text(block):
    text = text_above_code(kf.explain(block.object))
    assert not NO_LATEX.search(re.sub(r"`[^`]*`", "", text))
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}", "(x - μ) / √(σ² + ε)"),
        (r"\frac{1}{n} \sum_i y_i", "1/n ∑ᵢ yᵢ"),
        (r"\tfrac12 e^{-|x|}", "½ e^(-|x|)"),
        (r"x_{t,i}\, W_{klcf}", "x[t,i] W_klcf"),
        (r"\frac{e^{x_i}}{2}", "e^(xᵢ) / 2"),
        (r"\hat\epsilon \ne \tilde c", "ε̂ ≠ c̃"),
        (r"\left(A^\top B\right)", "(Aᵀ B)"),
        (r"y = \begin{cases} 1 & x \ge 0 \\ 0 & x < 0 \end{cases}", "y = ⎰ 1   x ≥ 0\n    ⎱ 0   x < 0"),
    ],
)
def test_a_formula_becomes_unicode(latex, text):
    assert readable(latex) == text
