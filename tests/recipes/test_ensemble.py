"""An ensemble: the loss is the mean of the members' losses, the accuracy that of their mean output."""

import numpy as np
import pytest
from keras import ops

import kerasfound as kf
from kerasfound.recipes.components import ensemble


def test_the_loss_is_the_mean_of_the_members_losses():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(5, 3, 4)).astype("float32"), rng.integers(0, 4, 5)
    loss = kf.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = [float(loss(y, logits[:, member])) for member in range(3)]
    assert float(ensemble.member_loss(loss)(y, logits)) == pytest.approx(np.mean(losses), rel=1e-6)


def test_the_loss_of_a_regression_is_the_mean_of_the_members_losses():
    outputs = np.array([[[1.0], [3.0]], [[0.0], [2.0]]], "float32")
    loss = ensemble.member_loss(kf.losses.MeanSquaredError())
    assert float(loss(np.array([1.0, 1.0], "float32"), outputs)) == pytest.approx((0 + 4 + 1 + 1) / 4)


def test_the_accuracy_is_that_of_the_mean_output():
    outputs = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.6, 0.4]]], "float32")
    assert ops.convert_to_numpy(ensemble.ensemble_accuracy(np.array([0, 0]), outputs)).tolist() == [1.0, 0.0]
