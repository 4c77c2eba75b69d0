"""Booleans in many spellings."""

import pyarrow as pa
import pytest

from kerasfound.preprocessing import table_rows
from kerasfound.preprocessing.column_inference import infer_column


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("TRUE", "false", "True"), [1, 0, 1]),
        (("y", "N", "Y"), [1, 0, 1]),
        (("on", "off"), [1, 0]),
        (("Ja", "NEIN"), [1, 0]),
        (("oui", "Non"), [1, 0]),
        (("Sì", "no"), [1, 0]),
        (("1", "no", "YES", "0"), [1, 0, 1, 0]),
        (("x", None, "X"), [1, 0, 1]),
        (("yes", "no", "n.a.", "no"), [1, 0, None, 0]),
    ],
)
def test_booleans_in_many_spellings(texts, expected):
    cells = pa.chunked_array([pa.array(texts, pa.string())])
    column = infer_column("flag", cells)
    numbers = table_rows.encode_column(column, cells)[:, 0].tolist()
    assert column.kind == "boolean"
    assert [None if number != number else number for number in numbers] == expected


def test_the_empty_cells_beside_marks_are_not_missing():
    column = infer_column("flag", pa.chunked_array([["x", None, None]]))
    assert (column.missing, column.distinct) == (0, 2)
    assert column.notes == ("empty cells are false, 'x' is true",)


@pytest.mark.parametrize("texts", [("m", "f"), ("yes", "no", "maybe"), ("y", "f"), ("yes", "yes")])
def test_other_words_are_no_booleans(texts):
    assert infer_column("flag", pa.chunked_array([pa.array(texts)])).kind != "boolean"
