"""One training run, shared by all recipes: settings, run folder, fit, evaluation, report."""

from kerasfound import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
