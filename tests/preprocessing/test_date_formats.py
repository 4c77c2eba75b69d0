"""Dates as people write them, with times of day and time zones."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasfound.bundle.cell_formats import DateFormat
from kerasfound.bundle.schema import Column, ColumnKind
from kerasfound.preprocessing import date_formats, table_rows
from kerasfound.preprocessing.column_inference import infer_column
from kerasfound.preprocessing.date_inference import COMPACT, FORMS
from kerasfound.preprocessing.readings import Conventions
from kerasfound.preprocessing.text_operations import PlainTexts

DAYS = st.integers(0, 36_000)


def cells_of(*texts):
    return pa.chunked_array([pa.array(texts, pa.string())])


def encoded(*texts, **conventions):
    """The numbers of a column with these cells, or None if it is no column of dates."""
    column = infer_column("x", cells_of(*texts), conventions=Conventions(**conventions))
    return table_rows.encode_column(column, cells_of(*texts)).tolist() if column.kind == "date" else None


def numbers(year, month, day, *hour):
    date = datetime.date(year, month, day)
    return [year, month, date.weekday(), (date - datetime.date(1970, 1, 1)).days, *hour]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*FORMS, COMPACT]), st.lists(DAYS, min_size=1), st.integers(0, 3))
def test_a_date_in_any_form_is_read_back(form, days, variant):
    cells = [date_formats.write(form, day, 0, variant) for day in days]
    expected = [numbers(*(datetime.date(1970, 1, 1) + datetime.timedelta(day)).timetuple()[:3]) for day in days]
    assert np.transpose(date_formats.parse(table_rows.TEXTS, form, pa.array(cells))).tolist() == expected
    assert [date_formats.parse(PlainTexts(), form, cell) for cell in cells] == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("31/12/2024", "01/02/2024"), numbers(2024, 2, 1)),
        (("12/31/2024", "01/02/2024"), numbers(2024, 1, 2)),
        (("03.04.2024", "01.02.2024"), numbers(2024, 2, 1)),
        (("2024/12/31", "2024/1/2"), numbers(2024, 1, 2)),
        (("20241231", "20240102"), numbers(2024, 1, 2)),
        (("31/12/99", "01/02/00"), numbers(2000, 2, 1)),
        (("31 Dec 2024", "1 January 2024"), numbers(2024, 1, 1)),
        (("Dec 31, 2024", "Sept. 1 2024"), numbers(2024, 9, 1)),
        (("31-DEC-24", "01-JAN-24"), numbers(2024, 1, 1)),
        (("2024-12-31 00:00:00", "2024-01-02 00:00:00"), numbers(2024, 1, 2)),
        (("12/31/2024 11:30 PM", "01/02/2024 12:15 am"), numbers(2024, 1, 2, 0.25)),
        (("31/12/2024, 23:30:00", "01/02/2024, 06:30"), numbers(2024, 2, 1, 6.5)),
        (("2024-12-31T23:30:00.5Z", "2024-01-01T00:30:00+02:00"), numbers(2023, 12, 31, 22.5)),
        (("2024-12-31T23:30:00Z", "2024-12-31 23:30 -0100"), numbers(2025, 1, 1, 0.5)),
        (("0000-00-00", "2024-01-02", "2024-01-03"), numbers(2024, 1, 3)),
    ],
)
def test_dates_as_people_write_them(texts, expected):
    assert encoded(*texts)[-1] == expected


@pytest.mark.parametrize(
    "texts", [("1.2.3", "1.10.12"), ("10:30", "11:45"), ("20249999", "20240101"), ("1.10.12", "2.9.11")]
)
def test_versions_times_and_numbers_are_no_dates(texts):
    assert encoded(*texts) is None


def test_where_no_cell_decides_the_day_is_first_and_a_note_says_so():
    texts = "03/04/2024", "01/02/2024"
    (note,) = infer_column("x", cells_of(*texts)).notes
    assert "nothing decides which number of '03/04/2024' is the day" in note
    assert "--no-day-first" in note
    assert encoded(*texts)[1] == encoded(*texts, day_first=True)[1] == numbers(2024, 2, 1)
    assert encoded(*texts, day_first=False)[1] == numbers(2024, 1, 2)


@pytest.mark.parametrize(
    ("texts", "note"),
    [
        (("31/12/45", "01/02/99"), "years of two digits are 1969 to 2068"),
        (("2024-12-31T23:30Z", "2024-12-31 10:00"), "1 time without a zone, read as UTC"),
    ],
)
def test_what_is_assumed_about_dates_is_told(texts, note):
    assert infer_column("x", cells_of(*texts)).notes == (note,)


@pytest.mark.parametrize("form", [*FORMS, COMPACT, DateFormat("mdy", "/", hours=True, half_days=True, zones=True)])
def test_iso_dates_are_read_in_columns_of_any_form(form):
    encoded = table_rows.encode_column(Column("x", ColumnKind.DATE, format=form), cells_of("2024-02-29", "1950-12-01"))
    hour = [0] * form.hours
    assert encoded.tolist() == [numbers(2024, 2, 29, *hour), numbers(1950, 12, 1, *hour)]


def test_iso_times_are_read_in_columns_with_times():
    column = Column("x", ColumnKind.DATE, format=DateFormat("dmy", "/", hours=True, half_days=True))
    encoded = table_rows.encode_column(column, cells_of("2024-02-29T13:30", "29/02/2024 1:30 pm"))
    assert encoded.tolist() == [numbers(2024, 2, 29, 13.5)] * 2


def test_a_column_with_some_iso_dates_is_one_of_dates_and_they_are_counted():
    column = infer_column("x", cells_of("31/12/2024", "01/02/2024", "2024-03-04"))
    assert column.notes == ("1 date in ISO form, such as '2024-03-04'",)
    assert encoded("31/12/2024", "01/02/2024", "2024-03-04")[-1] == numbers(2024, 3, 4)


def test_a_day_that_no_calendar_has_is_named():
    column = infer_column("x", cells_of(*(f"2024-01-{day:02}" for day in range(1, 20)), "2024-02-30"))
    assert (column.kind, column.reason) == ("category", "19 of 20 cells are dates; row 20 has '2024-02-30'")


def test_days_since_1970_and_their_inverse_agree_with_numpy():
    """The calendar repeats itself after 400 years."""
    ages = [("0001-01-01", "0009-01-01"), ("1599-01-01", "2011-01-01"), ("9990-01-01", "9999-12-31")]
    days = np.concatenate([np.arange(np.datetime64(first), np.datetime64(last)) for first, last in ages])
    months = days.astype("datetime64[M]")
    year, month = days.astype("datetime64[Y]").astype(int) + 1970, months.astype(int) % 12 + 1
    day = (days - months).astype(int) + 1
    assert np.array_equal(date_formats.days_since_1970(year, month, day), days.astype(int))
    assert np.array_equal(date_formats.year_and_month(days.astype(int)), (year, month))


def test_cells_that_a_file_has_as_times_are_instants_too():
    moments = [datetime.datetime(2024, 12, 31, 23, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=-1)))] * 2
    cells = pa.chunked_array([pa.array([*moments, moments[0] + datetime.timedelta(1)], pa.timestamp("us", "-01:00"))])
    column = infer_column("x", cells)
    assert table_rows.encode_column(column, cells)[0].tolist() == numbers(2025, 1, 1, 0.5)
