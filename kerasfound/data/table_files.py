"""Tables as files: CSV and Parquet -> columns as Arrow holds them, of which nothing is understood yet."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from kerasfound.errors import UserError
from kerasfound.preprocessing.table_rows import tidy

SEPARATORS = ",;\t|"
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")


def read(path: Path) -> pa.Table:
    """The columns of a CSV or Parquet file; a CSV's cells are text, without the spaces around it.

    Args:
        path: a CSV (comma, semicolon, tab or bar between the cells, names in the first row, UTF-8) or a `.parquet`.

    Raises:
        UserError: if it cannot be read, two columns have the same name, or a row has more or fewer cells than the head.
    """
    try:
        table = pyarrow.parquet.read_table(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); give a CSV or Parquet file.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({_line(error)}); save it as CSV UTF-8.") from error
    except (pa.ArrowInvalid, csv.Error) as error:
        raise UserError(f"{path}: not a table that can be read ({_line(error)}).") from error
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path}: two columns are called {twice[0]!r}; rename one.")
    return pa.table([tidy(column) for column in table.columns], names=names)


def _read_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        separator = max(SEPARATORS, key=head.count)
        file.seek(0)
        names = next(csv.reader(file, delimiter=separator), [])
    if not names:
        raise UserError(f"{path}: empty; the first row must hold the columns' names.")
    ragged: list[pyarrow.csv.InvalidRow] = []

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        path,
        # rows are numbered on one thread only
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=separator, newlines_in_values=True, invalid_row_handler=keep, ignore_empty_lines=len(names) > 1
        ),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    if ragged:
        row = ragged[0]
        others = f", and {len(ragged) - 1} more rows are ragged" if len(ragged) > 1 else ""
        raise UserError(
            f"{path}: row {row.number - 1} below the head has {row.actual_columns} cells, not {row.expected_columns}"
            f"{others}; mend the file, or put text that holds a separator in double quotes."
        )
    return table


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
