"""Tables: named sets and files of the user's own -> encoded rows, honest splits, and a schema that can be shown."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfound.bundle.schema import Column, Schema, require_column
from kerasfound.errors import UserError

from .cache import sha256
from .dataset import Dataset, Split

if TYPE_CHECKING:  # not needed to list the tables
    import pyarrow as pa

CLASSIFICATION, REGRESSION = "tabular_classification", "tabular_regression"
FEWEST = 10
"""Rows that can be split in three."""
CLASSES = 20
"""A target of whole numbers with no more different ones is taken for classes, if each comes ten times or more."""
BUILT_IN = "the built-in breast_cancer, diabetes or wine"


@dataclasses.dataclass(frozen=True)
class Frame:
    """A table before it is encoded.

    Args:
        cells: all columns.
        target: the one that is to be predicted.
        source: where the rows came from, in words.
        test: how many of the last rows are the test split; none where the split is drawn.
    """

    cells: pa.Table
    target: str
    source: str
    test: int = 0


@dataclasses.dataclass(frozen=True)
class Table:
    """A named table, before it is read.

    Args:
        name: what `--data` takes.
        summary: what it holds, in one line.
        read: reads it, given a folder of files or none.
    """

    name: str
    summary: str
    read: Callable[[Path | None], Frame]


def load_table(
    name: str,
    data_dir: str | None = None,
    *,
    target: str | None = None,
    task: str | None = None,
    categorical: tuple[str, ...] = (),
    seed: int = 0,
) -> Dataset:
    """Read a named table, or a CSV or Parquet file of the user's own, as encoded rows and a schema.

    70% of the rows are for training, 10% for validation, 20% for the test, alike in classes; Adult has its own test.

    Args:
        name: one of `TABLES`, or a path that ends in .csv, .tsv, .txt or .parquet.
        data_dir: a folder with the files of `adult` and `california`.
        target: the column to predict; a named table has one.
        task: `"classification"` or `"regression"`. Defaults to what the target looks like.
        categorical: columns to take as categories, whatever they look like.
        seed: of a file's split; a named table is always split alike.

    Raises:
        UserError: if there is no such table or column, or nothing could be learned from it; it says why.

    Example:
        >>> wine = load_table("wine")
        >>> wine.train.x.shape, wine.schema.labels
        ((125, 13), ('class_0', 'class_1', 'class_2'))
    """
    try:
        from kerasfound.preprocessing import table_rows
    except ImportError as error:
        raise UserError('tables are read with pyarrow: pip install "kerasfound[recipes]"') from error

    frame = _frame(name, data_dir, target)
    cells = frame.cells
    for asked in (frame.target, *categorical):
        require_column(cells.column_names, asked, name)
    whole = cells.filter(cells[frame.target].is_valid())
    dropped = len(cells) - len(whole)
    if len(whole) < FEWEST:
        raise UserError(f"--data {name}: {len(whole)} rows with a target; at least {FEWEST} can be split in three.")
    kind, labels, y = encode_target(frame.target, whole[frame.target], task)
    features = [n for n in cells.column_names if n != frame.target]
    found = tuple(table_rows.infer(n, whole[n], as_category=n in categorical) for n in features)
    places = split(y, 0 if name in TABLES else seed, stratify=kind == CLASSIFICATION, test=frame.test)
    found = tuple(table_rows.as_seen(column, whole[column.name].take(places[0])) for column in found)
    x = table_rows.encode_rows(found, whole)
    if not x.shape[1]:
        raise UserError(f"--data {name}: no column beside {frame.target!r} has two different values to learn from.")
    train, validation, test = (Split(x[rows], y[rows]) for rows in places)
    lost = f"; {dropped:,} without a target were dropped" if dropped else ""
    return Dataset(
        name,
        f"{frame.source}; {len(whole):,} rows{lost}",
        sha256({"x": x, "y": y, "train": places[0], "validation": places[1]}),
        train,
        validation,
        test,
        Schema(kind, "row", (x.shape[1],), labels, found, frame.target),
    )


def encode_target(name: str, cells: pa.ChunkedArray, task: str | None) -> tuple[str, tuple[str, ...], np.ndarray]:
    """The task, its labels, and each row's class or number.

    Args:
        name: the column's.
        cells: none is missing.
        task: `"classification"`, `"regression"`, or none to take what the cells look like.

    Raises:
        UserError: if all are the same, numbers are asked for and there are none, or nearly every row is its own class.
    """
    from kerasfound.preprocessing import table_rows

    distinct = len(cells.unique())
    if distinct < 2:
        raise UserError(f"--target {name}: every row has {cells[0].as_py()!r}; there is nothing to tell apart.")
    column = table_rows.infer(name, cells)
    counts = column.kind == "number" and (task == "regression" or not table_rows.are_codes(cells))
    y = table_rows.numbers(cells)[:, 0] if counts else None
    if y is not None and not (np.abs(y) <= np.finfo("float32").max).all():
        raise UserError(f"--target {name}: some numbers are infinite or too large for float32; mend or drop them.")
    few = y is None or (distinct <= max(2, min(CLASSES, len(cells) / 10)) and bool((y == np.rint(y)).all()))
    if task == "regression" or (task is None and not few):
        if y is None:
            raise UserError(f"--target {name}: holds {cells[0].as_py()!r}, not numbers; use --task classification.")
        return REGRESSION, (), y.astype("float32")
    if distinct > max(2, len(cells) / 2):
        raise UserError(
            f"--target {name}: {distinct} classes in {len(cells)} rows; use --task regression, or a target of few."
        )
    if y is not None:
        values, codes = np.unique(y, return_inverse=True)
        labels = (str(int(value)) if value.is_integer() else str(value) for value in values.tolist())
        return CLASSIFICATION, tuple(labels), codes.astype("int64")
    classes = table_rows.as_seen(Column(name, "category"), cells)
    codes = table_rows.encode(classes, cells)[:, 0] - 1  # 0 is for an unknown category, of which there is none here
    return CLASSIFICATION, classes.categories, codes.astype("int64")


def split(y: np.ndarray, seed: int, *, stratify: bool, test: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows for training, validation and test: 70%, 10% and 20%, or 90% and 10% of those before a given test.

    The rows are shuffled, then sorted by class, and dealt out in turn: so each split has its share of each class.

    Args:
        y: a class or a number for each row.
        seed: of the shuffle.
        stratify: whether `y` are classes.
        test: how many of the last rows are the test split.

    Example:
        >>> train, validation, test = split(np.zeros(10), seed=0, stratify=True)
        >>> len(train), len(validation), len(test)
        (7, 1, 2)
    """
    drawn = np.random.default_rng(seed).permutation(len(y) - test)
    if stratify:
        drawn = drawn[np.argsort(y[drawn], kind="stable")]
    dealt = np.resize(list("tttvtttttt" if test else "tttvttxttx"), len(drawn))
    train, validation, rest = (np.sort(drawn[dealt == split]) for split in "tvx")
    return train, validation, np.arange(len(y) - test, len(y)) if test else rest


def describe(dataset: Dataset) -> str:
    """The columns as they were understood, a line each."""
    head = ("column", "type", "missing", "different")
    rows = [(c.name, _kind(c), f"{c.missing:,}", f"{c.distinct:,}") for c in dataset.schema.columns]
    wide = [max(len(row[i]) for row in [head, *rows]) for i in range(4)]
    lines = [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}  {d:>{wide[3]}}" for a, b, c, d in [head, *rows]]
    schema = dataset.schema
    classes = f" of {len(schema.labels)} classes" if schema.labels else ""
    return "\n".join([f"{dataset.name}: {dataset.source}", *lines, f"target {schema.target}: {schema.task}{classes}"])


def _kind(column: Column) -> str:
    if column.kind != "left out":
        return column.kind
    return f"left out: {'one value' if column.distinct < 2 else 'text, nearly all different'}"


def _frame(name: str, data_dir: str | None, target: str | None) -> Frame:
    from . import table_files

    if name in TABLES:
        frame = TABLES[name].read(Path(data_dir) if data_dir else None)
        return dataclasses.replace(frame, target=target or frame.target)
    path = Path(name)
    if path.is_file() and path.suffix.lower() not in table_files.SUFFIXES:
        raise UserError(f"--data {name}: not a .csv or .parquet; save the table as one of them.")
    if not path.exists():
        near = difflib.get_close_matches(name, TABLES, n=1)
        hint = f'Did you mean "{near[0]}"? ' if near else ""
        raise UserError(f'no table or file "{name}". {hint}There is {", ".join(TABLES)}; or give a .csv or .parquet.')
    cells = table_files.read(path)
    if target is None:
        raise UserError(
            f"--data {name}: say which column to predict with --target; there is {', '.join(cells.column_names)}."
        )
    return Frame(cells, target, path.name)


def _bundled(name: str, target: str) -> Callable[[Path | None], Frame]:
    """A table that is shipped inside scikit-learn."""

    def read(data_dir: Path | None) -> Frame:
        try:
            from sklearn import datasets
        except ImportError as error:
            raise UserError(f'data set "{name}" needs scikit-learn: pip install "kerasfound[recipes]"') from error
        options = {"scaled": False} if name == "diabetes" else {}
        return _bunch(getattr(datasets, f"load_{name}")(**options), target, f"scikit-learn's {name}")

    return read


def _bunch(found: Any, target: str, source: str) -> Frame:
    """What scikit-learn holds of a data set, as a table."""
    import pyarrow as pa

    y = np.asarray(found.target)
    names = getattr(found, "target_names", ())
    if y.dtype.kind == "i" and len(names) > 1:
        y = np.asarray(names)[y]
    cells = dict(zip(found.feature_names, found.data.T, strict=True)) | {target: y}
    return Frame(pa.table(cells), target, source)


def _adult(data_dir: Path | None) -> Frame:
    import pyarrow as pa

    from kerasfound.preprocessing import table_rows

    from . import table_files

    files = _files(data_dir, "adult_train.csv", "adult_test.csv")
    if files:
        train, test = map(table_files.read, files)
        return Frame(pa.concat_tables([train, test]), "income", "Adult, its own test split", len(test))
    found = _fetch("adult", lambda sets: sets.fetch_openml("adult", version=2, as_frame=True, parser="pandas"))
    cells = pa.table(
        {name: table_rows.tidy(pa.chunked_array([pa.array(column)])) for name, column in found.frame.items()}
    )
    return Frame(cells, "class", "Adult from OpenML, split at random")


def _california(data_dir: Path | None) -> Frame:
    from . import table_files

    files = _files(data_dir, "california_housing.csv")
    if files:
        frame = Frame(table_files.read(files[0]), "median_house_value", "California housing, 1990 census")
    else:
        found = _fetch("california", lambda sets: sets.fetch_california_housing())
        frame = _bunch(found, "median_house_value", "California housing of scikit-learn")
    return _test_last(frame)


def _test_last(frame: Frame) -> Frame:
    """With the fifth of the rows at the end that scikit-learn's split with seed 0 keeps for the test."""
    from sklearn.model_selection import train_test_split

    rest, test = train_test_split(np.arange(len(frame.cells)), test_size=0.2, random_state=0)
    return dataclasses.replace(frame, cells=frame.cells.take(np.concatenate([rest, test])), test=len(test))


def _files(data_dir: Path | None, *names: str) -> list[Path]:
    """The files in the folder, if all are there."""
    files = [data_dir / name for name in names] if data_dir else []
    return files if all(file.is_file() for file in files) else []


def _fetch(name: str, download: Callable[[Any], Any]) -> Any:
    try:
        from sklearn import datasets

        return download(datasets)
    except Exception as error:  # scikit-learn lets through whatever the network raised, and asks for pandas
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f'data set "{name}" is not in --data-dir as CSV and could not be downloaded ({reason}); '
            f"point --data-dir at a folder with its files, or use {BUILT_IN}."
        ) from error


TABLES = {
    table.name: table
    for table in (
        Table(
            "adult",
            "48,842 people of the 1994 US census: income above 50,000 $? (CSV in --data-dir, or OpenML)",
            _adult,
        ),
        Table("california", "20,640 districts: median house value (CSV in --data-dir, or scikit-learn)", _california),
        Table(
            "breast_cancer",
            "569 tumours: benign or malignant (built in, from scikit-learn)",
            _bundled("breast_cancer", "diagnosis"),
        ),
        Table(
            "diabetes",
            "442 patients: progression after a year (built in, from scikit-learn)",
            _bundled("diabetes", "progression"),
        ),
        Table("wine", "178 wines: which of three growers (built in, from scikit-learn)", _bundled("wine", "grower")),
    )
}
