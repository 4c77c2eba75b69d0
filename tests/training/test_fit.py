"""The training log, checkpoints, resumed runs, early stopping, and unfinished run folders."""

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
    assert [file.name for file in run.checkpoints.iterdir()] == ["last.npz"]


def test_the_checkpoint_of_another_model_is_rejected(tmp_path):
    run = started_run(tmp_path / "run")
    fit(linear_model(), ShuffledBatches(SPLIT, 5, seed=0), SPLIT, run, Config(epochs=1))
    with pytest.raises(
        UserError, match=r"last.npz: training cannot resume .*\(its variables belong to another model\)"
    ):
        fit(noisy_model(), ShuffledBatches(SPLIT, 5, seed=0), SPLIT, run, Config(epochs=2))


def test_patience_stops_training_and_keeps_the_best_epoch(tmp_path):
    run = started_run(tmp_path / "run")
    model = linear_model()
    model.compile(
        keras.optimizers.SGD(0.03), loss="mse"
    )  # the step size is too large: the loss grows after some epochs
    fit(model, ShuffledBatches(SPLIT, 5, seed=0), SPLIT, run, Config(epochs=50, patience=2))
    losses = [row["val_loss"] for row in run.history]
    best = losses.index(min(losses))
    assert len(losses) == best + 3 < 50
    assert np.ravel(model.evaluate(*SPLIT, verbose=0))[0] == pytest.approx(losses[best], rel=1e-5)
    fit(model, ShuffledBatches(SPLIT, 5, seed=0), SPLIT, run, Config(epochs=50, patience=2))
    assert len(run.history) == len(losses), "a run that was stopped by patience does not train again"


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
