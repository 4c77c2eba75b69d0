"""Digits that are always there: the 1,797 of scikit-learn, 8 x 8 pixels, and MNIST-1D, signals of 40 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import kerasfound as kf
from kerasfound import _lazy

if TYPE_CHECKING:
    import numpy as np
    from sklearn import datasets
else:
    np, datasets = _lazy.module("numpy"), _lazy.module("sklearn.datasets")


class Digits(NamedTuple):
    """Images or signals as rows of pixels, and their classes from 0 to 9."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def digits(seed: int, train: int = 1000) -> Digits:
    """Images of 64 pixels from 0 to 1 in a random order: the first `train` to train with, the rest to test."""
    x, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    x, y = (x[order] / 16).astype("float32"), y[order].astype("int32")
    return Digits(x[:train], y[:train], x[train:], y[train:])


def signals(shuffled: bool = False) -> Digits:
    """MNIST-1D, with its pixels in order or in a random one."""
    train, test = kf.data.mnist1d.load(shuffled=shuffled)
    return Digits(train.x, train.y.astype("int32"), test.x, test.y)


def with_wrong_labels(y: np.ndarray, share: float, seed: int, classes: int = 10) -> np.ndarray:
    """The labels, of which `share` are replaced by another class at random."""
    rng = np.random.default_rng(1000 + seed)
    wrong = rng.permutation(len(y)) < round(share * len(y))
    return np.where(wrong, (y + rng.integers(1, classes, len(y))) % classes, y).astype(y.dtype)
