"""What a data set is, once it has been read: three splits, a schema, and where it came from."""

import dataclasses
from typing import NamedTuple

import numpy as np

from kerasfound.bundle.schema import Schema


class Split(NamedTuple):
    """Raw inputs `x`, row by row beside their targets `y`."""

    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Three splits that share no row, with the sha256 of their content.

    Args:
        name: as asked for, for instance `"mnist"`.
        source: where the rows came from, in words.
        sha256: of every array's name, dtype, shape and bytes.
        train: what the weights are fitted to.
        validation: what every choice is made on.
        test: looked at once, when all is chosen.
        schema: what one row is.
    """

    name: str
    source: str
    sha256: str
    train: Split
    validation: Split
    test: Split
    schema: Schema

    @classmethod
    def of(cls, name: str, source: str, sha256: str, arrays: dict[str, np.ndarray], schema: Schema) -> "Dataset":
        """A data set of six arrays, `train_x`, `train_y`, `validation_x`, ..."""
        train, validation, test = (Split(arrays[f"{s}_x"], arrays[f"{s}_y"]) for s in ("train", "validation", "test"))
        return cls(name, source, sha256, train, validation, test, schema)
