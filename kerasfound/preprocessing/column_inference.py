"""Infer what the columns of a table are, from all of their cells."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasfound.bundle.cell_formats import BooleanFormat, DateFormat, NumberFormat
from kerasfound.bundle.schema import Column, ColumnKind
from kerasfound.wording import counted, enumerate_some, row_numbers

from . import boolean_words
from .date_inference import infer_date
from .missing_values import GAPS
from .number_inference import infer_number
from .readings import Conventions, Reading, Values

MAX_CATEGORIES = 50
"""A text column with more distinct values than this, and than half its rows, names its rows: it is ignored."""
ONE_VALUE, ALL_DIFFERENT = "one value", "text, nearly all different"
"""Reasons to ignore a column."""
MOSTLY = 0.5
"""Share of cells of one kind from which the first of the other cells is named."""
FAULTS, FEW_NUMBERS = 0.01, 20
"""Share of other cells up to which they are faults and read as missing, beside more than so many different numbers."""
MAX_GAPS = 0.5
"""Share of marks and words for no value, such as `-`, from which they are categories."""
CODE_NAME = re.compile(r"zip[ _-]?codes?|zip|plz|post(al)?[ _-]?codes?|(tele)?phone[ _-]?(no|nr|number)?\.?", re.I)
"""Columns with these names have codes, even if all of their cells are whole numbers."""
PLURALS = {ColumnKind.NUMBER: "numbers", ColumnKind.DATE: "dates", ColumnKind.BOOLEAN: "true or false"}
NO_CONVENTIONS = Conventions()
T = TypeVar("T")


def infer_column(
    name: str, cells: pa.ChunkedArray, as_category: bool = False, conventions: Conventions = NO_CONVENTIONS
) -> Column:
    """Infer the kind of a column, and how its cells are written, from its cells.

    A text column is of the first kind among number, boolean and date as which every cell can be read in one form,
    otherwise of the kind category. Columns with one value, or with a different text in nearly every row, are ignored.
    Up to 1% of the cells among many different numbers or dates may be something else, such as a row of totals: they are
    missing, and a note has their rows.

    Args:
        name: the name of the column.
        cells: all cells of the column.
        as_category: treat the cells as categories, whatever they look like. Defaults to `False`.
        conventions: what decides where the cells do not.

    Example:
        >>> column = infer_column("price", pa.chunked_array([["1.234,50 €", "2 €", "n.a.", None]]))
        >>> column.kind.value, column.missing, column.notes
        ('number', 2, ("1 cell read as missing: 'n.a.'",))
        >>> infer_column("size", pa.chunked_array([["1", "2", "two", None]])).categories
        ('1', '2', 'two')
    """
    known = cells.drop_null()
    if not as_category and pa.types.is_floating(cells.type):
        known = known.filter(pc.is_finite(known))
    distinct, missing = len(known.unique()), len(cells) - len(known)
    column = Column(name, ColumnKind.CATEGORY, (), missing, distinct)
    if not as_category:
        column = _read_texts(column, cells, conventions) if is_text(cells) else _read_typed(column, known)
    if column.distinct < 2:
        return msgspec.structs.replace(column, kind=ColumnKind.IGNORED, format=None, reason=ONE_VALUE, notes=())
    if column.kind != ColumnKind.CATEGORY:
        return column
    if not as_category and distinct > max(MAX_CATEGORIES, len(known) / 2):
        reason = column.reason or ALL_DIFFERENT
        return msgspec.structs.replace(column, kind=ColumnKind.IGNORED, reason=reason)
    return with_categories_of(column, cells)


def infer_together(
    infer: Callable[[Conventions], Sequence[Column]], cells: Sequence[pa.ChunkedArray], conventions: Conventions
) -> list[Column]:
    """Infer columns with what is known, then those that their cells do not decide with what the other columns show.

    Args:
        infer: infers all columns with some conventions.
        cells: the cells of each column.
        conventions: what the user decides. Only the rest is taken from the columns.
    """
    columns = list(infer(conventions))
    decided = [pair for pair in zip(columns, cells, strict=True) if not _is_undecided(pair[0])]
    if len(decided) == len(columns):
        return columns
    shown = conventions._replace(
        decimal=conventions.decimal or _common(_decimal(*pair) for pair in decided),
        day_first=_common(_day_first(column) for column, _ in decided)
        if conventions.day_first is None
        else conventions.day_first,
    )
    again = infer(shown)
    return [other if _is_undecided(column) else column for column, other in zip(columns, again, strict=True)]


def _is_undecided(column: Column) -> bool:
    return any("nothing decides" in note for note in column.notes)


def _common(conventions: Iterable[T | None]) -> T | None:
    """The convention of all columns that have one, if it is the same."""
    found = set(conventions) - {None}
    return found.pop() if len(found) == 1 else None


def _decimal(column: Column, cells: pa.ChunkedArray) -> str | None:
    """The decimal mark that the cells of a column show. Plain numbers such as 0.26 show it, too."""
    form = column.format
    if column.kind == ColumnKind.NUMBER and form is None and is_text(cells):
        return "point" if pc.any(pc.match_substring_regex(cells, r"^[-+]?[0-9]*\.[0-9]+$")).as_py() else None
    if not isinstance(form, NumberFormat):
        return None
    has_point = form.thousands == "," or (form.decimal == "." and re.search(r"[0-9]\.[0-9]", form.example))
    return "comma" if form.decimal == "," else "point" if has_point else None


def _day_first(column: Column) -> bool | None:
    order = column.format.order if isinstance(column.format, DateFormat) else ""
    return {"dmy": True, "mdy": False}.get(order)


def with_categories_of(column: Column, cells: pa.ChunkedArray) -> Column:
    """Return a category column with exactly the categories of `cells`; columns of other kinds do not change.

    With the training cells, the column has the categories that the model learns.
    """
    if column.kind != ColumnKind.CATEGORY:
        return column
    categories = tuple(sorted(cast_to_text(cells.drop_null()).unique().to_pylist()))
    return msgspec.structs.replace(column, categories=categories)


def is_text(cells: pa.ChunkedArray) -> bool:
    return pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)


def cast_to_text(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    return cells.cast(pa.string())


def _read_typed(column: Column, known: pa.ChunkedArray) -> Column:
    """The column of cells that the file has as numbers, dates or booleans."""
    if pa.types.is_boolean(known.type):
        return msgspec.structs.replace(column, kind=ColumnKind.BOOLEAN)
    if pa.types.is_timestamp(known.type) or pa.types.is_date(known.type):
        hours = pa.types.is_timestamp(known.type) and pc.any(pc.not_equal(known, pc.floor_temporal(known, unit="day")))
        zones = pa.types.is_timestamp(known.type) and known.type.tz is not None
        form = DateFormat(hours=bool(hours and hours.as_py()), zones=zones, example=str(known[0]) if len(known) else "")
        return msgspec.structs.replace(column, kind=ColumnKind.DATE, format=form)
    try:
        known.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column
    return _check_name(msgspec.structs.replace(column, kind=ColumnKind.NUMBER), pa.types.is_integer(known.type))


def _check_name(column: Column, are_whole: bool) -> Column:
    if not (are_whole and CODE_NAME.fullmatch(column.name)):
        return column
    note = "codes by their name, not amounts"
    return msgspec.structs.replace(column, kind=ColumnKind.CATEGORY, format=None, notes=(note,))


def _read_texts(column: Column, cells: pa.ChunkedArray, conventions: Conventions) -> Column:
    known = pc.value_counts(cast_to_text(cells.drop_null()))
    values = Values(known.field("values"), known.field("counts").to_numpy())
    is_gap = pc.is_in(values.texts, value_set=pa.array(GAPS, pa.string())).to_numpy(zero_copy_only=False)
    gaps, others = values.where(is_gap), values.where(~is_gap)
    if not len(others.texts) or gaps.rows.sum() > MAX_GAPS * values.rows.sum():
        return column
    reading = _best_reading(others, column.missing, conventions)
    if reading is None:
        return column
    faults = others.where(~reading.fits & (not conventions.strict and _are_faults(reading, others)))
    if len(faults.texts):
        others = others.where(reading.fits)
        reading = _best_reading(others, column.missing, conventions) or reading
    if not reading.fits.all() or reading.problem:
        return msgspec.structs.replace(column, reason=_reason(reading, others, cells))
    missing = int(gaps.rows.sum() + faults.rows.sum())
    has_marks = isinstance(reading.form, BooleanFormat)  # its empty cells are false
    column = msgspec.structs.replace(
        column,
        kind=reading.kind,
        missing=0 if has_marks else column.missing + missing,
        distinct=2 if has_marks else len(others.texts),
        format=reading.form,
        notes=tuple(filter(None, [reading.note, _about_gaps(gaps), _about_faults(column.name, faults, cells)])),
    )
    are_whole = column.kind == ColumnKind.NUMBER and not others.any(r".*[^0-9 ].*")
    return _check_name(column, are_whole and not conventions.amounts)


def _are_faults(reading: Reading, values: Values) -> bool:
    """Whether the other cells are so few, among so many different numbers or dates, that they are no categories."""
    share = values.rows[~reading.fits].sum() / values.rows.sum()
    is_amount = reading.kind in (ColumnKind.NUMBER, ColumnKind.DATE) and not reading.problem
    return is_amount and share <= FAULTS and reading.fits.sum() > FEW_NUMBERS


def _about_gaps(gaps: Values) -> str:
    counts = [
        f"{text!r}" + (f" ({rows:,})" if rows > 1 else "")
        for text, rows in zip(gaps.texts.to_pylist(), gaps.rows, strict=True)
    ]
    return f"{counted(int(gaps.rows.sum()), 'cell')} read as missing: {', '.join(counts)}" if counts else ""


def _about_faults(name: str, faults: Values, cells: pa.ChunkedArray) -> str:
    named = [f"{text!r} in {row_numbers(_rows_with(cells, text))}" for text in faults.texts.to_pylist()]
    if not named:
        return ""
    read = f"{counted(int(faults.rows.sum()), 'cell')} read as missing: {enumerate_some(named)}"
    return f"{read}; with --categorical {name} the column has categories"


def _rows_with(cells: pa.ChunkedArray, text: str) -> np.ndarray:
    return np.flatnonzero(pc.equal(cast_to_text(cells), text).fill_null(False))


def _best_reading(values: Values, missing: int, conventions: Conventions) -> Reading | None:
    number = infer_number(values, conventions)
    date = infer_date(values, conventions)
    readings = [_infer_boolean(values, missing), date, number]
    whole = [reading for reading in readings if reading and reading.fits.all()]
    if whole:
        return whole[0]
    return max(filter(None, readings), key=lambda reading: values.rows[reading.fits].sum(), default=None)


def _infer_boolean(values: Values, missing: int) -> Reading | None:
    if len(values.texts) > len(boolean_words.TRUE | boolean_words.FALSE):
        return None
    words = {text.lower() for text in values.texts.to_pylist()}
    fits = np.ones(len(values.texts), bool)
    if boolean_words.are_booleans(words):
        return Reading(ColumnKind.BOOLEAN, fits)
    if missing and len(words) == 1 and words <= set(boolean_words.MARKS):
        (mark,) = words
        return Reading(ColumnKind.BOOLEAN, fits, BooleanFormat(mark), f"empty cells are false, {mark!r} is true")
    return None


def _reason(reading: Reading, values: Values, cells: pa.ChunkedArray) -> str:
    """Why the column is not of the kind of this reading, if most of its cells are."""
    fitting, total = int(values.rows[reading.fits].sum()), int(values.rows.sum())
    if reading.fits.all() or (fitting < MOSTLY * total and not reading.problem):
        return reading.problem
    other = values.where(~reading.fits).texts[0].as_py()
    where = f"row {_rows_with(cells, other)[0] + 1:,} has {other!r}"
    if reading.problem:
        return f"{reading.problem}; {where}"
    others = total - fitting - 1
    more = f", and {others:,} more cell{'s are' if others > 1 else ' is'} not" if others else ""
    return f"{fitting:,} of {total:,} cells are {PLURALS[reading.kind]}; {where}{more}"
