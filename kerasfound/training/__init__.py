"""One training run, written once for every recipe: settings, run folder, fit, evaluation, report."""

from kerasfound import rooms

__getattr__, __dir__, __all__ = rooms.attach(__name__, __file__)
