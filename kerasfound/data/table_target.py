"""The target of a table: which rows have one, and whether it is a class or a number."""

import collections
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasfound.bundle.schema import Column, ColumnKind, Task
from kerasfound.errors import UserError
from kerasfound.preprocessing import table_rows
from kerasfound.preprocessing.cell_texts import describe_column
from kerasfound.preprocessing.column_inference import ALL_DIFFERENT, NO_CONVENTIONS
from kerasfound.preprocessing.missing_values import GAPS, MISSING_VALUES
from kerasfound.preprocessing.number_inference import CODE_PROBLEMS
from kerasfound.preprocessing.readings import Conventions
from kerasfound.wording import counted, row_numbers

from .parquet_columns import unreadable_reason

Tell = Callable[[str], object]
MAX_CLASSES = 20
"""A target of whole numbers with at most this many distinct ones has classes, if each occurs ten times on average."""
FREQUENT = 0.01
"""Share of the rows from which a word like None is a class, not a missing value."""
FEW = 3
"""Rows of a class that are too few for three splits, and of a word like None that is not a class."""
EVERY_CELL = NO_CONVENTIONS._replace(strict=True)


def rows_with_target(
    cells: pa.ChunkedArray, task: str | None, tell: Tell, *, words_are_values: bool = False
) -> np.ndarray:
    """Return whether each row has a target. Words like None and NA that are frequent among classes are a class.

    Beside numbers, and beside two classes, the words are those of columns of numbers, with `k.A.` and `#N/A`.

    Args:
        cells: the cells of the target, with these words.
        task: `"classification"`, `"regression"`, or None to infer the task from the cells.
        tell: receives a line about each such word.
        words_are_values: these words are always values, as in Parquet files, which mark what is missing.

    Example:
        >>> rows_with_target(pa.chunked_array([["a", "NA", "b", None]]), None, print)
        'NA' is the target of row 2: left out
        array([ True, False,  True, False])
    """
    is_known = np.asarray(cells.is_valid())
    if pa.types.is_floating(cells.type):
        is_known &= ~np.asarray(pc.is_nan(cells).fill_null(True))
    if not pa.types.is_string(cells.type) or words_are_values:
        return is_known
    is_gap = np.asarray(pc.is_in(cells, value_set=pa.array(GAPS)))
    others = cells.filter(is_known & ~is_gap)
    column = table_rows.infer_column("", others, conventions=EVERY_CELL)
    are_amounts = task == "regression" or (task is None and _are_amounts(column, others))
    is_plain = are_amounts or column.kind in (ColumnKind.NUMBER, ColumnKind.BOOLEAN) or len(others.unique()) == 2
    words = GAPS if is_plain else MISSING_VALUES
    for word in cells.filter(is_known & is_gap).unique().to_pylist():
        has_word = np.asarray(pc.equal(cells, word).fill_null(False))
        can_be_a_class = any(map(str.isalpha, word)) or word not in MISSING_VALUES
        if word not in words:
            continue
        if can_be_a_class and not are_amounts and has_word.sum() >= max(FEW, FREQUENT * len(cells)):
            rows = counted(int(has_word.sum()), "row")
            tell(f"{word!r} is the target of {rows}: it is a class; remove these rows if theirs is not known")
        else:
            tell(f"{word!r} is the target of {row_numbers(has_word.nonzero()[0])}: left out")
            is_known &= ~has_word
    return is_known


def infer_target(
    name: str, cells: pa.ChunkedArray, task: str | None, conventions: Conventions = NO_CONVENTIONS
) -> Column:
    """Infer how the cells of a target are written.

    Args:
        name: the name of the target column.
        cells: its cells, all rows in the order of the file; those of rows without a target are null.
        task: `"classification"`, `"regression"`, or None to infer the task from the cells.
        conventions: how numbers are written where the cells do not decide it.

    Raises:
        UserError: if the cells are no numbers or texts, or all are equal.
    """
    if unreadable_reason(cells.type):
        raise UserError(f"`target` {name}: holds {unreadable_reason(cells.type)}; expected numbers or texts.")
    known = cells.drop_null()
    if len(known.unique()) < 2:
        raise UserError(f"`target` {name}: every row has {known[0].as_py()!r}; expected two or more different values.")
    conventions = conventions._replace(amounts=task == "regression", strict=True)
    column = table_rows.infer_column(name, cells, conventions=conventions)
    if pa.types.is_string(cells.type) and column.missing > cells.null_count:  # words like None that are a class
        return table_rows.infer_column(name, cells, as_category=True)
    return column


def encode_target(
    column: Column, cells: pa.ChunkedArray, task: str | None, tell: Tell = print
) -> tuple[Task, tuple[str, ...], np.ndarray]:
    """Return the task, its labels, and the class or the number of each row.

    Args:
        column: the target, as `infer_target` returns it.
        cells: its cells, without missing ones.
        task: `"classification"`, `"regression"`, or None to infer the task from the cells.
        tell: receives a line about each oddity: labels that differ in case only, classes of one or two rows.

    Raises:
        UserError: if the cells do not fit the task, or nearly every row is a class by itself.
    """
    name, distinct = column.name, len(cells.unique())
    y = table_rows.parse_cells(column, cells)[:, 0] if column.kind == ColumnKind.NUMBER else None
    for note in column.notes if y is not None else ():
        tell(f"{name}: {note}")
    if y is not None and not (np.abs(y) <= np.finfo("float32").max).all():
        raise UserError(f"`target` {name}: some cells are infinite, NaN or too large for float32; fix or remove them.")
    if y is None and task != "classification":
        _refuse_almost_numbers(column, cells, task, distinct)
    if y is not None and (task == "regression" or (task is None and not _looks_like_classes(y, distinct))):
        return Task.TABULAR_REGRESSION, (), y.astype("float32")
    if distinct > max(2, len(cells) / 2):
        advice = "use `task` regression" if y is not None else "choose a target with fewer different values"
        found = counted(distinct, "class", "classes")
        raise UserError(f"`target` {name}: {found} in {counted(len(cells), 'row')}; {advice}.")
    labels, classes = _classes_of_numbers(y) if y is not None else _classes_of_texts(column, cells, tell)
    _tell_oddities(labels, np.bincount(classes, minlength=len(labels)), tell)
    return Task.TABULAR_CLASSIFICATION, labels, classes


def _classes_of_numbers(y: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    values, classes = np.unique(y, return_inverse=True)
    labels = tuple(str(int(value)) if value.is_integer() else str(value) for value in values.tolist())
    return labels, classes.astype("int64")


def _classes_of_texts(column: Column, cells: pa.ChunkedArray, tell: Tell) -> tuple[tuple[str, ...], np.ndarray]:
    """A class for each text, but two for booleans in any spelling: false, then true."""
    texts = table_rows.cast_to_text(cells)
    if column.kind != ColumnKind.BOOLEAN or column.missing:
        category = table_rows.with_categories_of(Column(column.name, ColumnKind.CATEGORY), texts)
        codes = table_rows.encode_column(category, texts)[:, 0] - 1  # code 0 is for unknown ones; there are none here
        return category.categories, codes.astype("int64")
    truth = table_rows.encode_column(column, cells)[:, 0].astype("int64")
    labels = []
    for value in range(2):
        counts = collections.Counter(texts.filter(truth == value).to_pylist())
        (label, _), *others = counts.most_common()
        labels.append(label)
        if others:
            spellings = ", ".join(repr(spelling) for spelling, _ in others)
            tell(f"the target's cells {spellings} are the class {label!r} in other spellings")
    return tuple(labels), truth


def _tell_oddities(labels: tuple[str, ...], counts: np.ndarray, tell: Tell) -> None:
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(" ".join(label.split()).casefold(), label)
        if other != label:
            tell(f"{other!r} and {label!r} are two classes: did you mean one?")
    rare = [f"{label!r} has {count}" for label, count in zip(labels, counts, strict=True) if count < FEW]
    if rare:
        more = f" and {len(rare) - 5} more classes" if len(rare) > 5 else ""
        tell(f"classes with too few rows for training, validation and test: {', '.join(rare[:5])}{more}")


def _refuse_almost_numbers(column: Column, cells: pa.ChunkedArray, task: str | None, distinct: int) -> None:
    """Raise an error for a target of dates, and for one that may be meant as numbers, with the cells in the way."""
    target, as_classes = f"`target` {column.name}", "" if task else ", or use `task` classification if they are classes"
    if column.kind == ColumnKind.DATE:
        raise UserError(
            f"{target}: a column of dates ({describe_column(column)}); a target has numbers or classes, so choose "
            f"another column{as_classes}."
        )
    problem = "" if column.reason in (*CODE_PROBLEMS, ALL_DIFFERENT) else column.reason
    if problem and (task or distinct > MAX_CLASSES):
        raise UserError(f"{target}: {problem}; correct such cells, or empty them to leave out their rows{as_classes}.")
    if task == "regression":
        words = table_rows.cast_to_text(cells)
        without_digits = words.filter(pc.invert(pc.match_substring_regex(words, r"\d")))
        example = without_digits[0] if len(without_digits) else cells[0]
        raise UserError(f"{target}: has {example.as_py()!r}, not numbers; regression needs a target of numbers.")


def _are_amounts(column: Column, cells: pa.ChunkedArray) -> bool:
    if column.kind != ColumnKind.NUMBER:
        return False
    return not _looks_like_classes(table_rows.parse_cells(column, cells)[:, 0], len(cells.unique()))


def _looks_like_classes(y: np.ndarray, distinct: int) -> bool:
    return distinct <= max(2, min(MAX_CLASSES, len(y) / 10)) and bool((y == np.rint(y)).all())
