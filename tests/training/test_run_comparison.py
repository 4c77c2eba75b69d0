"""Comparison of runs: only settings that differ, all metrics, a page that needs no network."""

import shutil

import pytest
import yaml

from kerasfound.errors import UserError
from kerasfound.training import Run, compare, run_comparison


@pytest.fixture
def changed_run(digits_run, tmp_path):
    """A copy of the run with another seed and fewer epochs."""
    folder = shutil.copytree(digits_run.folder, tmp_path / "other")
    settings = digits_run.settings | {"seed": 7, "out": str(folder)}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:-1]))
    return Run.open(folder)


def test_only_settings_that_differ_are_shown(digits_run, changed_run):
    rows = compare([digits_run, changed_run])
    assert rows["seed"] == [0, 7]
    assert "epochs" not in rows
    assert "out" not in rows
    assert rows["test accuracy"] == [digits_run.results["test"]["accuracy"]] * 2
    assert rows["recipe"] == ["mnist_cnn"] * 2


def test_the_page_is_self_contained(digits_run, changed_run, tmp_path):
    run_comparison.write([digits_run, changed_run], tmp_path / "compare.html")
    page = (tmp_path / "compare.html").read_text()
    assert "data:image/svg+xml;base64," in page
    assert "http" not in page
    assert str(changed_run.folder) in page


@pytest.mark.parametrize("file", ["config.yaml", "environment.json", "results.json", "assets/schema.json"])
def test_an_error_names_the_damaged_file(changed_run, file):
    def read(folder):
        run = Run.open(folder)
        return run.settings, run.results, run.schema

    (changed_run.folder / file).write_text("{")
    with pytest.raises(UserError, match=f"{file}: missing or damaged"):
        read(changed_run.folder)


def test_an_error_names_the_page_that_cannot_be_written(digits_run, changed_run, tmp_path):
    with pytest.raises(UserError, match=r"`out` .*page\.html: cannot be written"):
        run_comparison.write([digits_run, changed_run], tmp_path / "nowhere" / "page.html")


def test_a_comparison_needs_two_runs(digits_run):
    with pytest.raises(UserError, match="two or more run folders, got 1"):
        compare([digits_run])


def test_the_command_prints_a_table(kerasfound, digits_run, changed_run, tmp_path):
    finished = kerasfound("compare", digits_run.folder, changed_run.folder, "--out", tmp_path / "page.html")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert [line.split() for line in finished.stdout.splitlines() if line.startswith(" seed")] == [["seed", "0", "7"]]
    assert (tmp_path / "page.html").exists()
