"""The named tables: Adult, California housing, and those that are part of scikit-learn."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfound.errors import UserError

if TYPE_CHECKING:  # pyarrow is not needed to list the tables
    import pyarrow as pa

BUILT_IN = "the built-in breast_cancer, diabetes or wine"


@dataclasses.dataclass(frozen=True)
class Frame:
    """A table before it is encoded.

    Args:
        cells: all columns.
        target: the column that is to be predicted.
        source: where the rows come from, as a phrase.
        test: the number of rows at the end that are the test split; 0 if the test split is drawn at random.
        words_are_values: words such as None are values in the target, not marks of a missing one.
    """

    cells: pa.Table
    target: str
    source: str
    test: int = 0
    words_are_values: bool = False


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
