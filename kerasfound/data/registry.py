"""The named data sets: `SOURCES` lists them, `load` reads one."""

import dataclasses
import difflib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from kerasfound.bundle.schema import Schema
from kerasfound.errors import UserError

from . import cache, images, labelled_texts, synthetic_reviews, text_corpus
from .dataset import Dataset
from .tables import TABLES


@dataclasses.dataclass(frozen=True)
class Source:
    """A named data set, before it is read.

    Args:
        name: what `--data` takes.
        version: raised when rows, splits or their order change, so that no cache outlives its rule.
        summary: what it holds and how it is split, in one line.
        network: whether it has to be downloaded once.
        schema: what one row is.
        make: reads the six arrays `train_x`, `train_y`, `validation_x`, ... from a TFDS folder or a built-in set.
    """

    name: str
    version: str
    summary: str
    network: bool
    schema: Schema
    make: Callable[[Path | None], cache.Arrays]

    def key(self, folder: Path | None) -> str:
        """Its name in the cache: what was read from one folder does not stand for another's."""
        place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8] if folder and self.network else "default"
        return f"{self.name}-{self.version}-{place}"

    def cached(self, folder: Path | None) -> bool:
        return (cache.folder() / f"{self.key(folder)}.npz").exists()


SOURCES = {
    source.name: source
    for source in (
        Source(
            "mnist",
            "3.0.1-1",
            "70,000 handwritten digits, 28 x 28 (TFDS); validation is the last 5,000 of the training images",
            True,
            Schema(images.TASK, "image", (28, 28, 1), tuple("0123456789")),
            images.mnist,
        ),
        Source(
            "digits",
            "1",
            "1,797 handwritten digits, 8 x 8 (built in, from scikit-learn); 1,197 train, 240 validation, 360 test",
            False,
            Schema(images.TASK, "image", (8, 8, 1), tuple("0123456789")),
            images.digits,
        ),
        Source(
            "imdb_reviews",
            "1.0.0-1",
            "50,000 film reviews, positive or negative (TFDS); 25,000 test, validation is the last 2,500 of the others",
            True,
            labelled_texts.schema(("negative", "positive")),
            labelled_texts.imdb_reviews,
        ),
        Source(
            "grammar",
            "1",
            "9,000 sentences that praise a film or blame it, made by a rule under which counting words cannot win",
            False,
            labelled_texts.schema(synthetic_reviews.LABELS),
            labelled_texts.made,
        ),
        Source(
            "tiny_shakespeare",
            "1.0.0-1",
            "1,115,394 characters of Shakespeare's plays (TFDS); 90% train, then 5% validation, 5% test",
            True,
            text_corpus.schema(text_corpus.SHAKESPEARE),
            text_corpus.tiny_shakespeare,
        ),
        Source(
            "stdlib",
            text_corpus.STANDARD_LIBRARY_VERSION,
            "the source of Python's own standard library, character by character (built in); 90%, 5%, 5%",
            False,
            text_corpus.schema(text_corpus.PRINTABLE),
            text_corpus.standard_library,
        ),
    )
}


def load(
    name: str,
    data_dir: str | None = None,
    task: str | None = None,
    *,
    text: str | None = None,
    target: str | None = None,
) -> Dataset:
    """Read a named data set, or a text, image folder or labelled texts of the user's own, as NumPy splits and a schema.

    The first read of a set keeps its arrays as `.npz` in the user's cache folder; later ones read that,
    so they need neither TensorFlow nor a network.

    Args:
        name: one of `SOURCES`, or a path.
        data_dir: a prepared TFDS folder. Defaults to `TFDS_DATA_DIR`, then to TFDS's own folder.
        task: what the data must be for, such as `"image_classification"`. It tells how a path is read.
        text: of a table of labelled texts, the column with the texts.
        target: and the column with the labels.

    Raises:
        UserError: if there is no such set, no such folder, the set cannot be had, or is for another task.

    Example:
        >>> digits = load("digits")
        >>> digits.train.x.shape, digits.schema.labels[3]
        ((1197, 8, 8, 1), '3')
    """
    if name not in SOURCES and Path(name).exists():
        own = _own(Path(name), task, text, target)
        _must_be_for(task, name, own.schema)
        return own
    if name not in SOURCES:
        if name in TABLES:
            raise UserError(f"--data {name} is a table; `kerasfound run tabular_mlp` trains on it.")
        near = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f'Did you mean "{near[0]}"? ' if near else ""
        raise UserError(f'no data set, file or folder "{name}". {hint}See `kerasfound list data`.')
    given = data_dir or os.environ.get("TFDS_DATA_DIR")
    if given and not Path(given).is_dir():
        raise UserError(f"--data-dir {given}: no such folder; give a folder that TFDS has prepared data in.")
    source, folder = SOURCES[name], Path(given) if given else None
    _must_be_for(task, name, source.schema)
    arrays, digest = cache.fetch(source.key(folder), lambda: source.make(folder))
    return Dataset.of(name, source.summary, digest, arrays, source.schema)


def _own(path: Path, task: str | None, text: str | None, target: str | None) -> Dataset:
    if task == labelled_texts.TASK:
        return labelled_texts.read(path, text, target)
    return images.read_folder(path) if path.is_dir() else text_corpus.read(path)


def _must_be_for(task: str | None, name: str, schema: Schema) -> None:
    if task is not None and schema.task != task:
        fit = ", ".join(source.name for source in SOURCES.values() if source.schema.task == task)
        raise UserError(f"--data {name} is for {schema.task}; this recipe is for {task}, as is {fit}.")
