"""A reading: what the cells of a column are, if all or nearly all of them are written in one form."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasfound.bundle.cell_formats import CellFormat
from kerasfound.bundle.schema import ColumnKind

from .arrow_texts import ArrowTexts

TEXTS = ArrowTexts()


class Values(NamedTuple):
    """The different texts of a column, and the number of rows with each."""

    texts: pa.Array
    rows: np.ndarray

    def matches(self, pattern: str) -> np.ndarray:
        return TEXTS.matches(self.texts, pattern)

    def any(self, pattern: str) -> bool:
        return bool(self.matches(pattern).any())

    def where(self, condition: np.ndarray) -> "Values":
        return Values(self.texts.filter(pa.array(condition)), self.rows[condition])

    def shapes(self) -> dict[str, int]:
        """The texts with 0 for each run of digits, and the number of rows with each."""
        shapes = pc.replace_substring_regex(self.texts, r"[0-9]+", "0").dictionary_encode()
        rows = np.bincount(shapes.indices.to_numpy(), self.rows, len(shapes.dictionary))
        return dict(zip(shapes.dictionary.to_pylist(), rows.astype(int).tolist(), strict=True))


class Conventions(NamedTuple):
    """What decides where the cells of a column do not; None if nothing does.

    Args:
        decimal: `"comma"` or `"point"`.
        day_first: whether the day comes before the month.
        amounts: whether numbers are amounts even if they look like codes, with leading zeros.
        strict: whether every cell must fit, as in a target; otherwise a few faults among many numbers are missing.
    """

    decimal: str | None = None
    day_first: bool | None = None
    amounts: bool = False
    strict: bool = False


class Reading(NamedTuple):
    """How a column can be read.

    Args:
        kind: the kind of the column.
        fits: for each of its different texts, whether it can be read so.
        form: how the cells are written.
        note: a sentence, if the cells alone do not decide the form.
        problem: why the column is not of this kind although the cells fit.
    """

    kind: ColumnKind
    fits: np.ndarray
    form: CellFormat | None = None
    note: str = ""
    problem: str = ""
