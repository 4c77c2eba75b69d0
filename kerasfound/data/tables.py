"""Tables, named or your own: encoded rows, three splits, and a schema that describes the columns."""

from __future__ import annotations

import dataclasses
import difflib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfound.bundle.schema import Column, ColumnKind, Schema, Task, require_column
from kerasfound.errors import UserError

from .cache import sha256
from .dataset import Dataset, Split
from .splits import stratified_split

if TYPE_CHECKING:  # pyarrow is not needed to list the tables
    import pyarrow as pa

MIN_ROWS = 10
"""Fewest rows that can be split in three."""
MAX_CLASSES = 20
"""A target of whole numbers with at most this many distinct ones has classes, if each occurs ten times on average."""
BUILT_IN = "the built-in breast_cancer, diabetes or wine"


@dataclasses.dataclass(frozen=True)
class Frame:
    """A table before it is encoded.

    Args:
        cells: all columns.
        target: the column that is to be predicted.
        source: where the rows come from, as a phrase.
        test: the number of rows at the end that are the test split; 0 if the test split is drawn at random.
    """

    cells: pa.Table
    target: str
    source: str
    test: int = 0


@dataclasses.dataclass(frozen=True)
class TableSource:
    """A named table, before it is read.

    Args:
        name: the name to load it by.
        summary: its content, on one line.
        read: reads the table, from a folder of files or without one.
    """

    name: str
    summary: str
    read: Callable[[Path | None], Frame]


def load_table(
    data: str,
    data_dir: str | None = None,
    *,
    target: str | None = None,
    task: str | None = None,
    categorical: tuple[str, ...] = (),
    seed: int = 0,
) -> Dataset:
    """Read a named table, or your own CSV or Parquet file, as encoded rows and a schema.

    70% of the rows are for training, 10% for validation, 20% for test, stratified by class. Adult has its own test
    rows.

    Args:
        data: one of `TABLES`, or a path that ends in .csv, .tsv, .txt or .parquet.
        data_dir: a folder with the files of `adult` and `california`.
        target: the column to predict. Defaults to the target of a named table.
        task: `"classification"` or `"regression"`. By default it is inferred from the target.
        categorical: columns to treat as categories, whatever they look like.
        seed: the seed of a file's split. The split of a named table is always the same.

    Raises:
        UserError: if there is no such table or column, or nothing can be learned from it.

    Example:
        >>> wine = load_table("wine")
        >>> wine.train.x.shape, wine.schema.labels
        ((125, 13), ('class_0', 'class_1', 'class_2'))
    """
    try:
        from kerasfound.preprocessing import table_rows
    except ImportError as error:
        raise UserError('tables are read with pyarrow: pip install "kerasfound[recipes]"') from error

    frame = _read_frame(data, data_dir, target)
    for name in (frame.target, *categorical):
        require_column(frame.cells.column_names, name, data)
    rows = frame.cells.filter(frame.cells[frame.target].is_valid())
    if len(rows) < MIN_ROWS:
        raise UserError(f"`data` {data}: {len(rows)} rows with a target; expected {MIN_ROWS} or more for three splits.")
    inferred_task, labels, y = encode_target(frame.target, rows[frame.target], task)
    stratify = inferred_task == Task.TABULAR_CLASSIFICATION
    splits = stratified_split(y, 0 if data in TABLES else seed, stratify=stratify, test=frame.test)
    columns = _infer_columns(rows.drop_columns(frame.target), categorical, splits[0])
    x = table_rows.encode_rows(columns, rows)
    if not x.shape[1]:
        raise UserError(f"`data` {data}: no column other than {frame.target!r} has two different values to learn from.")
    num_dropped = len(frame.cells) - len(rows)
    dropped = f"; {num_dropped:,} without a target were dropped" if num_dropped else ""
    train, validation, test = (Split(x[split], y[split]) for split in splits)
    return Dataset(
        data,
        f"{frame.source}; {len(rows):,} rows{dropped}",
        sha256({"x": x, "y": y, "train": splits[0], "validation": splits[1]}),
        train,
        validation,
        test,
        Schema(inferred_task, "row", (x.shape[1],), labels, columns, frame.target),
    )


def _infer_columns(cells: pa.Table, categorical: tuple[str, ...], train: np.ndarray) -> tuple[Column, ...]:
    """The kind of each column from all rows, the categories from the training rows only."""
    from kerasfound.preprocessing import table_rows

    columns = (table_rows.infer_column(name, cells[name], name in categorical) for name in cells.column_names)
    return tuple(table_rows.with_categories_of(column, cells[column.name].take(train)) for column in columns)


def encode_target(name: str, cells: pa.ChunkedArray, task: str | None) -> tuple[Task, tuple[str, ...], np.ndarray]:
    """Return the task, its labels, and the class or the number of each row.

    Args:
        name: the name of the target column.
        cells: its cells, without missing ones.
        task: `"classification"`, `"regression"`, or None to infer the task from the cells.

    Raises:
        UserError: if all cells are equal, the cells do not fit the task, or nearly every row is a class by itself.
    """
    from kerasfound.preprocessing import table_rows

    distinct = len(cells.unique())
    if distinct < 2:
        raise UserError(f"`target` {name}: every row has {cells[0].as_py()!r}; expected two or more different values.")
    column = table_rows.infer_column(name, cells)
    is_amount = column.kind == ColumnKind.NUMBER and (task == "regression" or not table_rows.have_leading_zeros(cells))
    y = table_rows.parse_numbers(cells)[:, 0] if is_amount else None
    if y is not None and not (np.abs(y) <= np.finfo("float32").max).all():
        raise UserError(f"`target` {name}: some numbers are infinite or too large for float32; fix or remove them.")
    if task == "regression" or (task is None and y is not None and not _looks_like_classes(y, distinct)):
        if y is None:
            raise UserError(f"`target` {name}: has {cells[0].as_py()!r}, not numbers; use `task` classification.")
        return Task.TABULAR_REGRESSION, (), y.astype("float32")
    if distinct > max(2, len(cells) / 2):
        raise UserError(
            f"`target` {name}: {distinct} classes in {len(cells)} rows; use `task` regression, or a target with fewer."
        )
    if y is not None:
        values, classes = np.unique(y, return_inverse=True)
        labels = tuple(str(int(value)) if value.is_integer() else str(value) for value in values.tolist())
        return Task.TABULAR_CLASSIFICATION, labels, classes.astype("int64")
    column = table_rows.with_categories_of(Column(name, ColumnKind.CATEGORY), cells)
    codes = table_rows.encode_column(column, cells)[:, 0] - 1  # code 0 is for unknown categories; there are none here
    return Task.TABULAR_CLASSIFICATION, column.categories, codes.astype("int64")


def _looks_like_classes(y: np.ndarray, distinct: int) -> bool:
    return distinct <= max(2, min(MAX_CLASSES, len(y) / 10)) and bool((y == np.rint(y)).all())


def describe(dataset: Dataset) -> str:
    """Return the inferred columns as text, one on each line."""
    schema = dataset.schema
    header = ("column", "type", "missing", "distinct")
    rows = [(c.name, _describe_kind(c), f"{c.missing:,}", f"{c.distinct:,}") for c in schema.columns]
    wide = [max(len(row[i]) for row in [header, *rows]) for i in range(4)]
    lines = [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}  {d:>{wide[3]}}" for a, b, c, d in [header, *rows]]
    classes = f" with {len(schema.labels)} classes" if schema.labels else ""
    return "\n".join([f"{dataset.name}: {dataset.source}", *lines, f"target {schema.target}: {schema.task}{classes}"])


def _describe_kind(column: Column) -> str:
    if column.kind != ColumnKind.IGNORED:
        return column.kind
    return f"ignored: {'one value' if column.distinct < 2 else 'text, nearly all different'}"


def _read_frame(data: str, data_dir: str | None, target: str | None) -> Frame:
    from . import table_files

    if data in TABLES:
        frame = TABLES[data].read(Path(data_dir) if data_dir else None)
        return dataclasses.replace(frame, target=target or frame.target)
    path = Path(data)
    if path.is_file() and path.suffix.lower() not in table_files.SUFFIXES:
        raise UserError(f"`data` {data}: not a .csv or .parquet file; save the table as one of them.")
    if not path.exists():
        near = difflib.get_close_matches(data, TABLES, n=1)
        hint = f'Did you mean "{near[0]}"? ' if near else ""
        raise UserError(
            f'no table or file "{data}". {hint}The tables are {", ".join(TABLES)}; or give a .csv or .parquet file.'
        )
    cells = table_files.read_table_file(path)
    if target is None:
        raise UserError(
            f"`data` {data}: name the column to predict with `target`; the columns are {', '.join(cells.column_names)}."
        )
    return Frame(cells, target, path.name)


def _bundled(name: str, target: str) -> Callable[[Path | None], Frame]:
    """Return a reader of a table that is part of scikit-learn."""

    def read(data_dir: Path | None) -> Frame:
        try:
            from sklearn import datasets
        except ImportError as error:
            raise UserError(f'data set "{name}" needs scikit-learn: pip install "kerasfound[recipes]"') from error
        options = {"scaled": False} if name == "diabetes" else {}
        return _from_bunch(getattr(datasets, f"load_{name}")(**options), target, f"scikit-learn's {name}")

    return read


def _from_bunch(bunch: Any, target: str, source: str) -> Frame:
    """A data set of scikit-learn as a table."""
    import pyarrow as pa

    y = np.asarray(bunch.target)
    names = getattr(bunch, "target_names", ())
    if y.dtype.kind == "i" and len(names) > 1:
        y = np.asarray(names)[y]
    cells = dict(zip(bunch.feature_names, bunch.data.T, strict=True)) | {target: y}
    return Frame(pa.table(cells), target, source)


def _adult(data_dir: Path | None) -> Frame:
    import pyarrow as pa

    from kerasfound.preprocessing import table_rows

    from . import table_files

    files = _find_files(data_dir, "adult_train.csv", "adult_test.csv")
    if files:
        train, test = map(table_files.read_table_file, files)
        return Frame(pa.concat_tables([train, test]), "income", "Adult, its own test split", len(test))
    bunch = _download("adult", lambda sets: sets.fetch_openml("adult", version=2, as_frame=True, parser="pandas"))
    columns = {name: pa.chunked_array([pa.array(column)]) for name, column in bunch.frame.items()}
    cells = pa.table({name: table_rows.normalize_missing(column) for name, column in columns.items()})
    return Frame(cells, "class", "Adult from OpenML, split at random")


def _california(data_dir: Path | None) -> Frame:
    from . import table_files

    files = _find_files(data_dir, "california_housing.csv")
    if files:
        frame = Frame(table_files.read_table_file(files[0]), "median_house_value", "California housing, 1990 census")
    else:
        bunch = _download("california", lambda sets: sets.fetch_california_housing())
        frame = _from_bunch(bunch, "median_house_value", "California housing of scikit-learn")
    return _test_last(frame)


def _test_last(frame: Frame) -> Frame:
    """Move the test rows to the end: the fifth that scikit-learn's split with seed 0 reserves."""
    from sklearn.model_selection import train_test_split

    rest, test = train_test_split(np.arange(len(frame.cells)), test_size=0.2, random_state=0)
    return dataclasses.replace(frame, cells=frame.cells.take(np.concatenate([rest, test])), test=len(test))


def _find_files(data_dir: Path | None, *names: str) -> list[Path]:
    """The files in the folder if all of them exist, otherwise none."""
    files = [data_dir / name for name in names] if data_dir else []
    return files if all(file.is_file() for file in files) else []


def _download(name: str, download: Callable[[Any], Any]) -> Any:
    try:
        from sklearn import datasets

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of each retry: the error below has the reason
            return download(datasets)
    except Exception as error:  # scikit-learn passes on any exception of the network, and an ImportError for pandas
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f'data set "{name}" is not in `data_dir` as CSV and could not be downloaded ({reason}); '
            f"set `data_dir` to a folder with its files, or use {BUILT_IN}."
        ) from error


TABLES = {
    table.name: table
    for table in (
        TableSource(
            "adult",
            "48,842 people of the 1994 US census: income above 50,000 $? (CSV files in the data folder, or OpenML)",
            _adult,
        ),
        TableSource(
            "california",
            "20,640 districts: median house value (a CSV file in the data folder, or scikit-learn)",
            _california,
        ),
        TableSource(
            "breast_cancer",
            "569 tumours: malignant or benign (built in, from scikit-learn)",
            _bundled("breast_cancer", "diagnosis"),
        ),
        TableSource(
            "diabetes",
            "442 patients: progression of the disease after a year (built in, from scikit-learn)",
            _bundled("diabetes", "progression"),
        ),
        TableSource(
            "wine",
            "178 wines: which of three growers (built in, from scikit-learn)",
            _bundled("wine", "grower"),
        ),
    )
}
