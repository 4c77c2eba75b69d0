"""Data sets through TFDS: prepared in a folder, or downloaded once."""

import logging
from pathlib import Path

from kerasfound.errors import UserError

from .cache import Arrays


def read(name: str, split: str, data_dir: Path | None, instead: str) -> Arrays:
    """All rows of one split, a column an array.

    Args:
        name: as TFDS calls it.
        split: as TFDS calls it.
        data_dir: where it is prepared, or shall be. Defaults to TFDS's own folder.
        instead: the built-in set that an error offers.

    Raises:
        UserError: if it is not prepared there and cannot be downloaded.
    """
    try:
        import requests
        import tensorflow  # noqa: F401  TFDS reads its files with it
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f'data set "{name}" is read once through TFDS: pip install "kerasfound[tensorflow,recipes]", '
            f"or use the built-in --data {instead}."
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
            f"or use the built-in --data {instead}."
        ) from error
    return dict(tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1)))
