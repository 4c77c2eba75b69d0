"""Batches in an order that can be repeated; an honest log; no run that only looks finished."""

import json
import math

import keras
import numpy as np
import pytest

from kerasfound.data import Dataset, Schema, Split
from kerasfound.errors import UserError
from kerasfound.training import Batches, Config, Run, fit

SPLIT = Split(np.arange(10.0)[:, None], np.arange(10.0))


def epochs(batches, n):
    for _ in range(n):
        yield [row for i in range(len(batches)) for row in batches[i][1].tolist()]
        batches.on_epoch_end()


def test_an_epoch_holds_no_row_twice_and_orders_differ():
    first, second = epochs(Batches(SPLIT, 3, seed=0), 2)
    assert len(set(first)) == len(first) == 9
    assert first != second


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    assert list(epochs(Batches(SPLIT, 3, seed=0), 3)) == list(epochs(Batches(SPLIT, 3, seed=0), 3))
    assert list(epochs(Batches(SPLIT, 3, seed=0), 3)) != list(epochs(Batches(SPLIT, 3, seed=1), 3))


def test_augmentation_is_seeded_and_new_in_every_epoch():
    def noise(x, rng):
        return x + rng.normal(size=x.shape)

    one, two = (Batches(SPLIT, 10, seed=0, augment=noise) for _ in range(2))
    assert np.array_equal(one[0][0], two[0][0])
    before = np.sort(one[0][0], axis=0)
    one.on_epoch_end()
    assert not np.allclose(before, np.sort(one[0][0], axis=0))


def test_a_split_smaller_than_a_batch_is_one_batch():
    batches = Batches(SPLIT, 64, seed=0)
    assert len(batches) == 1
    assert len(batches[0][1]) == 10


def linear_model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse", metrics=["mae"])
    return model


def started(tmp_path):
    run = Run.create("line", Config(out=str(tmp_path / "run")))
    schema = Schema("regression", "x", (1,), ())
    run.start(Dataset("line", "made here", "", SPLIT, SPLIT, SPLIT, schema), Config())
    return run


def test_fit_logs_and_checkpoints_every_epoch(tmp_path):
    run = started(tmp_path)
    model = linear_model()
    fit(model, Batches(SPLIT, 5, seed=0), SPLIT, 3, run)
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    assert set(run.history[0]) == {"epoch", "loss", "mae", "val_loss", "val_mae", "seconds"}
    kept = keras.saving.load_model(run.checkpoints / "last.keras")
    assert int(kept.optimizer.iterations) == 6
    assert np.array_equal(kept.get_weights()[0], model.get_weights()[0])
    assert not run.model_file.exists()


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(tmp_path):
    run = started(tmp_path)
    broken = Split(SPLIT.x, np.full(10, np.nan))
    with pytest.raises(UserError, match=r"loss became nan in epoch 1.*--learning-rate"):
        fit(linear_model(), Batches(broken, 5, seed=0), SPLIT, 2, run)
    assert not run.model_file.exists()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(UserError, match="--seed must be"):
        Config(seed=seed)


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        Run.create("line", Config(out=str(tmp_path)))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("files", "reason"), [((), "not a run folder"), (("config.yaml",), "was not finished")], ids=["empty", "killed"]
)
def test_what_is_no_finished_run_says_so(tmp_path, files, reason):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=reason):
        Run.open(tmp_path)


def test_numbers_in_the_log_are_json(tmp_path):
    run = started(tmp_path)
    run.log({"epoch": 1, "loss": math.pi})
    assert json.loads((run.folder / "metrics.jsonl").read_text()) == {"epoch": 1, "loss": math.pi}
