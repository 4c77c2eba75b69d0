"""CSV and Parquet files -> Arrow tables, before the kinds of the columns are inferred."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from kerasfound.errors import UserError
from kerasfound.preprocessing.table_rows import normalize_missing

SEPARATORS = ",;\t|"
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")


def read_table_file(path: Path) -> pa.Table:
    """Read a CSV or Parquet file. The cells of a CSV file are texts, without the spaces around them.

    Args:
        path: a `.parquet` file, or a CSV file in UTF-8: comma, semicolon, tab or bar between the cells, column names in
            the first row.

    Raises:
        UserError: if it cannot be read, two columns have the same name, or a row has more or fewer cells than the first
            one.
    """
    try:
        table = pyarrow.parquet.read_table(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); give a CSV or Parquet file.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({_first_line(error)}); save it as CSV UTF-8.") from error
    except (pa.ArrowInvalid, csv.Error) as error:
        raise UserError(f"{path}: not a table that can be read ({_first_line(error)}).") from error
    names = table.column_names
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise UserError(f"{path}: two columns have the name {duplicates[0]!r}; rename one.")
    return pa.table([normalize_missing(column) for column in table.columns], names=names)


def _read_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        separator = max(SEPARATORS, key=header.count)
        file.seek(0)
        names = next(csv.reader(file, delimiter=separator), [])
    if not names:
        raise UserError(f"{path}: empty; expected the names of the columns in the first row.")
    ragged: list[pyarrow.csv.InvalidRow] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        path,
        # only a single thread numbers the rows
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=separator, newlines_in_values=True, invalid_row_handler=skip, ignore_empty_lines=len(names) > 1
        ),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    if ragged:
        row = ragged[0]
        others = f", and {len(ragged) - 1} more rows have a wrong number too" if len(ragged) > 1 else ""
        raise UserError(
            f"{path}: row {row.number - 1} of the data has {row.actual_columns} cells, not {row.expected_columns}"
            f"{others}; fix the file, or put double quotes around text with a separator in it."
        )
    return table


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
