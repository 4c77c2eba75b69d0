"""`kerasfound explain`: formula, text and code of a block, found by its name."""

import re

import keras
import numpy as np
import pytest

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.reference.catalog import blocks
from kerasfound.reference.explanation import equation

BLOCKS = pytest.mark.parametrize("block", blocks(), ids=lambda block: f"{block.kind}-{block.name}")


@BLOCKS
def test_the_code_is_at_the_printed_location(block):
    for excerpt in equation(block.object):
        file, _, line = excerpt.location.rpartition(":")
        with open(file, encoding="utf-8") as lines:
            assert lines.read().splitlines()[int(line) - 1].strip() == excerpt.code.splitlines()[0]
        assert '"""' not in excerpt.code


def test_the_text_has_formula_and_code():
    text = str(kf.explain("Adam"))
    assert "    vₜ = β₂ vₜ₋₁ + (1 - β₂) gₜ²\n" in text
    assert "self.assign_add(v, (1 - beta_2) * (ops.square(g) - v))" in text
    assert re.search(r"kerasfound/optimizers/adam.py:\d+\n", text)


def test_a_notebook_shows_markdown_with_latex():
    markdown = kf.explain("Adam")._repr_markdown_()
    assert r"$$v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2$$" in markdown
    assert "```python\ndef update_step" in markdown


@pytest.mark.parametrize(
    ("block", "name"),
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
def test_a_block_is_found_by_each_of_its_names(block, name):
    assert kf.explain(block).block.name == name


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("Adm", "Adam"), ("crossentropi", "Crossentropy"), ("pooling2", "Pooling2D"), ("relv", "relu")],
)
def test_the_error_for_an_unknown_name_suggests_similar_names(name, suggestion):
    with pytest.raises(UserError, match=rf'no block or idea "{name}"\. Did you mean .*{suggestion}'):
        kf.explain(name)


@pytest.mark.parametrize("nonsense", ["", "?", 42, None, "optimizers.Dense"])
def test_no_block_is_found_for(nonsense):
    with pytest.raises(UserError, match="no block"):
        kf.explain(nonsense)


def test_the_command_prints_an_error_in_one_line(kerasfound):
    finished = kerasfound("explain", "Adm")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith('kerasfound: no block or idea "Adm". Did you mean "Adam"')
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize("name", [b.name for b in blocks() if b.kind == "activation" and b.object.equation])
def test_the_equation_in_elementary_operations_equals_the_block(name):
    function = getattr(kf.activations, name)
    x = np.random.default_rng(0).uniform(-5, 5, (7, 4)).astype("float32")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(function.equation(keras.ops.convert_to_tensor(x))),
        keras.ops.convert_to_numpy(function(x)),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("relu", "ops.maximum(x, 0)"),
        ("sigmoid", "1 / (1 + ops.exp(-x))"),
        ("layers.Sigmoid", "1 / (1 + ops.exp(-x))"),
        ("softmax", "exponentials / ops.sum(exponentials, axis=axis, keepdims=True)"),
        ("tanh", "(ops.exp(x) - ops.exp(-x)) / (ops.exp(x) + ops.exp(-x))"),
        ("SimpleRNN", "z = x @ self.kernel + h @ self.recurrent_kernel"),
        ("LSTM", "c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(candidate)"),
        ("GRU", "h = z * h + (1 - z) * candidate"),
    ],
)
def test_the_code_shows_the_formula_written_out(name, code):
    assert code in str(kf.explain(name))
