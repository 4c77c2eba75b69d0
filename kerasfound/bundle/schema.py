"""What goes into a model and what comes out: the task, the input, the labels and the columns of a table."""

import dataclasses
import difflib
import json
from pathlib import Path
from typing import Any

from kerasfound.errors import UserError


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


def require_column(names: list[str], asked: str, where: str) -> None:
    if asked in names:
        return
    near = difflib.get_close_matches(asked, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(names)}."
    raise UserError(f"{where}: no column {asked!r}; {hint}")
