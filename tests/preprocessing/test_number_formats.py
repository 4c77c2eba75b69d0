"""Numbers as people of many countries write them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasfound.bundle.cell_formats import NumberFormat
from kerasfound.preprocessing import number_formats, table_rows
from kerasfound.preprocessing.cell_texts import describe_column
from kerasfound.preprocessing.column_inference import infer_column, infer_together
from kerasfound.preprocessing.readings import Conventions
from kerasfound.preprocessing.text_operations import PlainTexts

MARKS = [(".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'")]
FORMS = st.builds(
    lambda marks, spaces, unit: NumberFormat(*marks, spaces=spaces if marks[1] == " " or unit else " ", unit=unit),
    st.sampled_from(MARKS),
    st.sampled_from([" ", " \u00a0", " \u2009", " \u202f"]),
    st.sampled_from(["", "€", "$", "kr", "CHF", "%", "‰", "kg", "m²"]),
)
NUMBERS = st.floats(-1e12, 1e12).map(lambda x: round(x, 3))


def cells_of(*texts):
    return pa.chunked_array([pa.array(texts, pa.string())])


def numbers_of(*texts, **conventions):
    """The numbers of a column with these cells, or None if it is no column of numbers."""
    column = infer_column("x", cells_of(*texts), conventions=Conventions(**conventions))
    return table_rows.encode_column(column, cells_of(*texts))[:, 0].tolist() if column.kind == "number" else None


@settings(max_examples=60, deadline=None)
@given(FORMS, st.lists(NUMBERS, min_size=2, unique=True))
def test_a_number_in_any_form_is_read_back(form, numbers):
    cells = [
        number_formats.write_variant(form, np.format_float_positional(x, trim="-"), i) for i, x in enumerate(numbers)
    ]
    assert number_formats.parse(table_rows.TEXTS, form, pa.array(cells)).tolist() == numbers
    assert [number_formats.parse(PlainTexts(), form, cell) for cell in cells] == numbers


@settings(max_examples=60, deadline=None)
@given(FORMS, st.lists(NUMBERS, min_size=2, unique=True))
def test_the_form_of_a_column_is_inferred_from_its_cells(form, numbers):
    """`1.234.567,25` in another row decides what `1,234` is."""
    numbers = [1234567.25, *numbers]
    cells = [
        number_formats.write_variant(form, np.format_float_positional(x, trim="-"), 2 * i)
        for i, x in enumerate(numbers)
    ]
    assert numbers_of(*cells) == np.float32(numbers).tolist()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("1'234.50", "12\u2019345.00", "7"), [1234.5, 12345, 7]),
        (("₹12,34,567", "₹1,234.50", "₹5"), [1234567, 1234.5, 5]),
        (("CHF 1'234.50", "CHF -5.00", "7"), [1234.5, -5, 7]),
        (("$1,234.50", "-$5.00", "$-3", "($7.00)"), [1234.5, -5, -3, -7]),
        (("\u22125.25", "\u20133", "+1.5"), [-5.25, -3, 1.5]),
        (("1,234-", "17.5", "2-"), [-1234, 17.5, -2]),
        (("1,5E+03", "2,25e-2", "7"), [1500, np.float32(0.0225), 7]),
        (("١٬٢٣٤٫٥", "٧"), [1234.5, 7]),  # noqa: RUF001
        (("１２．５", "３"), [12.5, 3]),  # noqa: RUF001
        (("12.5%", "3 %", "0"), [12.5, 3, 0]),
        (("0,123", "1,234"), [np.float32(0.123), np.float32(1.234)]),
        (("1,234", "4321"), [np.float32(1.234), 4321]),
        (("1.234.567", "2.345"), [1234567, 2345]),
    ],
)
def test_numbers_as_people_write_them(texts, expected):
    assert numbers_of(*texts) == expected


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (("00501", "10001", "90210"), "leading zeros"),
        (("+49 151 234 567", "+49 170 345 678"), "telephone numbers"),
        (("192.168.100.200", "192.168.101.201"), "network addresses"),
        (("$12", "€5", "$7"), "different units, '$' and '€'"),
        (("12345-6789", "10501-0001"), ""),
        (("1.2.3", "1.10.12", "2.0.1"), ""),
        (("10-20", "20-30"), ""),
        (("12%", "0.5", "7%"), "2 cells with the unit '%', 1 without; row 2 has '0.5'"),
        (("0.5", "0.25", "7%"), "1 cell with the unit '%', 2 without; row 1 has '0.5'"),
        (("A11", "A12"), ""),
    ],
)
def test_codes_and_amounts_of_different_units_are_no_numbers(texts, reason):
    column = infer_column("x", cells_of(*texts))
    assert column.kind == "category"
    assert reason in column.reason


def test_a_column_named_after_a_code_has_codes():
    assert infer_column("zip code", cells_of("10001", "90210")).kind == "category"


@pytest.mark.parametrize("text", ["1,234", "1.234"])
def test_where_no_cell_decides_a_note_says_what_was_read_and_how_to_change_it(text):
    column = infer_column("x", cells_of(text, "5" + text))
    assert len(column.notes) == 1
    assert f"nothing decides whether {text!r} is" in column.notes[0]
    assert numbers_of(text, "5" + text, decimal="comma")[0] == pytest.approx(1234 if "." in text else 1.234)
    assert numbers_of(text, "5" + text, decimal="point")[0] == pytest.approx(1234 if "," in text else 1.234)
    assert not infer_column("x", cells_of(text, "5" + text), conventions=Conventions("comma")).notes


@pytest.mark.parametrize(("other", "number"), [("1,5 €", 1.234), ("$1,500.25", 1234), ("0.26", 1234)])
def test_the_other_columns_of_a_file_decide_where_the_cells_do_not(other, number):
    columns = {"a": cells_of("1,234", "5,678"), "b": cells_of(other, "2")}
    inferred = infer_together(
        lambda conventions: [infer_column(name, cells, conventions=conventions) for name, cells in columns.items()],
        list(columns.values()),
        Conventions(),
    )
    assert not inferred[0].notes
    assert table_rows.encode_column(inferred[0], columns["a"])[0, 0] == pytest.approx(number)


def test_the_errors_of_spreadsheets_are_missing_values_that_are_counted():
    column = infer_column("x", cells_of("1", "2,5", "3", "4", "#N/A", "#DIV/0!", "#N/A", "k.A.", None))
    assert (column.kind, column.missing) == ("number", 5)
    assert column.notes == ("4 cells read as missing: '#N/A' (2), '#DIV/0!', 'k.A.'",)


def test_a_column_of_nearly_only_numbers_names_the_first_other_cell():
    column = infer_column("x", cells_of(*map(str, range(118)), None, "lots", "more"))
    assert (column.kind, column.reason) == (
        "ignored",
        "118 of 120 cells are numbers; row 120 has 'lots', and 1 more cell is not",
    )


def test_a_percent_column_says_that_a_bare_number_is_percent_too():
    column = infer_column("share", cells_of("87%", "30%"))
    assert describe_column(column) == "number, decimal point, '87%'; '87' is the same"
    assert table_rows.encode_column(column, cells_of("87", "87%"))[:, 0].tolist() == [87, 87]


def test_a_cell_of_another_form_is_an_error_with_its_row_and_an_example():
    column = infer_column("price", cells_of("1.234,50 €", "2 €"))
    with pytest.raises(Exception, match=r"row 2, column 'price': '3 kg' is not a number written as in '1\.234,50 €'"):
        table_rows.encode_column(column, cells_of("5 €", "3 kg"))
