"""The training log, checkpoints, resumed runs, early stopping, and unfinished run folders."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest

from kerasfound.bundle import Schema
from kerasfound.data import Dataset, Split
from kerasfound.errors import UserError
from kerasfound.training import Config, Run, ShuffledBatches, checkpoint, fit

SPLIT = Split(np.arange(10.0)[:, None], np.arange(10.0))
DATASET = Dataset("line", "synthetic", "", SPLIT, SPLIT, SPLIT, Schema("regression", "x", (1,), ()))


REGRESSION = Schema("tabular_regression", "x", (1,), ())


def linear_model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse", metrics=["mae"])
    return model


def started_run(folder):
    run = Run.create("line", Config(out=str(folder)))
    run.start(DATASET, Config())
    return run


def test_fit_logs_and_checkpoints_every_epoch(tmp_path):
    run = started_run(tmp_path / "run")
    model = linear_model()
    fit(model, ShuffledBatches(SPLIT, 5, seed=0), SPLIT, run, Config(epochs=3))
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    assert set(run.history[0]) == {"epoch", "loss", "mae", "val_loss", "val_mae", "seconds"}
    restored = linear_model()
    assert checkpoint.restore(restored, run.checkpoints / "last.npz") == 3
    assert int(restored.optimizer.iterations) == 6
    assert np.array_equal(restored.get_weights()[0], model.get_weights()[0])
    assert not run.model_file.exists()


def noisy_model(**options):
    keras.utils.set_random_seed(1)
    dropout = keras.layers.Dropout(0.5)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8), dropout, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(1e-2, **options), loss="mse")
    return model


@pytest.mark.parametrize("option", [{}, {"use_ema": True}, {"gradient_accumulation_steps": 3}], ids=str)
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, option):
    whole, resumed = started_run(tmp_path / "whole"), started_run(tmp_path / "resumed")
    model = noisy_model(**option)
    fit(model, ShuffledBatches(SPLIT, 3, seed=0), SPLIT, whole, Config(epochs=5))

    fit(noisy_model(**option), ShuffledBatches(SPLIT, 3, seed=0), SPLIT, resumed, Config(epochs=2))
    resumed.log({"epoch": 3, "loss": 0.0})  # the process ended before this epoch's checkpoint was written
    again = noisy_model(**option)
    fit(again, ShuffledBatches(SPLIT, 3, seed=0), SPLIT, resumed, Config(epochs=5))

    assert [row["epoch"] for row in resumed.history] == [1, 2, 3, 4, 5]
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in whole.history]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def test_a_resumed_run_removes_what_a_killed_process_left(tmp_path):
    run = started_run(tmp_path / "run")
    fit(linear_model(), ShuffledBatches(SPLIT, 5, seed=0), SPLIT, run, Config(epochs=1))
    (run.checkpoints / ".part-4711-last.npz").write_bytes(b"incomplete")
    run.start(DATASET, Config())
    assert {file.name for file in run.checkpoints.iterdir()} == {"best.npz", "last.npz"}


def test_the_checkpoint_of_another_model_is_rejected(tmp_path):
    run = started_run(tmp_path / "run")
    fit(linear_model(), ShuffledBatches(SPLIT, 5, seed=0), SPLIT, run, Config(epochs=1))
    with pytest.raises(
        UserError, match=r"last.npz: training cannot resume .*\(its variables belong to another model\)"
    ):
        fit(noisy_model(), ShuffledBatches(SPLIT, 5, seed=0), SPLIT, run, Config(epochs=2))


HALF = Split(SPLIT.x, SPLIT.y / 2)
"""Validation rows with half the slope of the training rows: their loss falls first and rises later."""


def growing_model():
    """Its slope grows from 0 to that of the training rows."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(1e-3), loss="mse")
    return model


@pytest.mark.parametrize(("patience", "used"), [(None, 5), (2, 2)])
def test_training_keeps_the_epoch_with_the_smallest_validation_loss(tmp_path, capsys, patience, used):
    run, model, config = started_run(tmp_path / "run"), growing_model(), Config(epochs=20, patience=patience)
    fit(model, ShuffledBatches(SPLIT, 5, seed=0), HALF, run, config)
    losses = [row["val_loss"] for row in run.history]
    best = losses.index(min(losses)) + 1
    assert 1 < best < len(losses) == best + used < 20
    assert np.ravel(model.evaluate(*HALF, verbose=0))[0] == pytest.approx(min(losses), rel=1e-5)
    printed = capsys.readouterr().out
    assert f"kept epoch {best}, with the smallest validation loss" in printed
    assert f"stopped after epoch {len(losses)} of 20, {used} without improvement" in printed
    fit(model, ShuffledBatches(SPLIT, 5, seed=0), HALF, run, config)
    assert len(run.history) == len(losses), "a run that was stopped by patience does not train again"


def test_a_resumed_training_keeps_the_same_epoch(tmp_path):
    whole, resumed = started_run(tmp_path / "whole"), started_run(tmp_path / "resumed")
    model, again = growing_model(), growing_model()
    fit(model, ShuffledBatches(SPLIT, 5, seed=0), HALF, whole, Config(epochs=20))
    fit(growing_model(), ShuffledBatches(SPLIT, 5, seed=0), HALF, resumed, Config(epochs=whole.best_epoch + 1))
    fit(again, ShuffledBatches(SPLIT, 5, seed=0), HALF, resumed, Config(epochs=20))
    assert [row["val_loss"] for row in resumed.history] == [row["val_loss"] for row in whole.history]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


@pytest.mark.parametrize(("epochs", "patience"), [(1, 3), (12, 3), (40, 10)])
def test_the_default_patience_is_a_quarter_of_the_epochs(epochs, patience):
    assert Config(epochs=epochs).epochs_without_improvement() == patience
    assert Config(epochs=epochs, patience=1).epochs_without_improvement() == 1
    assert Config(epochs=epochs, ema=0.9).epochs_without_improvement() is None


def test_one_epoch_of_one_step_is_kept(tmp_path):
    run, model = started_run(tmp_path / "run"), linear_model()
    fit(model, ShuffledBatches(SPLIT, 100, seed=0), Split(SPLIT.x[:1], SPLIT.y[:1]), run, Config(epochs=1))
    assert run.best_epoch == 1


def test_the_first_of_equal_epochs_is_kept_and_nan_is_never_kept(tmp_path):
    run = started_run(tmp_path / "run")
    for epoch, loss in enumerate([math.nan, 0.5, 0.5, math.inf], start=1):
        run.log({"epoch": epoch, "loss": 0.1, "val_loss": loss})
    assert run.best_epoch == 2


def test_a_validation_loss_that_is_never_finite_is_an_error(tmp_path):
    broken = Split(SPLIT.x, np.full(10, np.nan))
    with pytest.raises(UserError, match=r"the validation loss is nan in every epoch.*validation rows"):
        fit(linear_model(), ShuffledBatches(SPLIT, 5, seed=0), broken, started_run(tmp_path / "run"), Config(epochs=2))


def test_with_ema_the_weights_are_the_average_after_all_epochs(tmp_path):
    run, model = started_run(tmp_path / "run"), noisy_model(use_ema=True, ema_momentum=0.9)
    fit(model, ShuffledBatches(SPLIT, 3, seed=0), SPLIT, run, Config(epochs=8, ema=0.9))
    averages = [v for v in model.optimizer.variables if "average" in v.path]
    assert len(run.history) == 8
    assert len(averages) == 4
    assert all(np.array_equal(a, b) for a, b in zip(averages, model.trainable_variables, strict=True))


def test_balanced_classes_have_the_same_weight_in_the_loss(tmp_path):
    rows = Split(np.zeros((10, 1), "float32"), np.array([0] * 9 + [1]))
    schema = Schema("tabular_classification", "x", (1,), ("no", "yes"))
    shares = {}
    for class_weight in (None, "balanced"):
        config = Config(out=str(tmp_path / str(class_weight)), epochs=15, class_weight=class_weight)
        run = Run.create("line", config)
        run.start(Dataset("line", "synthetic", "", rows, rows, rows, schema), config)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, "softmax")])
        model.compile(keras.optimizers.SGD(2.0), loss="sparse_categorical_crossentropy")
        fit(model, ShuffledBatches(rows, 10, seed=0), rows, run, config)
        shares[class_weight] = float(model.predict(rows.x[:1], verbose=0)[0, 1])
    assert shares[None] == pytest.approx(0.1, abs=0.01)
    assert shares["balanced"] == pytest.approx(0.5, abs=0.01)


def test_class_weights_are_refused_where_there_are_no_classes(tmp_path):
    config = Config(out=str(tmp_path / "run"), class_weight="balanced")
    with pytest.raises(UserError, match=r"`class_weight` is for classification; this run's task is tabular regression"):
        Run.create("line", config).start(dataclasses.replace(DATASET, schema=REGRESSION), config)


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(tmp_path):
    run = started_run(tmp_path / "run")
    broken = Split(SPLIT.x, np.full(10, np.nan))
    with pytest.raises(UserError, match=r"loss became nan in epoch 1.*`learning_rate`"):
        fit(linear_model(), ShuffledBatches(broken, 5, seed=0), SPLIT, run, Config(epochs=2))
    assert not run.model_file.exists()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_rejected(seed):
    with pytest.raises(UserError, match="`seed` must be"):
        Config(seed=seed)


def test_a_folder_that_is_not_empty_is_rejected(tmp_path):
    (tmp_path / "file").write_text("content")
    with pytest.raises(UserError, match="not an empty folder"):
        Run.create("line", Config(out=str(tmp_path)))
    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ((), "not a run folder"),
        (("config.yaml", "environment.json"), r"was not finished.*train it again"),
        (("config.yaml", "environment.json", "checkpoints/last.npz"), r"was not finished.*`kerasfound resume"),
    ],
    ids=["empty", "killed early", "killed"],
)
def test_opening_an_unfinished_run_is_an_error(tmp_path, files, reason):
    (tmp_path / "checkpoints").mkdir()
    for name in files:
        (tmp_path / name).write_text('{"recipe": "line"}')
    with pytest.raises(UserError, match=reason):
        Run.open(tmp_path)


def test_the_log_is_json_lines(tmp_path):
    run = started_run(tmp_path / "run")
    run.log({"epoch": 1, "loss": math.pi})
    assert json.loads((run.folder / "metrics.jsonl").read_text()) == {"epoch": 1, "loss": math.pi}
