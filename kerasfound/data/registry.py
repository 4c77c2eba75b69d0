"""The named data sets: `SOURCES` lists them, `load` reads one, or your own files."""

import dataclasses
import difflib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from kerasfound.bundle.schema import Schema, Task
from kerasfound.errors import UserError

from . import cache, images, labelled_texts, synthetic_reviews, text_corpus
from .dataset import Dataset
from .named_tables import TABLES


@dataclasses.dataclass(frozen=True)
class Source:
    """A named data set, before it is read.

    Args:
        name: the name to load it by.
        version: increased when rows, splits or their order change, so that no cache outlives the code that filled it.
        summary: its content and its splits, on one line.
        network: whether it must be downloaded once.
        schema: what one row is.
        read: reads the six arrays `train_x`, `train_y`, `validation_x`, ... from a TFDS folder or without one.
    """

    name: str
    version: str
    summary: str
    network: bool
    schema: Schema
    read: Callable[[Path | None], cache.Arrays]

    def key(self, folder: Path | None) -> str:
        """Its name in the cache, different for each TFDS folder that it can be read from."""
        place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8] if folder and self.network else "default"
        return f"{self.name}-{self.version}-{place}"

    def is_cached(self, folder: Path | None) -> bool:
        return (cache.folder() / f"{self.key(folder)}.npz").exists()


SOURCES = {
    source.name: source
    for source in (
        Source(
            "mnist",
            "3.0.1-1",
            "70,000 handwritten digits, 28 x 28 (TFDS); 55,000 train, 5,000 validation, 10,000 test",
            True,
            Schema(Task.IMAGE_CLASSIFICATION, "image", (28, 28, 1), tuple("0123456789")),
            images.mnist,
        ),
        Source(
            "digits",
            "1",
            "1,797 handwritten digits, 8 x 8 (built in, from scikit-learn); 1,197 train, 240 validation, 360 test",
            False,
            Schema(Task.IMAGE_CLASSIFICATION, "image", (8, 8, 1), tuple("0123456789")),
            images.digits,
        ),
        Source(
            "imdb_reviews",
            "1.0.0-1",
            "50,000 film reviews, positive or negative (TFDS); 22,500 train, 2,500 validation, 25,000 test",
            True,
            labelled_texts.make_schema(("negative", "positive")),
            labelled_texts.imdb_reviews,
        ),
        Source(
            "grammar",
            "1",
            "9,000 synthetic film reviews that word counts cannot classify (built in); "
            "6,000 train, 1,000 validation, 2,000 test",
            False,
            labelled_texts.make_schema(synthetic_reviews.LABELS),
            labelled_texts.synthetic,
        ),
        Source(
            "tiny_shakespeare",
            "1.0.0-1",
            "1,115,394 characters of Shakespeare's plays (TFDS); 90% train, then 5% validation, 5% test",
            True,
            text_corpus.make_schema(text_corpus.SHAKESPEARE),
            text_corpus.tiny_shakespeare,
        ),
        Source(
            "stdlib",
            text_corpus.STANDARD_LIBRARY_VERSION,
            "the characters of Python's own standard library (built in); 90% train, then 5% validation, 5% test",
            False,
            text_corpus.make_schema(text_corpus.PRINTABLE),
            text_corpus.standard_library,
        ),
    )
}


def load(
    data: str,
    data_dir: str | None = None,
    task: str | None = None,
    *,
    text: str | None = None,
    target: str | None = None,
    header: bool | None = None,
    image_size: int | None = None,
    strict: bool = False,
) -> Dataset:
    """Read a named data set or your own images or texts, as NumPy splits and a schema.

    The first read of a named set keeps its arrays as `.npz` in the cache folder of the user. Later reads use that file
    and need neither TensorFlow nor a network.

    Args:
        data: one of `SOURCES`, or the path of a text file, a table of labelled texts, or a folder of images or texts.
        data_dir: a folder of prepared TFDS data. Defaults to `TFDS_DATA_DIR`, then to the folder of TFDS.
        task: the `Task` that the data must be for; it decides how a path is read. Defaults to any task.
        text: the column of the texts, in a table of labelled texts.
        target: the column of the labels, in a table of labelled texts.
        header: whether the first row of a CSV file of labelled texts has names. By default it is inferred.
        image_size: the height and width of the images of a folder. Defaults to their median size, within 8 to 64.
        strict: refuse a folder of images if one of them is unreadable.

    Raises:
        UserError: if there is no such set or folder, the set cannot be downloaded, or it is for another task.

    Example:
        >>> digits = load("digits")
        >>> digits.train.x.shape, digits.schema.labels[3]
        ((1197, 8, 8, 1), '3')
    """
    if data not in SOURCES and Path(data).exists():
        path = Path(data)
        if path.is_dir() and task != Task.TEXT_CLASSIFICATION:
            dataset = images.read_image_folder(path, image_size, strict)
        else:
            dataset = _read_texts(path, task, text, target, header)
        _check_task(task, data, dataset.schema)
        return dataset
    if image_size:
        raise UserError(f"`image_size` is for a folder of images; the images of {data} have one size.")
    if data not in SOURCES:
        if data in TABLES:
            raise UserError(f"`data` {data} is a table; `kerasfound run tabular_mlp` trains on it.")
        near = difflib.get_close_matches(data, SOURCES, n=1)
        hint = f'Did you mean "{near[0]}"? ' if near else ""
        raise UserError(f'no data set, file or folder "{data}". {hint}See `kerasfound list data`.')
    tfds_dir = data_dir or os.environ.get("TFDS_DATA_DIR")
    if tfds_dir and not Path(tfds_dir).is_dir():
        raise UserError(f"`data_dir` {tfds_dir}: no such folder; give a folder of prepared TFDS data.")
    source, folder = SOURCES[data], Path(tfds_dir) if tfds_dir else None
    _check_task(task, data, source.schema)
    arrays, digest = cache.fetch(source.key(folder), lambda: source.read(folder))
    return Dataset.from_arrays(data, source.summary, digest, arrays, source.schema)


def _read_texts(path: Path, task: str | None, text: str | None, target: str | None, header: bool | None) -> Dataset:
    if task == Task.TEXT_CLASSIFICATION:
        return labelled_texts.read_labelled_texts(path, text, target, header)
    return text_corpus.read_text_corpus(path)


def _check_task(task: str | None, data: str, schema: Schema) -> None:
    if task is not None and schema.task != task:
        names = ", ".join(source.name for source in SOURCES.values() if source.schema.task == task)
        raise UserError(f"`data` {data} is for {schema.task}, not for {task}; use one for it, such as {names}.")
