"""An ensemble: the loss is the mean of the members' losses, the accuracy that of their mean output."""

import keras
import numpy as np
import pytest
from keras import ops

import kerasfound as kf
from kerasfound.recipes.components import ensemble


def test_the_loss_is_the_mean_of_the_members_losses():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(5, 3, 4)).astype("float32"), rng.integers(0, 4, 5)
    loss = kf.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = np.mean([ops.convert_to_numpy(loss.call(y, logits[:, member])) for member in range(3)], axis=0)
    assert ops.convert_to_numpy(ensemble.member_loss(loss)(y, logits)) == pytest.approx(losses, rel=1e-6)


def test_the_loss_of_a_regression_is_the_mean_of_the_members_losses():
    outputs = np.array([[[1.0], [3.0]], [[0.0], [2.0]]], "float32")
    loss = ensemble.member_loss(kf.losses.MeanSquaredError())
    losses = ops.convert_to_numpy(loss(np.array([1.0, 1.0], "float32"), outputs))
    assert losses.tolist() == [(0 + 4) / 2, (1 + 1) / 2]


def test_a_row_of_weight_zero_does_not_count():
    model = keras.Sequential([keras.Input((2, 3)), keras.layers.Activation("softmax")])
    model.compile(loss=ensemble.member_loss(kf.losses.SparseCategoricalCrossentropy()))
    x, y = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32"), np.array([0, 1, 2, 0])
    weighted = model.evaluate(x, y, sample_weight=np.array([2.0, 2.0, 0.0, 0.0]), verbose=0)
    assert weighted == pytest.approx(model.evaluate(x[:2], y[:2], verbose=0), rel=1e-6)


def test_the_accuracy_is_that_of_the_mean_output():
    outputs = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.6, 0.4]]], "float32")
    assert ops.convert_to_numpy(ensemble.ensemble_accuracy(np.array([0, 0]), outputs)).tolist() == [1.0, 0.0]
