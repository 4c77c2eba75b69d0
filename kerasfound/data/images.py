"""Images: raw pixels 0..255 as `uint8`, with one class for each image."""

from pathlib import Path

import numpy as np

from kerasfound.bundle.schema import Schema, Task
from kerasfound.errors import UserError
from kerasfound.preprocessing.pixels import read_head, read_image

from . import tfds
from .cache import Arrays, sha256
from .dataset import Dataset
from .splits import stratified_split

MNIST_VALIDATION = 5_000
DIGITS_VALIDATION, DIGITS_TEST = 240, 360
MIN_SIDE, MAX_SIDE = 8, 64
"""Bounds of the height and width that the images of a folder are resized to."""


def mnist(data_dir: Path | None) -> Arrays:
    """MNIST with its own test images; the last of its training images are for validation."""
    train, test = (tfds.read_split("mnist", split, data_dir, instead="digits") for split in ("train", "test"))
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
    """The digits of scikit-learn, split at random with a fixed seed, stratified by class; `data_dir` is not used."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise UserError('data set "digits" needs scikit-learn: pip install "kerasfound[recipes]"') from error

    bunch = load_digits()
    x = np.rint(bunch.images * (255 / 16)).astype("uint8")[..., None]  # 17 shades of grey, 0..16
    y = bunch.target.astype("int64")
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


def read_image_folder(folder: Path) -> Dataset:
    """Read your own images: one folder for each class, with the name of the class.

    All images are resized to the median height and width, within 8 to 64 pixels. They are grey if none has color. Of
    each class 1/7 is for validation and 1/7 for test, from a shuffle with a fixed seed.

    Args:
        folder: a folder with two or more folders, each with three or more images in any format that Pillow reads.

    Raises:
        UserError: if there are too few classes or images, or a file is not an image.
    """
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = {path.name: sorted(file for file in path.iterdir() if not file.name.startswith(".")) for path in classes}
    if len(files) < 2:
        raise UserError(f"`data` {folder}: has {len(files)} folders; expected two or more, one for each class.")
    too_few = [f"{name} has {len(images)}" for name, images in files.items() if len(images) < 3]
    if too_few:
        raise UserError(f"`data` {folder}: {too_few[0]} images; each class needs three, one for each split.")
    all_files = [file for images in files.values() for file in images]
    shape = _common_shape(all_files)
    x = np.stack([read_image(file, shape) for file in all_files])
    y = np.repeat(np.arange(len(files)), [len(images) for images in files.values()])
    arrays: Arrays = {}
    splits = stratified_split(y, seed=0, every_class=True)
    for name, rows in zip(("train", "validation", "test"), splits, strict=True):
        arrays[f"{name}_x"], arrays[f"{name}_y"] = x[rows], y[rows]
    pixels = " x ".join(map(str, shape[:2]))
    source = f"{len(y):,} images in {len(files)} folders of {folder.name}, resized to {pixels} pixels"
    schema = Schema(Task.IMAGE_CLASSIFICATION, "image", shape, tuple(files))
    return Dataset.from_arrays(str(folder), source, sha256(arrays), arrays, schema)


def _common_shape(files: list[Path]) -> tuple[int, int, int]:
    heads = [read_head(file) for file in files]
    sizes = [(head.height, head.width) for head in heads]
    height, width = (int(side) for side in np.clip(np.median(sizes, axis=0), MIN_SIDE, MAX_SIDE))
    return height, width, 3 if any(head.color for head in heads) else 1
