"""What each built-in data set and each preset must reach: nothing that the help shows may stop learning unnoticed.

`FLOORS` has a row for each of them. `python benchmarks/recipes.py built-in` measures the rows with several seeds.
"""

import importlib
import re
from pathlib import Path
from typing import NamedTuple

import pytest

import kerasfound
from kerasfound import cli, recipes
from kerasfound.data import SOURCES, TABLES

ROOT = Path(__file__).parents[2]


class Floor(NamedTuple):
    """A bound for a test metric: the smallest value, or the largest for a metric that should be small."""

    metric: str
    value: float

    def holds(self, measured: float) -> bool:
        is_error = self.metric in ("rmse", "mae", "cross_entropy")
        return measured <= self.value if is_error else measured >= self.value


FLOORS: dict[tuple[str, str], Floor] = {
    ("mnist_cnn", "--data digits"): Floor("accuracy", 0.98),
    ("mnist_cnn", "--data digits --preset fast"): Floor("accuracy", 0.95),
    ("mnist_cnn", "--data digits --preset best"): Floor("accuracy", 0.985),
    ("mnist_cnn", "--preset smoke"): Floor("accuracy", 0.3),
    ("imdb_lstm", "--data grammar"): Floor("accuracy", 0.93),
    ("imdb_lstm", "--data grammar --preset best"): Floor("accuracy", 0.93),
    ("imdb_lstm", "--preset smoke"): Floor("accuracy", 0.9),
    ("tabular_mlp", "--data breast_cancer"): Floor("accuracy", 0.95),
    ("tabular_mlp", "--data diabetes"): Floor("rmse", 65),
    ("tabular_mlp", "--data wine"): Floor("accuracy", 0.92),
    ("tabular_mlp", "--preset smoke"): Floor("accuracy", 0.6),
    ("mini_transformer", "--data stdlib"): Floor("cross_entropy", 1.42),
    ("mini_transformer", "--preset smoke"): Floor("cross_entropy", 2.65),
    # the size for a GPU is too slow for a test: a smaller network with the other settings of the preset
    (
        "mini_transformer",
        "--data stdlib --preset gpu --layers 2 --width 96 --epochs 2 --steps 30 --batch-size 16",
    ): Floor("cross_entropy", 2.9),
}
"""For each recipe and its flags, what a training with seed 0 must reach on the test rows. The values lie between those
of a training that works and those of one that is broken."""


def options(flags: str) -> dict[str, str]:
    """The flags and their values."""
    return dict(re.findall(r"--([\w-]+) (\S+)", flags))


def is_built_in(data: str) -> bool:
    sources = SOURCES | TABLES
    return data in sources and "built in" in sources[data].summary


def data_and_preset(recipe: str, flags: str) -> tuple[str, str]:
    """The data set and the preset that the flags of a recipe select."""
    config, given = importlib.import_module(f"kerasfound.recipes.{recipe}").Config, options(flags)
    preset = given.get("preset", "")
    return given.get("data") or config.PRESETS.get(preset, {}).get("data", config.data), preset


MEASURED = {(recipe, *data_and_preset(recipe, flags)) for recipe, flags in FLOORS}


def test_every_built_in_data_set_has_a_floor():
    assert {name for name in SOURCES | TABLES if is_built_in(name)} == {data for _, data, _ in MEASURED}


@pytest.mark.parametrize("recipe", recipes.NAMES)
def test_every_preset_has_a_floor(recipe):
    presets = importlib.import_module(f"kerasfound.recipes.{recipe}").Config.PRESETS
    assert set(presets) == {preset for name, _, preset in MEASURED if name == recipe} - {""}


def test_every_command_of_the_help_and_the_readme_has_a_floor():
    texts = [importlib.import_module(f"kerasfound.recipes.{name}").__doc__ for name in recipes.NAMES]
    texts += [file.read_text() for file in (ROOT / "README.md", *ROOT.glob("docs/*.md"))]
    commands = [command for text in texts for command in re.findall(r"kerasfound run (\w+)([^#`\n]*)", text)]
    shown = {(recipe, *data_and_preset(recipe, flags)) for recipe, flags in commands if recipe in recipes.NAMES}
    assert len(shown) > 8
    missing = {row for row in shown - MEASURED if is_built_in(row[1])}
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "flags"), FLOORS, ids=" ".join)
def test_a_training_reaches_its_floor(recipe, flags, tmp_path):
    with pytest.raises(SystemExit) as end:
        cli.main(["run", recipe, *flags.split(), "--out", str(tmp_path / "run")])
    assert end.value.code == 0
    floor = FLOORS[recipe, flags]
    measured = kerasfound.training.Run.open(tmp_path / "run").results["test"][floor.metric]
    assert floor.holds(measured), f"{floor.metric} {measured}"
