"""What a data set is, once it has been read: three splits, a schema, and where it came from."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Split(NamedTuple):
    """Raw inputs `x`, row by row beside their targets `y`."""

    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table: how its cells become numbers of a row.

    Args:
        name: as the file's head has it.
        kind: `"number"`, `"boolean"` (0 or 1), `"date"` (year, month, day of the week, days since 1970), `"category"`
            (its place in `categories`, from 1; 0 for all others and for missing ones), `"left out"`, or `"text"`, of
            which a tokenizer makes the numbers.
        categories: the different texts of a category's column, sorted.
        missing: cells without a value.
        distinct: different values in the other cells.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    missing: int = 0
    distinct: int = 0

    @property
    def width(self) -> int:
        """How many numbers of an encoded row are this column's."""
        return {"date": 4, "left out": 0, "text": 0}.get(self.kind, 1)


@dataclasses.dataclass(frozen=True)
class Schema:
    """What goes into a model and what comes out, without the data itself.

    Args:
        task: `"image_classification"`, `"text_classification"`, `"text_generation"`, `"tabular_classification"` or
            `"tabular_regression"`.
        input: name of the model's input, for instance `"image"`.
        shape: one input's shape; images are height, width, channels, with pixels 0..255; of a text it is one character
            or word.
        labels: the classes, in the order of the model's outputs; for a text its characters.
        columns: of a table, in the file's order, without the target; of labelled texts that came from one, theirs.
        target: the column of a table that is to be predicted.
    """

    task: str
    input: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    target: str = ""

    @property
    def tabular(self) -> bool:
        return self.task.startswith("tabular")

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Schema":
        fields: dict[str, Any] = json.loads(path.read_text())
        columns = (
            Column(**column | {"categories": tuple(column["categories"])}) for column in fields.get("columns", ())
        )
        return cls(
            fields["task"],
            fields["input"],
            tuple(fields["shape"]),
            tuple(fields["labels"]),
            tuple(columns),
            fields.get("target", ""),
        )


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
