"""Images: raw pixels 0..255 as `uint8`, with one class for each image."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from kerasfound.bundle.schema import Schema, Task
from kerasfound.errors import UserError
from kerasfound.preprocessing import pixels
from kerasfound.wording import counted, enumerate_some

from . import tfds
from .cache import Arrays, sha256
from .dataset import Dataset
from .image_folders import FoundImage, Tell, find_images
from .image_splits import check_classes, split_images
from .stored_images import LARGEST_SIDE, MIN_SIDE, store_images

MNIST_VALIDATION = 5_000
DIGITS_VALIDATION, DIGITS_TEST = 240, 360
MAX_UNREADABLE = 0.05
"""Share of the images of a folder that may be unreadable; in a small folder, one of them may be."""
MAX_BRIGHTNESS_FILES = 64
"""Files, spread over the folder, that are searched for the largest 16-bit value."""
DARK = 0.25
"""Share of the 16-bit range. If no value exceeds it, the values have 14 bits or fewer."""
MAX_BYTES_IN_MEMORY = 2**28
"""Pixels of a folder up to this size are arrays in memory; more are read from the cache batch by batch."""


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


def read_image_folder(folder: Path, image_size: int | None = None, strict: bool = False) -> Dataset:
    """Read your own images: one folder for each class, with the name of the class.

    These folders may lie in folders `train`, `validation` (`val`, `valid`) and `test`, which are then the splits. A
    split that has no folder is cut from the training images. Otherwise 70% of each class are for training, 10% for
    validation and 20% for test, from a shuffle with a fixed seed.

    All images are squeezed to one size. They are gray if none has color. Files that are not images are ignored; up to
    5% of the images, or one, may be unreadable. Lines on the standard error say what was left out, and whether 16-bit
    images use a small part of their range only.

    Args:
        folder: a folder with two or more folders, each with three or more images in any format that Pillow reads.
        image_size: the height and width of the images, 8 to 224. Defaults to their median size, within 8 to 64.
        strict: refuse the folder if a single image is unreadable.

    Raises:
        UserError: if there are too few classes or images, or too many of them are unreadable.
    """
    if image_size is not None and not MIN_SIDE <= image_size <= LARGEST_SIDE:
        raise UserError(f"`image_size` must be from {MIN_SIDE} to {LARGEST_SIDE}, got {image_size}.")

    def tell(line: str) -> None:
        print(f"{folder}: {line}.", file=sys.stderr)

    data = f"`data` {folder}"
    found = find_images(folder, tell)
    labels = _class_names(found, data)
    x, unreadable = store_images([image.path for image in found], image_size, tell)
    _report_unreadable([str(image.path.relative_to(folder)) for image in found], unreadable, data, strict, tell)
    found = [image for i, image in enumerate(found) if i not in unreadable]
    _report_dark_images([image.path for image in found], tell)
    y = np.array([labels.index(image.label) for image in found])
    splits = split_images(y, [image.split for image in found])
    check_classes(y, splits, labels, data, tell)
    in_memory = x.nbytes <= MAX_BYTES_IN_MEMORY
    arrays: dict[str, Any] = {}
    for name, rows in splits.items():
        arrays |= {f"{name}_x": x[rows] if in_memory else x.take(rows), f"{name}_y": y[rows]}
    height, width = x.shape[1:3]
    source = f"{counted(len(y), 'image')} in {counted(len(labels), 'folder')} of {folder.name}"
    source += f", squeezed to {height} x {width} pixels"
    schema = Schema(Task.IMAGE_CLASSIFICATION, "image", x.shape[1:], tuple(labels))
    return Dataset.from_arrays(str(folder), source, sha256(arrays), arrays, schema)


def _class_names(found: list[FoundImage], data: str) -> list[str]:
    """The names of the classes, sorted: those of the training images."""
    labels = sorted({image.label for image in found if image.split in ("", "train")})
    if len(labels) < 2:
        raise UserError(
            f"{data}: has {counted(len(labels), 'folder')} with images; expected two or more, one for each class."
        )
    unknown = sorted({image.label for image in found} - set(labels))
    if unknown:
        raise UserError(
            f"{data}: validation or test has images of {enumerate_some(unknown)}, and the training images are of "
            f"{enumerate_some(labels)}; give each class the same name in all splits."
        )
    return labels


def _report_unreadable(files: list[str], reasons: dict[int, str], data: str, strict: bool, tell: Tell) -> None:
    """Name the images that cannot be read; refuse the folder if they are too many."""
    unreadable = f"{len(reasons):,} of {counted(len(files), 'image')}"
    lines = enumerate_some([f"{files[i]}: {reason}" for i, reason in reasons.items()], "; ")
    if len(reasons) > (0 if strict else max(1, MAX_UNREADABLE * len(files))):
        allowed = "`strict` allows none" if strict else f"at most {MAX_UNREADABLE:.0%} may be unreadable"
        raise UserError(f"{data}: {unreadable} cannot be read, and {allowed}; convert or remove them. {lines}.")
    if reasons:
        tell(f"{unreadable} cannot be read and are left out. {lines}")


def _report_dark_images(files: list[Path], tell: Tell) -> None:
    """Say if the 16-bit images hold values of fewer bits, as those of many cameras and microscopes do.

    They are not scaled by their largest value: an image alone, in a prediction or a request, does not show it.
    """
    sampled = files[:: -(-len(files) // MAX_BRIGHTNESS_FILES)]
    found = [brightness for file in sampled if (brightness := pixels.read_brightness(file))]
    share = max((largest / white for largest, white in found), default=1.0)
    if 0 < share <= DARK:
        largest, white = max(found)
        bits, all_bits = largest.bit_length(), white.bit_length()
        tell(
            f"the 16-bit images have values of {bits} bits only (the largest of {counted(len(found), 'image')} is "
            f"{largest:,}). In training, prediction and the server, 0 is read as black and {white:,} as white, so they "
            f"are read as very dark: at most {255 * share:.0f} of 255. To use the full range, multiply the values of "
            f"all images, also of those for predictions, by {2 ** (all_bits - bits)} and save them again"
        )
