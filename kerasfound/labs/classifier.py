"""The handwritten digits, and the dense network that several labs train on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kerasfound as kf
from kerasfound import _lazy

from .learner import Learner

if TYPE_CHECKING:
    import keras
    import numpy as np
    import sklearn.datasets as datasets
else:
    keras, np, datasets = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("sklearn.datasets")

TEST_ROWS = 597


def digits() -> tuple[kf.data.Split, kf.data.Split]:
    """The digits of scikit-learn as rows of 64 pixels in [0, 1]: 1,200 train rows and 597 test rows, at random."""
    bunch = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    x, y = (bunch.data[order] / 16).astype("float32"), bunch.target[order]
    return kf.data.Split(x[:-TEST_ROWS], y[:-TEST_ROWS]), kf.data.Split(x[-TEST_ROWS:], y[-TEST_ROWS:])


def dense_classifier(inputs: int, hidden: tuple[int, ...] = (64,), classes: int = 10, rate: float = 0.003) -> Learner:
    """A dense network with ReLU, softmax cross-entropy and Adam; its outputs are logits."""

    def build() -> keras.Model:
        layers = [kf.layers.Dense(units, activation=kf.activations.relu) for units in hidden]
        return keras.Sequential([keras.Input((inputs,)), *layers, kf.layers.Dense(classes)])

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), kf.optimizers.Adam(rate))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of rows of logits."""
    return np.asarray(keras.ops.convert_to_numpy(kf.activations.softmax(keras.ops.convert_to_tensor(logits))))
