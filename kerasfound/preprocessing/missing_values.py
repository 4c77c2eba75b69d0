"""The texts that stand for a missing value."""

MISSING_VALUES = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
"""In every column of a file."""
_ERRORS = ("#N/A", "#N/V", "#NV", "#DIV/0!", "#VALUE!", "#WERT!", "#REF!", "#BEZUG!", "#NAME?", "#NUM!", "#NULL!")
_MARKS = ("-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "…", ":", "*", "0000-00-00")
_WORDS = ("na", "n.a.", "n. a.", "n/d", "k.a.", "k. a.", "none", "null", "nil", "missing", "unknown", "not available")
GAPS = tuple(
    dict.fromkeys(
        [*MISSING_VALUES, *_ERRORS, *_MARKS]
        + [form for word in _WORDS for form in (word, word.upper(), word.title(), word.capitalize())]
        + ["k.A.", "k. A.", "N.a.", "n.A."]
    )
)
"""In columns of numbers, dates and booleans: also the errors of spreadsheets, and marks and words for no value."""
