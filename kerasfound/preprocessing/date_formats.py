"""Dates as people write them: `31.12.2024`, `12/31/24 11:30 PM`, `1 Jan 2024`, `2024-12-31T23:30:00+01:00`.

A `DateFormat` says how the dates of a column are written. Times with an offset become the same instant in UTC.
ISO dates such as 2024-12-31, which have one meaning only, are read beside the dates of any form.
"""

import datetime
from typing import Any

from kerasfound.bundle.cell_formats import DateFormat

from .missing_values import GAPS
from .text_operations import BAD, TextOperations

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
NUMBERS = ("year", "month", "day of the week from 0 for Monday", "days since 1970", "hours since midnight")
"""The encoded numbers of a date. Columns without times have no hours."""
MINUTES_A_DAY = 1440
ERA_YEARS, ERA_DAYS = 400, 146_097
"""The Gregorian calendar repeats itself after this time. It is added where operands must not be negative."""


def pattern(form: DateFormat) -> str:
    """Return the regular expression of the dates of this form. It also matches February 31.

    Example:
        >>> import re
        >>> bool(re.fullmatch(pattern(DateFormat("dmy", ".")), "31.12.2024 23:59"))
        True
    """
    year = "[0-9]{2}" if form.short_year else "[0-9]{4}"
    if not form.separator:
        return f"{year}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    day = "(?:0?[1-9]|[12][0-9]|3[01])"
    month = f"(?:{'|'.join(_month_numbers())})" if form.month_names else "(?:0?[1-9]|1[0-2])"
    parts = {"y": year, "m": month, "d": day}
    separator = "[.,]? " if form.separator == " " else f"[{form.separator}]"
    date = separator.join(parts[letter] for letter in form.order)
    hour, clock = "(?:[01]?[0-9]|2[0-3])", r"(?::[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?)?"
    if form.half_days:
        hour, clock = "(?:0?[1-9]|1[0-2])", clock + r" ?(?:[AaPp]\.?[Mm]\.?)"
    zone = "(?: ?(?:Z|UTC|GMT|[-+](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?))?" if form.zones else ""
    before_time = "(?:T|,? )" if form.order == "ymd" else ",? "
    return rf"{date}(?:{before_time}{hour}{clock}{zone})?"


def iso_form(form: DateFormat) -> DateFormat:
    """The form of the ISO dates that are read beside the dates of this form; of ISO dates, the form itself."""
    is_iso = pattern(form) == pattern(iso := DateFormat(hours=form.hours, zones=form.zones))
    return form if is_iso else iso


def parse(texts: TextOperations, form: DateFormat, x: Any) -> list[Any]:
    """Return the `NUMBERS` of each date, in this form or in ISO's; NaN for missing values.

    Example:
        >>> from kerasfound.preprocessing.text_operations import PlainTexts
        >>> parse(PlainTexts(), DateFormat("dmy", "/", hours=True), "31/12/2024 12:30")
        [2024.0, 12.0, 1.0, 20088.0, 12.5]
        >>> parse(PlainTexts(), DateFormat("dmy", "/", hours=True), "2024-12-31")
        [2024.0, 12.0, 1.0, 20088.0, 0.0]
    """
    missing = texts.matches(texts.lookup(x, dict.fromkeys(GAPS, ""), BAD), "")
    valid = texts.select(missing, write(form, 0), x)
    if (iso := iso_form(form)) == form:
        numbers = _calendar_numbers(texts, form, valid)
    else:
        is_iso = texts.matches(x, pattern(iso))
        own = _calendar_numbers(texts, form, texts.select(is_iso, write(form, 0), valid))
        others = _calendar_numbers(texts, iso, texts.select(is_iso, x, write(iso, 0)))
        one = texts.to_integer(texts.select(is_iso, "1", "0"))
        numbers = [a + one * (b - a) for a, b in zip(own, others, strict=True)]
    year, month, days, *minutes = numbers
    dates = [texts.divide(number, 1, missing) for number in (year, month, (days + 3) % 7, days)]
    return [*dates, *(texts.divide(number, 60, missing) for number in minutes)]


def _calendar_numbers(texts: TextOperations, form: DateFormat, x: Any) -> list[Any]:
    """Year, month, days since 1970 and, in columns with times, minutes since midnight, of dates in one form."""
    date, time = _split_time(texts, form, texts.select(texts.matches(x, pattern(form)), x, BAD))
    year, month, day = _date_numbers(texts, form, date)
    days = days_since_1970(year, month, day)
    in_month = day <= days_since_1970(year, month + 1, 1) - days_since_1970(year, month, 1)
    days = days + texts.to_integer(texts.select(in_month, "0", BAD))
    minutes: Any = None
    if form.hours or form.zones:
        minutes = _minutes(texts, form, time)
    if form.zones:
        days, minutes = days - 2 + (minutes // MINUTES_A_DAY), minutes % MINUTES_A_DAY
        year, month = year_and_month(days)
    return [year, month, days, minutes] if form.hours else [year, month, days]


def days_since_1970(year: Any, month: Any, day: Any) -> Any:
    """Return the days since 1970-01-01 of a date in the Gregorian calendar. The arguments are integers or tensors.

    The formula lets a year begin in March, so that a leap day is the last day of its year. Month 13 is the next
    January.

    Example:
        >>> days_since_1970(2000, 3, 1), days_since_1970(1969, 12, 31)
        (11017, -1)

    Source: Richards, "Calendars", in the Explanatory Supplement to the Astronomical Almanac, 2013.
    """
    before_march = (14 - month) // 12
    y, m = year - before_march + 400, month + 12 * before_march - 3
    return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + day - 865_566


def write(form: DateFormat, days: int, minutes: int = 0, variant: int = 0) -> str:
    """Return a day, and a time if the column has times, as one of several cells of this form.

    Example:
        >>> write(DateFormat("dmy", "."), 20088), write(DateFormat(hours=True), 20088, 750)
        ('31.12.2024', '2024-12-31 12:30')
    """
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(days=days, minutes=minutes)
    year = f"{moment.year % 100:02}" if form.short_year else f"{moment.year:04}"
    month = MONTHS[moment.month - 1][: 3 + 9 * (variant % 2)] if form.month_names else f"{moment.month:02}"
    parts = {"y": year, "m": month, "d": f"{moment.day:02}"}
    date = form.separator.join(parts[letter] for letter in form.order)
    if not form.hours or not form.separator:
        return date
    clock = moment.strftime("%I:%M %p" if form.half_days else "%H:%M")
    return f"{date} {clock}{('', 'Z', '+00:00', ' UTC')[variant % 4] if form.zones else ''}"


def describe(form: DateFormat) -> str:
    """Return the form in words, with an example.

    Example:
        >>> describe(DateFormat("dmy", "/", example="31/12/2024"))
        "date, day first, '31/12/2024'"
    """
    order = "" if form.month_names else {"ymd": "", "dmy": ", day first", "mdy": ", month first"}[form.order]
    zones = ", in UTC" if form.zones else ""
    return f"date{' and time' if form.hours else ''}{order}{zones}, {form.example!r}"


def _split_time(texts: TextOperations, form: DateFormat, x: Any) -> tuple[Any, Any]:
    """The date, with one separator between its parts, and the time without spaces."""
    if not form.separator:
        return x, ""
    for zone in ("Z", "UTC", "GMT") if form.zones else ():
        x = texts.replace(x, zone, "", 1)
    for old in (", ", ". ") if form.separator == " " else (", ", "T") if form.order == "ymd" else (", ",):
        x = texts.replace(x, old, " ", 2)
    date_parts = 3 if form.separator == " " else 1
    parts = texts.split(x, " ", date_parts + 3)
    date = parts[0] if date_parts == 1 else texts.join(parts[0], " ", parts[1], " ", parts[2])
    return date, texts.join(*parts[date_parts:])


def _date_numbers(texts: TextOperations, form: DateFormat, date: Any) -> list[Any]:
    """Year, month and day as integers."""
    if not form.separator:
        number = texts.to_integer(date)
        return [number // 10_000, number // 100 % 100, number % 100]
    parts = dict(zip(form.order, texts.split(date, form.separator, 3), strict=True))
    if form.month_names:
        parts["m"] = texts.lookup(parts["m"], _month_numbers(), BAD)
    year, month, day = (texts.to_integer(parts[letter]) for letter in "ymd")
    return [year + 2000 - 100 * (year // 69) if form.short_year else year, month, day]


def _minutes(texts: TextOperations, form: DateFormat, time: Any) -> Any:
    """The minutes since midnight; in UTC, the minutes since two days before, which is never negative."""
    offset: Any = 0
    if form.zones:
        time, east = texts.split(time, "+", 2)
        time, west = texts.split(time, "-", 2)
        offset = _offset(texts, west) - _offset(texts, east) + 2 * MINUTES_A_DAY
    hours_after_noon: Any = 0
    if form.half_days:
        noon = texts.matches(time, ".*[Pp].*")
        for letter in "APMapm":
            time = texts.replace(time, letter, "", 1)
        hours_after_noon = texts.to_integer(texts.select(noon, "12", "0"))
    hour, minute = (texts.to_integer(texts.join("0", part)) for part in texts.split(time, ":", 3)[:2])
    if form.half_days:
        hour = hour % 12 + hours_after_noon
    return hour * 60 + minute + offset


def _offset(texts: TextOperations, text: Any) -> Any:
    """The minutes of an offset from UTC: `01:30`, `0130`, `01` or nothing."""
    text = texts.replace(text, ":", "", 1)
    number = texts.to_integer(
        texts.select(texts.matches(text, "[0-9]{2}"), texts.join(text, "00"), texts.join("0", text))
    )
    return number // 100 * 60 + number % 100


def year_and_month(days: Any) -> tuple[Any, Any]:
    """The inverse of `days_since_1970`, by Richards's formula for years that begin in March."""
    eras = 5
    day = days + 719_468 + eras * ERA_DAYS
    in_era = day % ERA_DAYS
    year_of_era = (in_era - in_era // 1460 + in_era // 36_524 - in_era // 146_096) // 365
    day_of_year = in_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    after_december = month // 10
    year = day // ERA_DAYS * ERA_YEARS + year_of_era - eras * ERA_YEARS + after_december
    return year, month + 3 - 12 * after_december


def _month_numbers() -> dict[str, str]:
    """The number of each name of a month, whole or short, in the usual upper and lower case."""
    names: dict[str, str] = {}
    for number, month in enumerate(MONTHS, start=1):
        for name in {month, month[:3], month[:4] if month == "September" else month}:
            names |= dict.fromkeys((name, name.upper(), name.lower()), str(number))
    return names
