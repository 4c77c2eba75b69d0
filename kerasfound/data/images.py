"""Named sets of images: raw pixels 0..255 as `uint8`, one class an image."""

from pathlib import Path

import numpy as np

from kerasfound.data import prepared
from kerasfound.data.cache import Arrays
from kerasfound.errors import UserError

MNIST_VALIDATION = 5_000
DIGITS_VALIDATION, DIGITS_TEST = 240, 360


def mnist(data_dir: Path | None) -> Arrays:
    """MNIST's canonical test images; the last of its training images are for validation."""
    train, test = (prepared.read("mnist", split, data_dir, instead="digits") for split in ("train", "test"))
    train_x, train_y = train["image"], train["label"].astype("int64")
    return {
        "train_x": train_x[:-MNIST_VALIDATION],
        "train_y": train_y[:-MNIST_VALIDATION],
        "validation_x": train_x[-MNIST_VALIDATION:],
        "validation_y": train_y[-MNIST_VALIDATION:],
        "test_x": test["image"],
        "test_y": test["label"].astype("int64"),
    }


def digits(data_dir: Path | None) -> Arrays:
    """scikit-learn's digits: a stated shuffle, stratified by class; `data_dir` has no part in it."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise UserError('data set "digits" needs scikit-learn: pip install "kerasfound[recipes]"') from error

    found = load_digits()
    x = np.rint(found.images * (255 / 16)).astype("uint8")[..., None]  # 17 shades of grey, 0..16
    y = found.target.astype("int64")
    rest_x, test_x, rest_y, test_y = train_test_split(x, y, test_size=DIGITS_TEST, stratify=y, random_state=0)
    train_x, validation_x, train_y, validation_y = train_test_split(
        rest_x, rest_y, test_size=DIGITS_VALIDATION, stratify=rest_y, random_state=0
    )
    return {
        "train_x": train_x,
        "train_y": train_y,
        "validation_x": validation_x,
        "validation_y": validation_y,
        "test_x": test_x,
        "test_y": test_y,
    }
