"""`schema.json`: what a model takes and predicts, validated when it is read."""

import pytest

from kerasfound.bundle.cell_formats import DateFormat, NumberFormat
from kerasfound.bundle.schema import Column, ColumnKind, Schema, Task, require_column
from kerasfound.errors import UserError

COLUMNS = (
    Column("age", ColumnKind.NUMBER),
    Column("größe", ColumnKind.CATEGORY, ("klein", "groß"), missing=1, distinct=2),
    Column("id", ColumnKind.IGNORED, reason="row numbers"),
    Column("day", ColumnKind.DATE),
    Column("sold", ColumnKind.DATE, format=DateFormat("dmy", ".", hours=True), notes=("day before month",)),
    Column("income", ColumnKind.NUMBER, format=NumberFormat(",", ".", unit="€", example="1.234,56 €")),
)
SCHEMA = Schema(Task.TABULAR_REGRESSION, "row", (12,), (), COLUMNS, "price")


def test_a_schema_is_the_same_after_saving_and_loading(tmp_path):
    SCHEMA.save(tmp_path / "schema.json")
    loaded = Schema.load(tmp_path / "schema.json")
    assert loaded == SCHEMA
    assert isinstance(loaded.task, Task)
    assert isinstance(loaded.columns[0].kind, ColumnKind)


def test_a_schema_without_formats_can_be_read(tmp_path):
    """Formats, reasons and notes are newer than the first bundles."""
    path = tmp_path / "schema.json"
    path.write_text(
        '{"task": "tabular_regression", "input": "row", "shape": [4], "labels": [], '
        '"columns": [{"name": "day", "kind": "date"}]}'
    )
    assert Schema.load(path).columns == (Column("day", ColumnKind.DATE),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tabular_regression", "tabular_guessing", "Invalid enum value 'tabular_guessing'"),
        ('"ignored"', '"left out"', "Invalid enum value 'left out'"),
        ('"input"', '"inputs"', "missing required field 'input'"),
        ("{", "[", "not a schema"),
    ],
)
def test_a_file_that_is_not_a_schema_is_an_error_with_its_path(tmp_path, old, new, message):
    path = tmp_path / "schema.json"
    SCHEMA.save(path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=message) as raised:
        Schema.load(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_an_error_with_its_path(tmp_path):
    with pytest.raises(UserError, match=r"schema\.json: cannot be read"):
        Schema.load(tmp_path / "schema.json")


def test_the_width_of_a_column_is_the_number_of_its_encoded_numbers():
    assert [column.width for column in COLUMNS] == [1, 1, 0, 4, 5, 1]


@pytest.mark.parametrize("task", list(Task))
def test_tabular_tasks_are_those_on_tables(task):
    assert Schema(task, "x", (), ()).is_tabular == task.startswith("tabular")


def test_a_missing_column_is_an_error_that_offers_the_nearest_one():
    require_column(["size", "age"], "age", "my.csv")
    with pytest.raises(UserError, match=r"my\.csv: no column 'sizes'; did you mean 'size'\?"):
        require_column(["size", "age"], "sizes", "my.csv")
    with pytest.raises(UserError, match="the columns are size, age"):
        require_column(["size", "age"], "colour", "my.csv")
