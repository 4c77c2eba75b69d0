"""A data set in memory: three splits, a schema, and the source of the rows."""

import dataclasses
from typing import NamedTuple

import numpy as np

from kerasfound.bundle.schema import Column, Schema


class Split(NamedTuple):
    """Raw inputs `x` and their targets `y`, row by row.

    The images of a large folder are on disk: `x` is then a `StoredImages`, which reads the rows that are indexed.
    """

    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Three splits that share no row, with the sha256 of their content.

    Args:
        name: the name or path that was loaded, for instance `"mnist"`.
        source: where the rows come from, as a phrase.
        sha256: the checksum of every array's name, dtype, shape and values.
        train: the rows that the weights are fitted to.
        validation: the rows that every choice is made on.
        test: the rows that are used once, after all choices are made.
        schema: what one row is.
        notes: what a person should know about how the data was read, a line each.
        target: how the target of a table was read; None for other data.
    """

    name: str
    source: str
    sha256: str
    train: Split
    validation: Split
    test: Split
    schema: Schema
    notes: tuple[str, ...] = ()
    target: Column | None = None

    @classmethod
    def from_arrays(
        cls, name: str, source: str, sha256: str, arrays: dict[str, np.ndarray], schema: Schema
    ) -> "Dataset":
        """Make a data set of six arrays: `train_x`, `train_y`, `validation_x`, ..."""
        train, validation, test = (Split(arrays[f"{s}_x"], arrays[f"{s}_y"]) for s in ("train", "validation", "test"))
        return cls(name, source, sha256, train, validation, test, schema)
