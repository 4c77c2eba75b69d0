"""ShuffledBatches in an order that can be repeated, fed without waiting."""

import keras
import numpy as np
import pytest

from kerasfound.data import Split
from kerasfound.training import OrderedBatches, ShuffledBatches

SPLIT = Split(np.arange(10.0)[:, None], np.arange(10.0))


def epochs(batches, n):
    for _ in range(n):
        yield [row for i in range(len(batches)) for row in batches[i][1].tolist()]
        batches.on_epoch_end()


def test_an_epoch_holds_no_row_twice_and_orders_differ():
    first, second = epochs(ShuffledBatches(SPLIT, 3, seed=0), 2)
    assert len(set(first)) == len(first) == 9
    assert first != second


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    assert list(epochs(ShuffledBatches(SPLIT, 3, seed=0), 3)) == list(epochs(ShuffledBatches(SPLIT, 3, seed=0), 3))
    assert list(epochs(ShuffledBatches(SPLIT, 3, seed=0), 3)) != list(epochs(ShuffledBatches(SPLIT, 3, seed=1), 3))


def test_a_split_smaller_than_a_batch_is_one_batch():
    batches = ShuffledBatches(SPLIT, 64, seed=0)
    assert len(batches) == 1
    assert len(batches[0][1]) == 10


def test_rows_of_about_one_length_share_a_batch_that_is_cut_to_it():
    lengths = np.random.default_rng(0).integers(1, 400, 1000)
    x = np.where(np.arange(400) < lengths[:, None], np.arange(1000)[:, None] + 1, 0)
    batches = ShuffledBatches(Split(x, np.arange(1000)), 10, seed=0, lengths=lengths)
    seen = []
    for cut, y in (batches[i] for i in range(len(batches))):
        assert (cut > 0).sum(axis=1).tolist() == lengths[y].tolist()
        assert cut.shape[1] < lengths[y].max() + 50
        seen += y.tolist()
    assert sorted(seen) == list(range(1000))
    widths = [batches[i][0].shape[1] for i in range(len(batches))]
    assert widths[0] == min(widths)
    assert widths[1] == max(widths)
    assert np.mean(widths) < 1.25 * lengths.mean()


def test_steps_shorten_an_epoch_and_never_lengthen_it():
    assert [len(ShuffledBatches(SPLIT, 3, seed=0, steps=steps)) for steps in (None, 2, 9)] == [3, 2, 3]


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="TensorFlow's pipeline takes its rows from the host")
def test_a_gpu_keeps_the_rows_unless_they_are_many(monkeypatch):
    rows = Split(np.arange(40, dtype="float32").reshape(10, 4), np.arange(10, dtype="int32"))
    host = ShuffledBatches(rows, 3, seed=0, lengths=np.arange(10))
    monkeypatch.setattr("kerasfound.training.loaders.devices", lambda: ["gpu:0"])
    kept = ShuffledBatches(rows, 3, seed=0, lengths=np.arange(10))
    for i in range(len(host)):
        for one, other in zip(host[i], kept[i], strict=True):
            assert keras.ops.is_tensor(other)
            assert not keras.ops.is_tensor(one)
            assert np.array_equal(one, other)
    monkeypatch.setattr("kerasfound.training.loaders.MAX_BYTES_ON_GPU", 100)
    assert not keras.ops.is_tensor(ShuffledBatches(rows, 3, seed=0)[0][0])


@pytest.mark.parametrize("n", [1, 499, 500, 501])
def test_rows_are_all_there_as_they_lie(n):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
    x = np.arange(n, dtype="float32")[:, None]
    np.testing.assert_array_equal(model.predict(OrderedBatches(x), verbose=0), x)
    model.compile(loss="mse")
    assert model.evaluate(OrderedBatches(x, x + 2), verbose=0) == pytest.approx(4)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data feeds TensorFlow only")
@pytest.mark.parametrize("batches", [ShuffledBatches(SPLIT, 3, seed=0), OrderedBatches(*SPLIT)])
def test_nothing_is_left_to_the_tuner_whose_sleep_the_end_of_an_epoch_would_wait_for(batches, monkeypatch):
    import tensorflow as tf

    given, with_options = [], tf.data.Dataset.with_options
    monkeypatch.setattr(
        tf.data.Dataset, "with_options", lambda self, options: given.append(options) or with_options(self, options)
    )
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    model.fit(batches, verbose=0)
    assert [options.autotune.enabled for options in given] == [False]
