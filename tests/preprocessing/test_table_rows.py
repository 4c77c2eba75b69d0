"""The cells of a table as numbers."""

import math

import numpy as np
import pyarrow as pa
import pytest

from kerasfound.bundle import Column, ColumnKind
from kerasfound.errors import UserError
from kerasfound.preprocessing import decode_row, encode_rows, table_rows

COLUMNS = (
    Column("number", ColumnKind.NUMBER),
    Column("word", ColumnKind.CATEGORY, ("a;b", "with, comma")),
    Column("flag", ColumnKind.BOOLEAN),
    Column("day", ColumnKind.DATE),
)


def cells_of(*values):
    return pa.chunked_array([pa.array(values)])


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (("1", "2.5", None), "number"),
        (("-1e3", "inf", "7"), "number"),
        (("yes", "No", None), "boolean"),
        (("2024-02-29", "2024-03-01 10:30:00"), "date"),
        (("1", "2", "two"), "category"),
        (("2024-02-29", "tomorrow"), "category"),
        (("same", "same", None), "ignored"),
        ((None, None), "ignored"),
        (tuple(f"name {i}" for i in range(60)), "ignored"),
    ],
)
def test_the_kind_of_a_column_fits_every_cell(texts, kind):
    assert table_rows.infer_column("x", pa.chunked_array([pa.array(texts, pa.string())])).kind == kind


def test_an_unknown_and_a_missing_category_have_code_0():
    column = table_rows.infer_column("x", cells_of("b", "a", "b", "a"))
    assert table_rows.encode_column(column, cells_of("a", "b", "c", None))[:, 0].tolist() == [1, 2, 0, 0]


def test_a_date_is_year_month_weekday_and_days():
    encoded = table_rows.encode_column(Column("x", ColumnKind.DATE), cells_of("1970-01-02", "2024-02-29", None))
    assert encoded[:2].tolist() == [[1970, 1, 4, 1], [2024, 2, 3, 19782]]
    assert np.isnan(encoded[2]).all()


def test_infinite_and_too_large_numbers_are_missing():
    column = Column("x", ColumnKind.NUMBER)
    assert np.isnan(table_rows.encode_column(column, cells_of(math.inf, 1e300, math.nan))).all()


def test_encoded_rows_can_be_decoded():
    cells = {c.name: [v] for c, v in zip(COLUMNS, (1.5, "?!", True, None), strict=True)}
    row = encode_rows(COLUMNS, pa.table(cells))[0]
    assert decode_row(COLUMNS, row) == ["1.5", "(unknown)", "true", ""]


def test_a_cell_of_another_kind_is_an_error_with_its_row_and_column():
    with pytest.raises(UserError, match="row 2, column 'age': 'old' is not a number"):
        table_rows.encode_column(Column("age", ColumnKind.NUMBER), cells_of("7", "old"))


def test_all_bad_cells_of_a_table_are_counted_and_the_first_are_named_by_row():
    table = {"number": ["1", "old", "3", "n.a."] * 10, "word": ["a;b"] * 40}
    table |= {"flag": ["yes"] * 39 + ["perhaps"], "day": ["2024-02-30", *["2024-02-29"] * 39]}
    with pytest.raises(UserError) as caught:
        encode_rows(COLUMNS, pa.table(table))
    message = str(caught.value)
    first = "12 cells cannot be read: row 1, column 'day': '2024-02-30' is not a date; row 2, column 'number': 'old' is"
    assert message.startswith(first)
    assert message.count("is not a") == 10
    assert message.endswith("and 2 more.")


def test_of_very_many_bad_cells_the_count_has_a_limit():
    with pytest.raises(UserError, match="more than 1,000 cells cannot be read: row 1, "):
        table_rows.encode_column(Column("age", ColumnKind.NUMBER), cells_of(*["old"] * 100_000))


def test_a_table_without_a_column_of_the_schema_is_an_error():
    with pytest.raises(UserError, match="the table: no column 'flag'; did you mean 'flags'"):
        encode_rows(COLUMNS[2:], pa.table({"flags": ["yes"], "day": ["2024-01-01"]}))
