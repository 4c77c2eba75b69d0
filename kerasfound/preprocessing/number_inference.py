"""Infer how the numbers of a column are written, from all of its cells."""

import re
import unicodedata
from typing import NamedTuple

import msgspec
import numpy as np

from kerasfound.bundle.cell_formats import NumberFormat
from kerasfound.bundle.schema import Column, ColumnKind
from kerasfound.wording import counted

from . import number_formats
from .cell_texts import parse_texts
from .number_formats import MINUS
from .readings import Conventions, Reading, Values
from .text_operations import PlainTexts

PLAIN = r"-?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|(?i:inf|infinity|nan))|\+(?i:inf)"
"""The numbers that Arrow reads."""
SPACES = " \u00a0\u2007\u2009\u202f"
APOSTROPHES = "'\u2019"
DECIMALS = ".,\u066b\uff0e"
MARKS = f"{DECIMALS}{APOSTROPHES}{SPACES}\u066c\uff0c"
DASHES = MINUS.replace("-", r"\-")
MAX_SHAPES = 2000
"""A column with more different shapes of cells has texts."""
FEW = 50
"""So many cells with three digits after the mark, beside whole numbers, have groups of digits, not fractions."""
SIGNS = "$€£¥₹₩₽₺₪₫฿₴₦₱₡₲₵₸₭₮₼₾₿¢¤"
CODES = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KES|KRW|KZT|MAD|MXN|MYR|"
    "NGN|NOK|NZD|PEN|PHP|PKR|PLN|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|UYU|VND|ZAR"
)
WORDS = r"kr\.?|Kč|zł|lei|Ft|Rs\.?|S?Fr\.?|TL|RM|Rp\.?|руб\.?|р\.|грн\.?|лв\.?|元|円"  # noqa: RUF001
CURRENCY = rf"(?:[A-Za-z]{{0,3}}[{SIGNS}][A-Za-z]{{0,3}}|{CODES}|{WORDS})"
UNIT = rf"[^0\s()+.,{APOSTROPHES}{DASHES}][^0()]{{0,14}}?"
SHAPE = re.compile(
    rf"[{SPACES}({DASHES}+]*(?P<before>{CURRENCY})?[{SPACES}({DASHES}+]*"
    rf"(?P<core>0(?:[{MARKS}]0)*[{DECIMALS}]?|[{DECIMALS}]0)(?P<exponent>[eE][-+]?0)?"
    rf"[{SPACES}){DASHES}]*(?P<after>{CURRENCY}|{UNIT})?[{SPACES}){DASHES}]*"
)
ADDRESS = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
LEADING_ZEROS = "codes with leading zeros, not amounts"
ADDRESSES, PHONES = "the cells are network addresses", "the cells are telephone numbers"
CODE_PROBLEMS = (LEADING_ZEROS, ADDRESSES, PHONES)
"""Problems of columns of digits that are codes. There is nothing to fix in their cells."""
MOSTLY = 0.9
"""Share of numbers without a unit from which the cells with one are faults."""
PHONE = rf"\+[0-9]{{1,3}}(?:[{SPACES}][0-9]+)+"


class _Parts(NamedTuple):
    """What the shapes of the numbers of a column have in common."""

    units: dict[str, int]
    marks: set[str]
    spaces: str
    exponent: bool
    zero: str


def infer_number(values: Values, conventions: Conventions) -> Reading | None:
    """Return how the texts can be read as numbers; None if hardly any can.

    Args:
        values: the texts without missing values.
        conventions: what decides between a decimal comma and groups of thousands if the texts do not.
    """
    plain = values.matches(PLAIN)
    if plain.all():
        return _read_plain(values, plain, conventions)
    parts = _find_parts(values)
    if parts is None:
        return Reading(ColumnKind.NUMBER, plain) if plain.any() else None
    unit = max(parts.units, key=parts.units.__getitem__, default="")
    forms = [NumberFormat(unit=unit, **marks) for marks in _candidates(parts, conventions)]
    readings = [reading for form in forms if (reading := _read(values, form, parts, conventions))]
    readings.append(Reading(ColumnKind.NUMBER, plain))
    whole = [reading for reading in readings if reading.fits.all()]
    if len(whole) > 1:
        return _decide(values, whole, conventions)
    if whole:
        return whole[0]
    best = max(readings, key=lambda reading: values.rows[reading.fits].sum())
    if values.rows[best.fits].sum() >= MOSTLY * values.rows.sum():
        return best
    return next((reading for reading in readings if reading.problem), best)


def have_leading_zeros(values: Values) -> bool:
    """Whether a number is written with a leading zero, such as 00501: then the numbers are codes, not amounts."""
    return values.any(rf"[+{DASHES}]?0[0-9].*")


def _read_plain(values: Values, fits: np.ndarray, conventions: Conventions) -> Reading:
    plain = Reading(ColumnKind.NUMBER, fits)
    if have_leading_zeros(values) and not conventions.amounts:
        return plain._replace(problem=LEADING_ZEROS)
    grouped = NumberFormat(",", ".")
    if not values.any(r".*\..*") or not values.matches(number_formats.pattern(grouped)).all():
        return plain
    return _decide(values, [plain, Reading(ColumnKind.NUMBER, fits, _with_example(values, grouped))], conventions)


def _find_parts(values: Values) -> _Parts | None:
    shapes = values.shapes()
    if len(shapes) > MAX_SHAPES:
        return None
    zero = next((chr(ord(c) - unicodedata.digit(c)) for shape in shapes for c in shape if _is_foreign(c)), "0")
    if zero != "0":
        digits = re.compile(f"[{zero}-{chr(ord(zero) + 9)}0]+")
        shapes = {digits.sub("0", shape): rows for shape, rows in shapes.items()}
    found = [(match, rows) for shape, rows in shapes.items() if (match := SHAPE.fullmatch(shape))]
    units: dict[str, int] = {}
    for match, rows in found:
        for unit in {match["before"], match["after"]} - {None}:
            units[unit.strip()] = units.get(unit.strip(), 0) + rows
    spaces = {c for match, _ in found for c in match.string if c in SPACES}
    return (
        _Parts(
            units=units,
            marks={c for match, _ in found for c in match["core"] if c in MARKS},
            spaces="".join(sorted(spaces | {" "})),
            exponent=any(match["exponent"] for match, _ in found),
            zero=zero,
        )
        if found
        else None
    )


def _is_foreign(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character) == "Nd"


def _candidates(parts: _Parts, conventions: Conventions) -> list[dict]:
    """The decimal marks that are possible, each with the other mark as thousands separator."""
    decimals = [mark for mark in DECIMALS if mark in parts.marks]
    if not decimals:
        decimals = ["," if conventions.decimal == "comma" else "."]
    elif len(decimals) == 1:
        decimals += {".": [","], ",": ["."]}.get(decimals[0], [])
    candidates = []
    for decimal in decimals:
        thousands = parts.marks - {decimal}
        if thousands <= set(SPACES):
            thousands = {" "} if thousands else set()
        if len(thousands) < 2 or thousands <= set(APOSTROPHES):
            marks = {"decimal": decimal, "thousands": "".join(sorted(thousands))}
            candidates.append(marks | {"spaces": parts.spaces, "exponent": parts.exponent, "zero": parts.zero})
    return candidates


def _read(values: Values, form: NumberFormat, parts: _Parts, conventions: Conventions) -> Reading | None:
    fits = values.matches(number_formats.pattern(form))
    if not fits.any():
        return None
    reading = Reading(ColumnKind.NUMBER, fits, _with_example(values.where(fits), form))
    if not fits.all():
        others = [unit for unit in parts.units if unit != form.unit][:2]
        if form.unit and others and sum(parts.units.values()) == values.rows.sum():
            units = " and ".join(repr(unit) for unit in [form.unit, *others])
            return reading._replace(problem=f"the cells have different units, {units}")
        return reading
    if (
        form.thousands == "."
        and values.matches(ADDRESS).all()
        and not values.any(r".*(25[6-9]|2[6-9][0-9]|[3-9][0-9]{2}).*")
    ):
        return reading._replace(problem=ADDRESSES)
    if form.thousands == " " and values.matches(PHONE).any():
        return reading._replace(problem=PHONES)
    if have_leading_zeros(values) and not conventions.amounts:
        return reading._replace(problem=LEADING_ZEROS)
    return _check_unit(values, reading, form)


def _check_unit(values: Values, reading: Reading, form: NumberFormat) -> Reading:
    """Cells without the unit fit if it is a currency, or if they are 0. Beside 12% a 0.5 may be half of all."""
    if not form.unit or re.fullmatch(CURRENCY, form.unit):
        return reading
    with_unit = values.matches(f".*{re.escape(form.unit)}.*") | values.matches(r"0+(?:[.,]0+)?")
    if with_unit.all():
        return reading
    cells, bare = counted(int(values.rows[with_unit].sum()), "cell"), int(values.rows[~with_unit].sum())
    return reading._replace(fits=with_unit, problem=f"{cells} with the unit {form.unit!r}, {bare:,} without")


def _decide(values: Values, readings: list[Reading], conventions: Conventions) -> Reading:
    """Choose between a mark before the fraction and the same mark between groups of three digits."""
    fraction, groups = sorted(readings, key=_thousands)[0], sorted(readings, key=_thousands)[-1]
    if conventions.decimal:
        return fraction if (_decimal(fraction) == ",") == (conventions.decimal == "comma") else groups
    mark = f"[{re.escape(_thousands(groups))}]"
    if values.any(r"[^0-9]*[0-9]{4,}.*"):
        return fraction
    marked = values.matches(f".*[0-9]{mark}[0-9].*")
    chosen, other = (fraction, groups) if _decimal(fraction) == "." else (groups, fraction)
    if values.rows[marked].sum() >= FEW and not marked.all():
        chosen, other = groups, fraction
        if _decimal(groups) == ".":
            return groups
    example = values.where(marked).texts[0].as_py()
    numbers = [f"{parse_texts(PlainTexts(), Column('', r.kind, format=r.form), example)[0]:g}" for r in (chosen, other)]
    flag = "comma" if _decimal(other) == "," else "point"
    note = f"nothing decides whether {example!r} is {numbers[0]} or {numbers[1]}; it is read as {numbers[0]}, "
    return chosen._replace(note=note + f"and with --decimal {flag} as {numbers[1]}")


def _decimal(reading: Reading) -> str:
    return reading.form.decimal if isinstance(reading.form, NumberFormat) else "."


def _thousands(reading: Reading) -> str:
    return reading.form.thousands if isinstance(reading.form, NumberFormat) else ""


def _with_example(values: Values, form: NumberFormat) -> NumberFormat:
    """The form with the longest of its first cells as example."""
    example = max(values.texts.slice(0, 20).to_pylist(), key=len)
    return msgspec.structs.replace(form, example=example)
