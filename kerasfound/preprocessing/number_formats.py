"""Numbers as people write them: `1.234,56 €`, `(1,234)`, `1'234.50`, `12 %`, `−3`.

A `NumberFormat` says how the numbers of a column are written.
"""

import re
from decimal import Decimal
from typing import Any

from kerasfound.bundle.cell_formats import NumberFormat

from .missing_values import GAPS
from .text_operations import BAD, TextOperations

MINUS = "-\u2212\u2013"
"""The hyphen, the minus sign and the en dash."""
MAX_GROUPS = 6
"""Most groups of digits in a number: 18 digits, or 13 as in India."""
MAX_SPACES = 10
"""Most spaces in a cell: between groups, and around signs and units."""
MAX_DIGITS = {"whole": 18, "fraction": 12}
"""Most digits of a script other than ASCII."""
PERCENT = ("%", "‰")
"""Units whose numbers could also be shares of 1: 87% is 87 here, and never 0.87."""
NEGATIVE = rf"[{MINUS}].*|.*[{MINUS}]|\(.*\)"


def pattern(form: NumberFormat) -> str:
    """Return the regular expression of the numbers of this form.

    Example:
        >>> bool(re.fullmatch(pattern(NumberFormat(",", ".", unit="€")), "-1.234,5 €"))
        True
    """
    digit = "[0-9]" if form.zero == "0" else f"[0-9{form.zero}-{_digits(form)[9]}]"
    first = f"[1-9{_digits(form)[1]}-{_digits(form)[9]}]"
    mark, decimal = f"[{re.escape(_thousands(form))}]", re.escape(form.decimal)
    unlimited = form.zero == "0"
    whole = digit + ("+" if unlimited else f"{{1,{MAX_DIGITS['whole']}}}")
    fraction = digit + ("*" if unlimited else f"{{0,{MAX_DIGITS['fraction']}}}")
    if form.thousands:
        groups = f"{{1,{MAX_GROUPS - 1}}}"
        grouped = rf"{first}{digit}{{0,2}}(?:{mark}{digit}{{3}}){groups}"
        in_india = rf"{digit}{{1,2}}(?:{mark}{digit}{{2}}){{1,{MAX_GROUPS - 2}}}{mark}{digit}{{3}}"  # 12,34,567
        whole = rf"(?:{grouped}|{in_india}|{whole})"
    number = rf"(?:{whole}(?:{decimal}{fraction})?|{decimal}{digit}{fraction})"
    if form.exponent:
        number += rf"(?:[eE][-+]?{digit}{{1,2}})?"
    space = f"[{form.spaces}]?"
    return rf"{space}(?:{'|'.join(_with_sign_and_unit(number, space, re.escape(form.unit)))}){space}"


def _with_sign_and_unit(number: str, space: str, unit: str) -> list[str]:
    """The patterns of a number with at most one sign, or in parentheses, and with the unit once or not at all."""
    sign, minus = rf"(?:[-+{MINUS[1:]}]{space})", rf"{space}[{MINUS}]"
    forms = [rf"{sign}?{number}", rf"{number}{minus}", rf"\({space}{number}{space}\)"]
    if not unit:
        return forms
    before, after = unit + space, space + unit
    forms += [rf"{sign}?{before}{number}", rf"{before}{sign}{number}", rf"{sign}?{number}{after}"]
    forms += [rf"{before}{number}{minus}", rf"{number}{after}{minus}", rf"{number}{minus}{after}"]
    forms += [rf"\({space}{before}{number}{space}\)", rf"\({space}{number}{after}{space}\)"]
    return [*forms, rf"{before}\({space}{number}{space}\)", rf"\({space}{number}{space}\){after}"]


def parse(texts: TextOperations, form: NumberFormat, x: Any) -> Any:
    """Return the number of each text; NaN for missing values.

    Example:
        >>> from kerasfound.preprocessing.text_operations import PlainTexts
        >>> parse(PlainTexts(), NumberFormat(",", ".", unit="€"), "(1.234,50 €)")
        -1234.5
    """
    number = texts.replace(x, form.unit, "", 1) if form.unit else x
    for mark in dict.fromkeys(form.spaces + _thousands(form)):
        number = texts.replace(number, mark, "", MAX_SPACES if mark in form.spaces else MAX_GROUPS - 1)
    if form.zero != "0":
        for value, digit in enumerate(_digits(form)):
            number = texts.replace(number, digit, str(value), sum(MAX_DIGITS.values()))
    exponent = "e0"
    if form.exponent:
        number, power = texts.split(texts.replace(number, "E", "e", 1), "e", 2)
        exponent = texts.select(texts.matches(power, ""), "e0", texts.join("e", power))
    sign = texts.select(texts.matches(number, NEGATIVE), "-", "")
    for mark in "+()" + MINUS:
        number = texts.replace(number, mark, "", 1)
    whole, fraction = texts.split(number, form.decimal, 2)
    number = texts.join(sign, "0", whole, ".", fraction, "0", exponent)
    missing = texts.lookup(x, dict.fromkeys(GAPS, "nan"), BAD)
    return texts.to_number(texts.select(texts.matches(x, pattern(form)), number, missing))


def write(form: NumberFormat, number: float) -> str:
    """Return the number as a cell of this form, in the simplest way.

    Example:
        >>> write(NumberFormat(",", ".", unit="€"), 1234.5)
        '1234,5'
    """
    return f"{Decimal(repr(number)):f}".replace(".", form.decimal)


def write_variant(form: NumberFormat, digits: str, variant: int) -> str:
    """Return a plain number, written with digits and a decimal point, as one of several cells of this form.

    Example:
        >>> [write_variant(NumberFormat(",", ".", unit="€"), "-1234.5", variant) for variant in range(4)]
        ['-1.234,5 €', '−1234,5 €', '(1.234,5€)', '1234,5€-']
    """
    negative, digits = digits.startswith("-"), digits.lstrip("-")
    whole, _, fraction = digits.partition(".")
    if form.thousands and variant % 2 == 0 and len(whole) <= 3 * MAX_GROUPS:
        whole = f"{int(whole):,}".replace(",", (form.spaces if form.thousands == " " else form.thousands)[-1])
    text = whole + (form.decimal + fraction if fraction else "")
    text = text.translate(str.maketrans("0123456789", _digits(form)))
    if form.unit:
        text += ("" if variant % 4 > 1 else form.spaces[-1]) + form.unit
    return ("-{}", "\u2212{}", "({})", "{}-")[variant % 4].format(text) if negative else text


def describe(form: NumberFormat) -> str:
    """Return the form in words, with an example.

    Example:
        >>> describe(NumberFormat(",", ".", unit="€", example="1.234,56 €"))
        "number, decimal comma, '1.234,56 €'"
        >>> describe(NumberFormat(unit="%", example="87%"))
        "number, decimal point, '87%'; '87' is the same"
    """
    bare = form.example.replace(form.unit, "").strip() if form.unit in PERCENT else ""
    likewise = f"; {bare!r} is the same" if bare else ""
    return f"number, decimal {'comma' if form.decimal == ',' else 'point'}, {form.example!r}{likewise}"


def _thousands(form: NumberFormat) -> str:
    return form.spaces if form.thousands == " " else form.thousands


def _digits(form: NumberFormat) -> str:
    return "".join(chr(ord(form.zero) + value) for value in range(10))
