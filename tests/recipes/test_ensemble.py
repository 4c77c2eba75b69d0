"""Members of an ensemble: the loss is the mean of theirs, the answer that of their mean."""

import numpy as np
import pytest
from keras import ops

import kerasfound as kf
from kerasfound.recipes.components import ensemble


def test_each_member_has_its_own_loss():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(5, 3, 4)).astype("float32"), rng.integers(0, 4, 5)
    loss = kf.losses.SparseCategoricalCrossentropy(from_logits=True)
    alone = [float(loss(y, logits[:, member])) for member in range(3)]
    assert float(ensemble.each(loss)(y, logits)) == pytest.approx(np.mean(alone), rel=1e-6)


def test_numbers_are_measured_member_by_member_too():
    answers = np.array([[[1.0], [3.0]], [[0.0], [2.0]]], "float32")
    loss = ensemble.each(kf.losses.MeanSquaredError())
    assert float(loss(np.array([1.0, 1.0], "float32"), answers)) == pytest.approx((0 + 4 + 1 + 1) / 4)


def test_the_mean_of_the_members_answers():
    answers = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.6, 0.4]]], "float32")
    assert ops.convert_to_numpy(ensemble.accuracy(np.array([0, 0]), answers)).tolist() == [1.0, 0.0]
