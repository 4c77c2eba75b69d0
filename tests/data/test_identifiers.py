"""Row numbers and ids are recognized by their names and cells together; measurements are not."""

import pyarrow as pa
import pytest

from kerasfound.data.identifiers import identifier_reason

COUNTER = list(range(60))
GAPS = [i * i for i in range(60)]
MIXED = [i * 7919 % 10007 for i in range(60)]
TEXTS = [f"{i * 7919:06}-AB" for i in range(60)]


def reason(name, values):
    return identifier_reason(name, pa.chunked_array([pa.array(values)]))


@pytest.mark.parametrize(
    "name", ["index", "Unnamed: 0", "Order", "instant", "RowNumber", "id", "PassengerId", "obs", "nr"]
)
def test_a_counter_is_a_row_number(name):
    for values in (COUNTER, [i + 1 for i in COUNTER], [str(i) for i in COUNTER], [float(i) for i in COUNTER]):
        assert reason(name, values) == "row number"


@pytest.mark.parametrize("name", ["year", "Week", "price", "Amount paid", "dose_mg", "t", "size"])
def test_a_counter_of_a_measurement_is_none(name):
    assert reason(name, COUNTER) == ""
    assert reason("anno", [1950 + i for i in COUNTER]) == ""


@pytest.mark.parametrize(
    "name", ["CustomerId", "customerID", "PID", "user_id", "Ticket No", "uuid", "Kundennummer", "USERID", "index"]
)
def test_different_values_under_the_name_of_an_id_are_an_id(name):
    assert reason(name, MIXED) == "id"
    assert reason(name, TEXTS) == "id"


@pytest.mark.parametrize("name", ["price", "SalePrice", "paid", "humid", "population", "NumOfProducts", "Surname"])
def test_different_values_under_another_name_are_none(name):
    assert reason(name, MIXED) == reason(name, GAPS) == ""


def test_an_id_that_repeats_or_has_fractions_is_none():
    assert reason("store_id", [i % 9 for i in COUNTER]) == ""
    assert reason("id", [i / 8 + 0.01 for i in COUNTER]) == ""
    assert reason("id", [f"a note about {i}" for i in COUNTER]) == ""


def test_the_index_of_joined_or_sampled_tables_is_a_row_number():
    assert reason("Unnamed: 0", COUNTER + COUNTER) == "row number, several times from the start"
    assert reason("index", GAPS) == "row number"


def test_an_id_may_lack_some_cells():
    assert reason("user_id", [None, *MIXED]) == "id"
    assert reason("n", [None, *COUNTER]) == ""
