"""The network of the labs on generalization: images of digits in, one output for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import kerasfound as kf
from kerasfound import _lazy

from ..learner import Learner

if TYPE_CHECKING:
    import keras
    import numpy as np
else:
    keras, np = _lazy.module("keras"), _lazy.module("numpy")


def network_learner(
    units: Sequence[int], optimizer: Any, inputs: int = 64, classes: int = 10, dropout: float = 0.0
) -> Learner:
    """A learner of ReLU layers with cross-entropy; without hidden `units` it is logistic regression."""

    def build() -> keras.Model:
        model = keras.Sequential([keras.Input((inputs,))])
        for n in units:
            start = kf.initializers.HeNormal()
            model.add(kf.layers.Dense(n, activation=kf.activations.relu, kernel_initializer=start))
            if dropout:
                model.add(kf.layers.Dropout(dropout))
        model.add(kf.layers.Dense(classes))
        return model

    return Learner(build, kf.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer)


def with_wrong_labels(y: np.ndarray, share: float, seed: int, classes: int = 10) -> np.ndarray:
    """The labels, of which `share` are replaced by another class at random."""
    rng = np.random.default_rng(1000 + seed)
    wrong = rng.permutation(len(y)) < round(share * len(y))
    return np.where(wrong, (y + rng.integers(1, classes, len(y))) % classes, y).astype(y.dtype)
