"""One training run, written once for every recipe: settings, run folder, fit, evaluation, report."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
