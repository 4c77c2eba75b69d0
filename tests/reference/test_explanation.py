"""`kerasfound explain`: every block's docstring, formula, code and picture, read and shown."""

import inspect
import re
import sys

import keras
import numpy as np
import pytest

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.reference.catalog import HEADINGS, blocks
from kerasfound.reference.explanation import equation
from kerasfound.reference.latex import readable
from kerasfound.reference.plots import blocks as plots
from kerasfound.reference.plots import layers as layer_plots
from kerasfound.reference.plots.blocks import LOSSES, SCHEDULES

BLOCKS = pytest.mark.parametrize("block", blocks(), ids=lambda block: f"{block.kind}-{block.name}")
NO_LATEX = re.compile(r"\\[A-Za-z]|\$|\{[^{}]*\}_|[_^]\{")


def text_above_code(explanation):
    return str(explanation).partition("\nCode  ")[0].partition("\nExample\n")[0]


@BLOCKS
def test_every_block_explains_itself(block):
    sections = block.sections
    assert block.summary
    assert block.formula
    assert {"Args", "Example", "In practice", "Source"} <= set(sections)
    assert all(sections.values()), "an empty section"
    assert re.search(r"\b(?:1[7-9]|20)\d\d\b", sections["Source"]), "a source has a year"
    assert block.kind != "optimizer" or equation(block.object)[0].code.startswith("def update_step")


@BLOCKS
def test_no_heading_is_left_in_the_text_of_another(block):
    known = "|".join(HEADINGS)
    for body in block.sections.values():
        assert not re.search(rf"^(?:{known}|Arguments|Note|Notes|References|Warning|Yields):", body, re.MULTILINE)
    headings = re.findall(rf"^(?:{known}):", inspect.cleandoc(block.object.__doc__), re.MULTILINE)
    assert len(headings) == len(block.sections) - 1, "a heading twice"


@BLOCKS
def test_every_argument_is_explained(block):
    function = block.object.__init__ if inspect.isclass(block.object) else inspect.unwrap(block.object)
    expected = set(inspect.signature(function).parameters) - {"self", "args", "kwargs"}
    if "__init__" not in vars(block.object) and inspect.isclass(block.object):
        return  # Keras's own arguments
    explained = set(re.findall(r"`?\*{0,2}(\w+)`?(?=[,:])", re.sub(r":.*", ":", block.sections["Args"])))
    assert expected <= explained | ({"name", "dtype", "activity_regularizer"} if "kwargs" in explained else set())


@BLOCKS
def test_the_text_reads_without_latex(block):
    text = text_above_code(kf.explain(block.object))
    assert not NO_LATEX.search(re.sub(r"`[^`]*`", "", text))
    assert max(map(len, text.splitlines())) <= 120


@BLOCKS
def test_the_code_stands_where_it_says(block):
    for piece in equation(block.object):
        file, _, line = piece.place.rpartition(":")
        with open(file, encoding="utf-8") as lines:
            assert lines.read().splitlines()[int(line) - 1].strip() == piece.code.splitlines()[0]
        assert '"""' not in piece.code


def test_formula_and_code_stand_side_by_side():
    text = str(kf.explain("Adam"))
    assert "    vₜ = β₂ vₜ₋₁ + (1 - β₂) gₜ²\n" in text
    assert "self.assign_add(v, (1 - beta_2) * (ops.square(g) - v))" in text
    assert re.search(r"kerasfound/optimizers/adam.py:\d+\n", text)


def test_in_a_notebook_it_is_markdown_with_latex():
    markdown = kf.explain("Adam")._repr_markdown_()
    assert r"$$v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2$$" in markdown
    assert "```python\ndef update_step" in markdown


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
def test_latex_becomes_readable(latex, text):
    assert readable(latex) == text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("relu", "relu"),
        ("leaky relu", "leaky_relu"),
        ("SOFTMAX", "softmax"),
        ("Dense", "Dense"),
        ("layers.dense", "Dense"),
        ("binary-crossentropy", "BinaryCrossentropy"),
        ("layer_normalization", "LayerNormalization"),
        ("gradients.check", "check"),
        (kf.optimizers.Adam, "Adam"),
        (kf.optimizers.Adam(0.1), "Adam"),
        (kf.activations.relu, "relu"),
        (keras.activations.relu, "relu"),
        (keras.layers.Dense(3), "Dense"),
        (type("MyDense", (kf.layers.Dense,), {}), "Dense"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_block_is_found_by_any_obvious_name(asked, found):
    assert kf.explain(asked).block.name == found


@pytest.mark.parametrize(
    ("asked", "offered"),
    [("Adm", "Adam"), ("cross entropy", "Crossentropy"), ("pooling", "Pooling2D"), ("relv", "relu")],
)
def test_an_unknown_name_is_answered_with_the_nearest(asked, offered):
    with pytest.raises(UserError, match=rf'no block "{asked}"\. Did you mean .*{offered}'):
        kf.explain(asked)


@pytest.mark.parametrize("asked", ["", "?", 42, None, "optimizers.Dense"])
def test_nothing_is_found_for_nonsense(asked):
    with pytest.raises(UserError, match="no block"):
        kf.explain(asked)


DRAWN = [block for block in blocks() if block.kind in ("activation", "loss", "schedule", "initializer")]
DRAWN += [block for block in blocks() if block.kind == "layer" or block.name in {"SGD", "Adam", "Muon"}]


@pytest.mark.parametrize("block", DRAWN, ids=lambda block: f"{block.kind}-{block.name}")
def test_a_picture_is_drawn(block):
    figure = plots.draw(block, block.object)
    assert block.name in figure.get_suptitle()
    assert all(axes.has_data() for axes in figure.axes)


def test_no_block_of_a_drawn_kind_is_forgotten():
    assert {block.kind for block in DRAWN} >= {block.kind for block in blocks()} - {"gradients"}
    assert set(LOSSES) == {block.name for block in blocks() if block.kind == "loss"}
    assert set(SCHEDULES) == {block.name for block in blocks() if block.kind == "schedule"}


def test_reach_is_the_derivative():
    W = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    assert np.allclose(layer_plots.reach(lambda x: x @ W, np.ones(4, "float32")), W.T, atol=1e-3)


def test_nothing_reaches_back_in_time_through_a_causal_layer():
    (heat,) = layer_plots.LAYERS["CausalTransformerBlock"]().axes[0].images
    assert np.allclose(np.triu(heat.get_array(), 1), 0, atol=1e-4)
    assert (np.tril(heat.get_array())[np.tril_indices(12)] > 1e-4).all()


def test_an_instance_is_drawn_with_its_own_settings(tmp_path):
    file = kf.explain(kf.schedules.OneCycle(0.5, total_steps=700)).plot(tmp_path / "picture.svg")
    assert "peak = 0.5, total_steps = 700" in file.read_text()
    logits = kf.losses.CategoricalCrossentropy(from_logits=True)
    assert "logit of the first" in kf.explain(logits).plot(tmp_path / "loss.svg").read_text()
    runaway = kf.optimizers.SGD(1e20)
    assert "1e+20" in kf.explain(runaway).plot(tmp_path / "path.svg").read_text()


def test_a_png_is_a_png(tmp_path):
    assert kf.explain("tanh").plot(tmp_path / "tanh.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "file", "answer"),
    [
        ("tanh", "tanh.pdf", "a picture is a .png or a .svg file"),
        ("tanh", "tanh", "a picture is a .png or a .svg file"),
        ("tanh", "nowhere/tanh.png", "cannot be written"),
        ("check", "check.png", "`check` has no picture. There is one of every layer, every activation, every loss"),
    ],
)
def test_no_picture_says_why(tmp_path, name, file, answer):
    with pytest.raises(UserError, match=answer):
        kf.explain(name).plot(tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_command_that_brings_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "kerasfound.reference.plots.blocks")
    monkeypatch.delattr("kerasfound.reference.plots.blocks")
    with pytest.raises(UserError, match=r'matplotlib, which is not installed: pip install "kerasfound\[recipes\]"'):
        kf.explain("tanh").plot("tanh.png")


def test_the_command_shows_the_text_and_draws(kerasfound, tmp_path):
    finished = kerasfound("explain", "tanh", "--plot", tmp_path / "tanh.png")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == f"picture: {tmp_path / 'tanh.png'}\n\n{kf.explain('tanh')}"
    assert (tmp_path / "tanh.png").exists()


def test_a_mistake_is_one_line(kerasfound):
    finished = kerasfound("explain", "Adm")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith('kerasfound: no block "Adm". Did you mean "Adam"')
    assert finished.stderr.count("\n") == 1


def test_list_blocks_shows_every_block_in_one_line(kerasfound):
    lines = kerasfound("list", "blocks").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[block.kind, block.name] for block in blocks()]
    assert all(line.endswith(block.summary.replace("$", "")) for line, block in zip(lines, blocks(), strict=True))
