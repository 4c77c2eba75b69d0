"""Data sets of TensorFlow Datasets (TFDS): prepared in a folder, or downloaded once."""

import logging
from pathlib import Path

from kerasfound.errors import UserError

from .cache import Arrays


def read_split(name: str, split: str, data_dir: Path | None, instead: str) -> Arrays:
    """Read all rows of one split, as one array a column.

    Args:
        name: the name of the data set in TFDS.
        split: the name of the split in TFDS.
        data_dir: the folder of prepared data, or the one to prepare it in. Defaults to the folder of TFDS.
        instead: the built-in set that an error message offers.

    Raises:
        UserError: if the data set is not prepared there and cannot be downloaded.
    """
    try:
        import requests
        import tensorflow  # noqa: F401  TFDS reads its files with it
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f'data set "{name}" is read once with TFDS: pip install "kerasfound[tensorflow,recipes]", '
            f"or use the built-in set: `data` {instead}."
        ) from error

    logging.getLogger("absl").setLevel(logging.ERROR)  # its warning repeats the error below
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.is_prepared():
            for url in builder.url_infos:  # without a network TFDS retries for minutes; this request fails in seconds
                requests.head(url, timeout=10)
            builder.download_and_prepare()
    except Exception as error:  # TFDS passes on any exception of its downloader or the file system
        no_network = isinstance(error, requests.ConnectionError)
        reason = "no network" if no_network else (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f'data set "{name}" is not prepared in {data_dir or "the default TFDS folder"} and could not be '
            f"downloaded ({reason}). Set `data_dir` or TFDS_DATA_DIR to a folder of prepared data, "
            f"or use the built-in set: `data` {instead}."
        ) from error
    return dict(tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1)))
