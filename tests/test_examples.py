"""Every `>>>` example of the package runs as it stands."""

import doctest
import importlib
import pkgutil

import keras
import pytest

import kerasfound

OF_TENSORFLOW = {"kerasfound.export.explanation"}
SKIPPED = {
    "kerasfound.__main__",  # runs the command line when it is imported
    "kerasfound.optimizers.foreach",  # imports torch
}


def modules():
    yield "kerasfound"
    for found in pkgutil.walk_packages(kerasfound.__path__, "kerasfound."):
        if found.name not in SKIPPED:
            yield found.name
    for room in ("recipes", "export", "serving"):  # mapped into the package from folders beside it
        package = importlib.import_module(f"kerasfound.{room}")
        yield from (f"kerasfound.{room}.{found.name}" for found in pkgutil.iter_modules(package.__path__))


@pytest.mark.parametrize("name", sorted(set(modules())))
def test_examples(name):
    if name in OF_TENSORFLOW and keras.backend.backend() != "tensorflow":
        pytest.skip("graphs are exported from the TensorFlow backend")
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
