"""Infer how the dates of a column are written, from all of its cells."""

from collections.abc import Iterator

import msgspec
import pyarrow as pa

from kerasfound.bundle.cell_formats import DateFormat
from kerasfound.bundle.schema import ColumnKind
from kerasfound.wording import counted

from . import date_formats
from .readings import TEXTS, Conventions, Reading, Values
from .text_operations import PlainTexts

FORMS = (
    *(DateFormat("ymd", separator) for separator in "-/."),
    *(DateFormat(order, separator) for separator in "./-" for order in ("dmy", "mdy")),
    *(DateFormat(order, separator, short_year=True) for separator in "./-" for order in ("dmy", "mdy")),
    *(DateFormat("dmy", separator, month_names=True) for separator in " -/."),
    *(DateFormat("dmy", separator, month_names=True, short_year=True) for separator in " -/."),
    *(DateFormat(order, " ", month_names=True) for order in ("mdy", "ymd")),
    DateFormat("ymd", "-", month_names=True),
)
"""The forms that are tried, apart from times, in this order. Dates with dots have the day first."""
COMPACT = DateFormat("ymd", "")
THIS_AGE = r"(?:19|20)[0-9]{6}"
HALF_DAY = r"(?i:.*[0-9] ?[ap]\.?m\.?.*)"
ZONE = r".*(?:[0-9:] ?Z|UTC|GMT|:[0-9.]+ ?[-+][0-9]{2}(?::?[0-9]{2})?)"
TIME = r".*[T ][0-9]{1,2}:[0-9]{2}.*"
MIDNIGHT = r".*(?:[T ]0?0:00(?::00(?:\.0+)?)?|[T ]12:00(?::00(?:\.0+)?)? ?[Aa]\.?[Mm]\.?)"
TRIED = 50
"""A form that fits hardly any of so many texts is not tried on the others."""


def infer_date(values: Values, conventions: Conventions) -> Reading | None:
    """Return how the texts can be read as dates; None if hardly any can.

    Args:
        values: the texts without missing values.
        conventions: what decides whether the day or the month is first if the texts do not.
    """
    if values.matches(THIS_AGE).all():
        return _read(values, COMPACT)
    first = Values(values.texts.slice(0, TRIED), values.rows[:TRIED])
    half_days, zones = values.any(HALF_DAY), values.any(ZONE)
    readings = []
    for form in FORMS:
        form = msgspec.structs.replace(form, half_days=half_days, zones=zones)
        if first.matches(date_formats.pattern(form)).mean() > 0.5:
            readings.append(_read(values, form))
    whole = [reading for reading in readings if reading.fits.all()]
    if len(whole) > 1:
        return _decide(whole, conventions)
    return whole[0] if whole else max(readings, key=lambda reading: values.rows[reading.fits].sum(), default=None)


def _read(values: Values, form: DateFormat) -> Reading:
    own = values.matches(date_formats.pattern(form))
    is_iso = values.matches(date_formats.pattern(date_formats.iso_form(form))) & ~own
    fits = own | is_iso
    if form.short_year and form.separator == "." and not form.month_names:
        fits &= is_iso | values.matches(r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}(?:[, ].*)?")  # 1.10.12 may be a version
    fitting = values.where(fits)
    try:
        date_formats.parse(TEXTS, form, fitting.texts)
    except pa.ArrowInvalid:  # a February 30
        fits[fits] = [_is_date(form, text) for text in fitting.texts.to_pylist()]
        fitting = values.where(fits)
    if not len(fitting.texts):
        return Reading(ColumnKind.DATE, fits)
    hours = fitting.any(TIME) and not (~fitting.matches(TIME) | fitting.matches(MIDNIGHT)).all()
    examples = values.where(fits & own).texts
    form = msgspec.structs.replace(form, hours=hours, example=(examples if len(examples) else fitting.texts)[0].as_py())
    return Reading(ColumnKind.DATE, fits, form, "; ".join(_notes(fitting, form, values.where(fits & is_iso))))


def _notes(values: Values, form: DateFormat, iso: Values) -> Iterator[str]:
    if len(iso.texts):
        yield f"{counted(int(iso.rows.sum()), 'date')} in ISO form, such as {iso.texts[0].as_py()!r}"
    if form.short_year:
        yield "years of two digits are 1969 to 2068"
    without_zone = values.rows[values.matches(TIME) & ~values.matches(ZONE)].sum()
    if form.zones and without_zone:
        yield f"{counted(without_zone, 'time')} without a zone, read as UTC"


def _is_date(form: DateFormat, text: str) -> bool:
    try:
        date_formats.parse(PlainTexts(), form, text)
    except ValueError:
        return False
    return True


def _decide(readings: list[Reading], conventions: Conventions) -> Reading:
    """Choose between day first and month first."""
    by_order = {reading.form.order: reading for reading in readings if isinstance(reading.form, DateFormat)}
    if not {"dmy", "mdy"} <= by_order.keys():
        return readings[0]
    if conventions.day_first is not None:
        return by_order["dmy" if conventions.day_first else "mdy"]
    form = by_order["dmy"].form
    if not isinstance(form, DateFormat) or form.separator == ".":
        return by_order["dmy"]
    note = f"nothing decides which number of {form.example!r} is the day; it is read as the first, "
    notes = filter(None, [by_order["dmy"].note, note + "and with --no-day-first as the second"])
    return by_order["dmy"]._replace(note="; ".join(notes))
