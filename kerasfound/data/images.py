"""Named sets of images: raw pixels 0..255 as `uint8`, one class an image."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.bundle.schema import Schema
from kerasfound.errors import UserError
from kerasfound.preprocessing.pixels import _opened, read

from . import tfds
from .cache import Arrays, sha256
from .dataset import Dataset

if TYPE_CHECKING:
    pass

MNIST_VALIDATION = 5_000
DIGITS_VALIDATION, DIGITS_TEST = 240, 360
SIDES = 8, 64
"""The shortest and the longest side that images of a folder are scaled to."""
SHARE = 0.15
"""Of each class of a folder, for validation, and again for the test."""
TASK = "image_classification"


def mnist(data_dir: Path | None) -> Arrays:
    """MNIST's canonical test images; the last of its training images are for validation."""
    train, test = (tfds.read("mnist", split, data_dir, instead="digits") for split in ("train", "test"))
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


def read_folder(folder: Path) -> Dataset:
    """Images of the user's own: a folder for each class, named as the class.

    All are scaled to the median height and width, within 8 to 64 pixels, in grey where none has color. Of each class
    15% are for validation and 15% for the test, drawn by a stated shuffle.

    Args:
        folder: holds two or more folders with three or more images each, in any format that Pillow reads.

    Raises:
        UserError: if there are too few classes or images, or a file is not an image; it is named.
    """
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = {path.name: sorted(file for file in path.iterdir() if not file.name.startswith(".")) for path in classes}
    if len(files) < 2:
        raise UserError(f"--data {folder}: {len(files)} folders in it; expected one for each class, two or more.")
    few = [f"{name} has {len(found)}" for name, found in files.items() if len(found) < 3]
    if few:
        raise UserError(f"--data {folder}: three images of each class are needed, one for each split; {few[0]}.")
    shape = _common_shape([file for found in files.values() for file in found])
    arrays = _split_by_class([np.stack([read(file, shape) for file in found]) for found in files.values()])
    rows = sum(map(len, files.values()))
    source = f"{rows:,} images in {len(files)} folders of {folder.name}, as {' x '.join(map(str, shape[:2]))} pixels"
    return Dataset.of(str(folder), source, sha256(arrays), arrays, Schema(TASK, "image", shape, tuple(files)))


def _common_shape(files: list[Path]) -> tuple[int, int, int]:
    sizes, colored = [], False
    for file in files:
        with _opened(file, file) as image:
            sizes.append((image.height, image.width))
            colored |= image.mode not in ("1", "L", "LA", "I", "I;16")
    height, width = (int(side) for side in np.clip(np.median(sizes, axis=0), *SIDES))
    return height, width, 3 if colored else 1


def _split_by_class(images: list[np.ndarray]) -> Arrays:
    rng = np.random.default_rng(0)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("test", "validation", "train")}
    for rows in images:
        held = max(1, round(SHARE * len(rows)))
        shuffled = rng.permutation(rows)
        for name, part in zip(parts, np.split(shuffled, [held, 2 * held]), strict=True):
            parts[name].append(part)
    arrays: Arrays = {}
    for name, found in parts.items():
        arrays[f"{name}_x"] = np.concatenate(found)
        arrays[f"{name}_y"] = np.repeat(np.arange(len(found)), [len(part) for part in found])
    return arrays
