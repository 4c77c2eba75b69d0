"""The claims of introductory deep learning, each an experiment: numbers with intervals, a verdict and a figure.

`kf.labs.NAME(...)` runs a lab, with its knobs as arguments. `kerasfound lab list` lists all labs.
"""

from .course import CHAPTERS, COURSE, find, names_of
from .experiment import Lab

__all__ = ["CHAPTERS", "COURSE", "find", "names_of", *CHAPTERS]


def __getattr__(name: str) -> Lab:
    if name not in CHAPTERS:
        raise AttributeError(f"module {__name__!r} has no lab {name!r}; `kerasfound lab list` lists all labs")
    return find(name)


def __dir__() -> list[str]:
    return __all__
