"""Plots of blocks: every block has one, with its own settings, as a file."""

import sys

import numpy as np
import pytest

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.reference.catalog import blocks
from kerasfound.reference.plots import blocks as block_plots
from kerasfound.reference.plots import layers as layer_plots

PLOTTED = [block for block in blocks() if block.kind in ("activation", "loss", "schedule", "initializer")]
PLOTTED += [block for block in blocks() if block.kind == "layer" or block.name in {"SGD", "Adam", "Muon"}]


@pytest.mark.parametrize("block", PLOTTED, ids=lambda block: f"{block.kind}-{block.name}")
def test_every_block_has_a_plot(block):
    figure = block_plots.draw(block, block.object)
    assert block.name in figure.get_suptitle()
    assert all(axes.has_data() for axes in figure.axes)


def test_every_kind_loss_and_schedule_is_plotted():
    assert {block.kind for block in PLOTTED} >= {block.kind for block in blocks()} - {"gradients"}
    assert set(block_plots.LOSSES) == {block.name for block in blocks() if block.kind == "loss"}
    assert set(block_plots.SCHEDULES) == {block.name for block in blocks() if block.kind == "schedule"}


def test_jacobian_of_a_matrix_product_is_the_matrix():
    W = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    assert np.allclose(layer_plots.jacobian(lambda x: x @ W, np.ones(4, "float32")), W.T, atol=1e-3)


def test_no_output_of_a_causal_layer_depends_on_a_later_input():
    (heat_map,) = layer_plots.LAYERS["CausalTransformerBlock"]().axes[0].images
    assert np.allclose(np.triu(heat_map.get_array(), 1), 0, atol=1e-4)
    assert (np.tril(heat_map.get_array())[np.tril_indices(12)] > 1e-4).all()


def test_an_instance_is_drawn_with_its_own_settings(tmp_path):
    file = kf.explain(kf.schedules.OneCycle(0.5, total_steps=700)).plot(tmp_path / "schedule.svg")
    assert "peak = 0.5, total_steps = 700" in file.read_text()
    logits = kf.losses.CategoricalCrossentropy(from_logits=True)
    assert "logit of the first" in kf.explain(logits).plot(tmp_path / "loss.svg").read_text()
    runaway = kf.optimizers.SGD(1e20)
    assert "1e+20" in kf.explain(runaway).plot(tmp_path / "path.svg").read_text()


def test_a_png_file_holds_a_png_image(tmp_path):
    assert kf.explain("tanh").plot(tmp_path / "tanh.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("tanh", "tanh.pdf", "a plot is a .png or a .svg file"),
        ("tanh", "tanh", "a plot is a .png or a .svg file"),
        ("tanh", "nowhere/tanh.png", "cannot be written"),
        ("check", "check.png", '"check" has no plot. Blocks of these kinds have one: layer, activation, loss'),
    ],
)
def test_a_plot_that_cannot_be_drawn_is_an_error(tmp_path, name, file, message):
    with pytest.raises(UserError, match=message):
        kf.explain(name).plot(tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_the_error_without_matplotlib_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "kerasfound.reference.plots.blocks")
    monkeypatch.delattr("kerasfound.reference.plots.blocks")
    with pytest.raises(UserError, match=r'matplotlib, which is not installed: pip install "kerasfound\[recipes\]"'):
        kf.explain("tanh").plot("tanh.png")


@pytest.mark.slow
def test_the_command_prints_the_text_and_writes_the_plot(kerasfound, tmp_path):
    finished = kerasfound("explain", "tanh", "--plot", tmp_path / "tanh.png")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == f"plot: {tmp_path / 'tanh.png'}\n\n{kf.explain('tanh')}"
    assert (tmp_path / "tanh.png").exists()
