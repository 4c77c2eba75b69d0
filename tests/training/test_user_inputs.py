"""Files of the user as inputs of a run: an error names all that is wrong with them, not only the first cell."""

import types

import pytest

from kerasfound.bundle import Column, ColumnKind, Schema
from kerasfound.errors import UserError
from kerasfound.training import user_inputs

COLUMNS = (Column("age", ColumnKind.NUMBER), Column("day", ColumnKind.DATE))


@pytest.fixture
def run(tmp_path):
    schema = Schema("tabular_regression", "row", (5,), (), COLUMNS, "y")
    return types.SimpleNamespace(schema=schema, folder=tmp_path)


def table(folder, name, *rows):
    path = folder / name
    path.write_text("\n".join(["age,day", *rows]) + "\n")
    return path


def test_rows_are_named_by_file_and_number(run, tmp_path):
    names, x = user_inputs.read_table_rows(run, [table(tmp_path, "a.csv", "1,2024-01-02", ",")], [], set())
    assert names == [f"{tmp_path}/a.csv:1", f"{tmp_path}/a.csv:2"]
    assert x.shape == (2, 5)


def test_every_row_that_cannot_be_read_is_named_in_every_file(run, tmp_path):
    files = [
        table(tmp_path, "a.csv", "1,2024-01-02", "old,2024-01-02", "3,tomorrow"),
        table(tmp_path, "b.csv", "1,2024-01-02"),
        table(tmp_path, "c.csv", "young,2024-01-02"),
    ]
    with pytest.raises(UserError) as caught:
        user_inputs.read_table_rows(run, files, [], set())
    assert str(caught.value) == (
        f"{files[0]}: 2 cells cannot be read: row 2, column 'age': 'old' is not a number; "
        f"row 3, column 'day': 'tomorrow' is not a date; {files[2]}: row 1, column 'age': 'young' is not a number."
    )
