"""Named sets of images: raw pixels 0..255 as `uint8`, one class an image."""

import logging
from pathlib import Path

import numpy as np

from kerasfound.data.cache import Arrays
from kerasfound.errors import UserError

MNIST_VALIDATION = 5_000
DIGITS_VALIDATION, DIGITS_TEST = 240, 360


def mnist(data_dir: Path | None) -> Arrays:
    """MNIST's canonical test images; the last of its training images are for validation."""
    train_x, train_y = _tfds("mnist", "train", data_dir)
    test_x, test_y = _tfds("mnist", "test", data_dir)
    return {
        "train_x": train_x[:-MNIST_VALIDATION],
        "train_y": train_y[:-MNIST_VALIDATION],
        "validation_x": train_x[-MNIST_VALIDATION:],
        "validation_y": train_y[-MNIST_VALIDATION:],
        "test_x": test_x,
        "test_y": test_y,
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


def _tfds(name: str, split: str, data_dir: Path | None) -> tuple[np.ndarray, np.ndarray]:
    try:
        import requests
        import tensorflow  # noqa: F401  TFDS reads its files with it
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f'data set "{name}" is read once through TFDS: pip install "kerasfound[tensorflow,recipes]", '
            "or use the built-in --data digits."
        ) from error

    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS warns of a folder without the set; so do we, below
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.is_prepared():
            for url in builder.url_infos:  # TFDS retries a dead network for minutes; one question answers in seconds
                requests.head(url, timeout=10)
            builder.download_and_prepare()
    except Exception as error:  # TFDS lets through whatever its downloader or file system raised
        dead = isinstance(error, requests.ConnectionError)
        reason = "no network" if dead else (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f'data set "{name}" is not prepared in {data_dir or "the default TFDS folder"} and could not be '
            f"downloaded ({reason}). Point --data-dir or TFDS_DATA_DIR at prepared data, "
            "or use the built-in --data digits."
        ) from error
    rows = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    return rows["image"], rows["label"].astype("int64")
