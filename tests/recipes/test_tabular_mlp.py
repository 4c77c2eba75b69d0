"""The recipe for tables: it learns, predicts for files of the user, exports, and is reproducible."""

import json
import math
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.recipes import tabular_mlp
from kerasfound.recipes.components import tabular_features
from kerasfound.training import evaluation

pytestmark = pytest.mark.xdist_group("table recipe")  # one worker, so that its models are trained once
SMALL = {"epochs": 8, "members": 2, "width": 16, "learning_rate": 2e-2}


def rows(target, count=400, seed=0):
    """A table with a price that depends on size, colour and a boolean, with missing cells."""
    rng = np.random.default_rng(seed)
    lines = [f"size,colour,day,checked,{target}"]
    for _ in range(count):
        size, colour, checked = rng.uniform(1, 9), rng.integers(3), rng.integers(2)
        price = 100 * size + 300 * colour + 50 * checked
        size_cell = "" if rng.random() < 0.1 else f"{size:.3f}"
        cells = (size_cell, ("red", "green", "blue")[colour], f"2024-0{rng.integers(1, 9)}-11", ("no", "yes")[checked])
        targets = {"price": f"{price:.1f}", "dear": "dear" if price > 800 else "cheap"}
        lines.append(",".join([*cells, targets[target]]))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for target in ("dear", "price"):
        (folder / f"{target}.csv").write_text(rows(target))
    return folder


@pytest.fixture(scope="module", params=["dear", "price"])
def run(request, folder):
    return trained(folder, request.param)


def trained(folder, target, **options):
    options = {"data": str(folder / f"{target}.csv"), "out": str(folder / f"run-{target}")} | SMALL | options
    config = tabular_mlp.Config(target=target, **options)
    return kf.training.execute(tabular_mlp, config)


def test_it_learns_classification_and_regression(run):
    metrics = run.results["test"]
    if run.schema.labels:
        assert metrics["accuracy"] > 0.8
        assert set(metrics) == {"accuracy", "cross_entropy", "auc", "pr_auc", "precision", "recall", "f1"}
    else:
        assert metrics["r2"] > 0.6
        assert set(metrics) == {"rmse", "mae", "r2"}


def test_evaluation_reproduces_the_recorded_metrics(run):
    assert evaluation.evaluate(run) == pytest.approx(run.results["test"], rel=1e-4)


def test_the_report_shows_the_columns_and_the_worst_rows(run):
    page = run.report_file.read_text()
    assert "(unknown)" not in page
    assert all(f"<td>{c.name}</td>" in page for c in run.schema.columns)
    assert {"curves", "confusion", "calibration"} <= {p.stem for p in run.plots.iterdir()} or run.schema.labels == ()


def test_predict_returns_one_prediction_a_row_with_missing_and_unknown_cells(run, tmp_path):
    (tmp_path / "new.csv").write_text("checked,colour,size,day\nyes,red,8.5,2024-01-11\n,violet,,\n")
    first, second = kf.training.predict(run, [tmp_path / "new.csv"])
    assert first.input.endswith("new.csv:1")
    assert second.input.endswith("new.csv:2")
    if run.schema.labels:
        assert sum(first.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert set(first.probabilities) == {"cheap", "dear"}
    else:
        assert 0 < first.value < 2000
        assert math.isfinite(second.value)


def test_predictions_are_the_same_in_a_new_process(run):
    file = run.settings["data"]
    here = [json.dumps(vars(prediction)) for prediction in kf.training.predict(run, [Path(file)])]
    command = [sys.executable, "-m", "kerasfound", "predict", str(run.folder), file, "--json"]
    there = subprocess.run(command, capture_output=True, text=True, check=True, cwd=run.folder).stdout.splitlines()
    assert there == here


@pytest.mark.slow
def test_it_is_exported_and_verified(run, tmp_path):
    bundle = kf.export.bundle(run, tmp_path)
    manifest = kf.bundle.manifest.read(bundle / "manifest.json")
    assert [step.name for step in manifest.preprocessing] == ["table_row"]
    assert manifest.postprocessing[0].name == ("classification" if run.schema.labels else "regression")
    assert manifest.labels == list(run.schema.labels)
    assert kf.bundle.Schema.load(bundle / manifest.preprocessing[0].file) == run.schema
    assert len(kf.export.verify(bundle)) == 2


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(run, folder, tmp_path, monkeypatch):
    def stop(self, epoch, logs=None):
        save(self, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    save = kf.training.callbacks.CheckpointLogger.on_epoch_end
    monkeypatch.setattr(kf.training.callbacks.CheckpointLogger, "on_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        trained(folder, run.schema.target, out=str(tmp_path / "half"))
    monkeypatch.undo()
    resumed = kf.training.resume(tabular_mlp, kf.training.Run.reopen(tmp_path / "half"))
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in run.history]
    assert np.array_equal(resumed.samples["prediction"], run.samples["prediction"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size,colour,day\n1,red,2024-01-11\n", "no column 'checked'"),
        ("size,colour,day,checked\nbig,red,2024-01-11,no\n", "row 1, column 'size': 'big' is not a number"),
        ("size,colour,day,checked\n", "the table has no rows"),
    ],
)
def test_an_error_names_the_invalid_file(run, tmp_path, text, message):
    (tmp_path / "new.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        kf.training.predict(run, [tmp_path / "new.csv"])


def test_a_changed_table_is_not_evaluated(run):
    file = Path(run.settings["data"])
    original = file.read_text()
    try:
        file.write_text(rows(run.schema.target, seed=1))
        with pytest.raises(UserError, match="the data has changed since"):
            evaluation.evaluate(run)
    finally:
        file.write_text(original)


def test_rare_and_unknown_categories_share_a_code_and_the_others_are_ordered_by_frequency():
    codes = np.repeat([1, 2, 3, 4], [20, 300, 2, 78])[:, None].astype("float32")  # of 400 rows, 4 make a code
    row = keras.Input((1,))
    numbered, sizes = tabular_features.frequent_categories(row, [0], codes)
    new = np.array([[2], [4], [1], [3], [0], [9]], "float32")
    assert keras.Model(row, numbered).predict(new, verbose=0).ravel().tolist() == [1, 2, 3, 0, 0, 0]
    assert sizes == [4]


def test_features_are_computed_without_compiling_a_function_for_one_use(monkeypatch):
    """TensorFlow warns of retracing after five compiled functions."""
    row = keras.Input((3,))
    x = np.arange(3.0 * (tabular_features.BATCH + 5), dtype="float32").reshape(-1, 3)
    monkeypatch.setattr(keras.Model, "make_predict_function", None)
    np.testing.assert_array_equal(tabular_features.compute(row, row[:, 1:] * 2, x), x[:, 1:] * 2)


def test_a_missing_number_is_smaller_than_all_others_for_trees():
    x = np.array([[-5.0], [7.0], [np.nan]], "float32")
    row = keras.Input((1,))
    filled = keras.Model(row, tabular_features.filled_below(row, [0], x)).predict(x, verbose=0).ravel()
    assert filled[:2].tolist() == [-5, 7]
    assert filled[2] < -5


def table(folder, lines):
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return {"data": str(folder / "table.csv"), "target": "y", "out": str(folder / "run")}


def test_a_target_that_is_a_sum_of_columns_is_predicted_exactly(tmp_path):
    counts = np.random.default_rng(0).integers(0, 1000, (300, 2))
    lines = ["a,b,y", *(f"{a},{b},{a + b + 5}" for a, b in counts)]
    config = tabular_mlp.Config(**table(tmp_path, lines), **SMALL | {"epochs": 1})
    metrics = kf.training.execute(tabular_mlp, config).results["test"]
    assert metrics["rmse"] < 0.05 * counts.sum(axis=1).std()


def test_balanced_classes_find_more_rows_of_the_rare_class(tmp_path):
    x = np.random.default_rng(0).normal(size=600)
    y = x + np.random.default_rng(1).normal(size=600) > 2
    settings = table(tmp_path, ["x,y", *(f"{a:.4f},{'rare' if b else 'common'}" for a, b in zip(x, y, strict=True))])
    recalls = []
    for class_weight in (None, "balanced"):
        options = settings | SMALL | {"epochs": 2, "out": str(tmp_path / f"run-{class_weight}")}
        run = kf.training.execute(tabular_mlp, tabular_mlp.Config(class_weight=class_weight, **options))
        recalls.append(run.results["test"]["recall"])
    assert recalls[1] > recalls[0] + 0.2


@pytest.mark.parametrize("classes", ["aabbaabbaabbc", "aaaaaabbbbbb", "abcdabcdabcdabcd"])
def test_a_table_of_few_rows_and_a_class_of_one_row_can_be_trained_on(tmp_path, classes):
    lines = ["x,z,y", *(f"{i},{'uv'[i % 2]},{c}" for i, c in enumerate(classes))]
    config = tabular_mlp.Config(**table(tmp_path, lines), **SMALL | {"epochs": 1})
    assert kf.training.execute(tabular_mlp, config).finished


def test_a_bin_ends_where_the_target_changes():
    x = np.concatenate([np.zeros(900), np.linspace(1, 100, 100)])
    y = (x > 40).astype(int)
    edges = tabular_features.tree_edges(x, y, classes=True, bins=4)
    assert any(39 < edge < 42 for edge in edges)
    assert tabular_features.tree_edges(np.ones(50), y[:50], classes=True, bins=4) == [1, 2]


def test_a_pair_with_an_informative_difference_comes_first():
    x = np.random.default_rng(0).normal(size=(3000, 4))
    y = np.sin(3 * (x[:, 1] - x[:, 3]))
    assert tabular_features.informative_pairs(x, y, classes=False)[0] == (1, 3)


def test_a_class_with_one_row_does_not_hide_an_informative_pair():
    x = np.random.default_rng(0).normal(size=(3000, 4))
    y = (x[:, 1] > x[:, 3]).astype(int)
    y[0] = 2
    assert tabular_features.informative_pairs(x, y, classes=True)[0] == (1, 3)
    assert tabular_features.informative_pairs(x[:4], np.array([0, 0, 0, 1]), classes=True) == []


def test_categorical_columns_may_be_separated_by_commas():
    assert tabular_mlp.Config(categorical=("a,b", "c")).categorical == ("a", "b", "c")


@pytest.mark.parametrize(
    "text", ["colour,y\n" + "red,a\nblue,b\n" * 20, "size,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40))]
)
def test_a_table_of_only_categories_or_one_number_can_be_trained_on(tmp_path, text):
    (tmp_path / "table.csv").write_text(text)
    config = tabular_mlp.Config(data=str(tmp_path / "table.csv"), target="y", out=str(tmp_path / "run"), epochs=1)
    assert kf.training.execute(tabular_mlp, config).finished
