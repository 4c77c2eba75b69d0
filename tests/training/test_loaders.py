"""Batches in an order that can be repeated, prepared without delays."""

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


def test_rows_are_not_repeated_in_an_epoch_and_epochs_have_different_orders():
    first, second = epochs(ShuffledBatches(SPLIT, 3, seed=0), 2)
    assert len(set(first)) == len(first) == 9
    assert first != second


def test_the_order_depends_on_the_seed_only():
    assert list(epochs(ShuffledBatches(SPLIT, 3, seed=0), 3)) == list(epochs(ShuffledBatches(SPLIT, 3, seed=0), 3))
    assert list(epochs(ShuffledBatches(SPLIT, 3, seed=0), 3)) != list(epochs(ShuffledBatches(SPLIT, 3, seed=1), 3))


def test_a_split_smaller_than_a_batch_is_one_batch():
    batches = ShuffledBatches(SPLIT, 64, seed=0)
    assert len(batches) == 1
    assert len(batches[0][1]) == 10


def test_rows_of_similar_length_share_a_batch_that_is_cut_to_their_length():
    lengths = np.random.default_rng(0).integers(1, 400, 1000)
    x = np.where(np.arange(400) < lengths[:, None], np.arange(1000)[:, None] + 1, 0)
    batches = ShuffledBatches(Split(x, np.arange(1000)), 10, seed=0, lengths=lengths)
    seen = []
    for x_batch, y in (batches[i] for i in range(len(batches))):
        assert (x_batch > 0).sum(axis=1).tolist() == lengths[y].tolist()
        assert x_batch.shape[1] < lengths[y].max() + 50
        seen += y.tolist()
    assert sorted(seen) == list(range(1000))
    widths = [batches[i][0].shape[1] for i in range(len(batches))]
    assert widths[0] == min(widths)
    assert widths[1] == max(widths)
    assert np.mean(widths) < 1.25 * lengths.mean()


def test_steps_can_shorten_an_epoch_but_not_lengthen_it():
    assert [len(ShuffledBatches(SPLIT, 3, seed=0, steps=steps)) for steps in (None, 2, 9)] == [3, 2, 3]


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="TensorFlow's input pipeline reads from host memory")
def test_rows_stay_on_the_gpu_up_to_a_size(monkeypatch):
    rows = Split(np.arange(40, dtype="float32").reshape(10, 4), np.arange(10, dtype="int32"))
    host = ShuffledBatches(rows, 3, seed=0, lengths=np.arange(10))
    monkeypatch.setattr("kerasfound.training.loaders.devices", lambda: ["gpu:0"])
    on_gpu = ShuffledBatches(rows, 3, seed=0, lengths=np.arange(10))
    for i in range(len(host)):
        for host_array, gpu_array in zip(host[i], on_gpu[i], strict=True):
            assert keras.ops.is_tensor(gpu_array)
            assert not keras.ops.is_tensor(host_array)
            assert np.array_equal(host_array, gpu_array)
    monkeypatch.setattr("kerasfound.training.loaders.MAX_BYTES_ON_GPU", 100)
    assert not keras.ops.is_tensor(ShuffledBatches(rows, 3, seed=0)[0][0])


@pytest.mark.parametrize("n", [1, 499, 500, 501])
def test_ordered_batches_contain_all_rows_in_order(n):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
    x = np.arange(n, dtype="float32")[:, None]
    np.testing.assert_array_equal(model.predict(OrderedBatches(x), verbose=0), x)
    model.compile(loss="mse")
    assert model.evaluate(OrderedBatches(x, x + 2), verbose=0) == pytest.approx(4)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data feeds TensorFlow only")
@pytest.mark.parametrize("batches", [ShuffledBatches(SPLIT, 3, seed=0), OrderedBatches(*SPLIT)])
def test_tf_data_autotuning_is_off_because_the_end_of_an_epoch_would_wait_for_it(batches, monkeypatch):
    import tensorflow as tf

    used_options, with_options = [], tf.data.Dataset.with_options
    monkeypatch.setattr(
        tf.data.Dataset,
        "with_options",
        lambda self, options: used_options.append(options) or with_options(self, options),
    )
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    model.fit(batches, verbose=0)
    assert [options.autotune.enabled for options in used_options] == [False]
