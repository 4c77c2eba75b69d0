"""The 1,797 handwritten digits of scikit-learn, 8 x 8 pixels: data that is always there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kerasfound import _lazy

if TYPE_CHECKING:
    import numpy as np
    from sklearn import datasets
else:
    np, datasets = _lazy.module("numpy"), _lazy.module("sklearn.datasets")


class Digits(NamedTuple):
    """Images as rows of 64 pixels from 0 to 1, and their classes from 0 to 9."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def digits(seed: int, train: int = 1000) -> Digits:
    """The digits in a random order: the first `train` to train with, the rest to test."""
    x, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    x, y = (x[order] / 16).astype("float32"), y[order].astype("int32")
    return Digits(x[:train], y[:train], x[train:], y[train:])


def with_wrong_labels(y: np.ndarray, share: float, seed: int, classes: int = 10) -> np.ndarray:
    """The labels, of which `share` are replaced by another class at random."""
    rng = np.random.default_rng(1000 + seed)
    wrong = rng.permutation(len(y)) < round(share * len(y))
    return np.where(wrong, (y + rng.integers(1, classes, len(y))) % classes, y).astype(y.dtype)
