"""Every `>>>` example of the package runs as it stands."""

import doctest
import importlib
import pkgutil

import keras
import pytest

import kerasfound

OF_TENSORFLOW = {"kerasfound.export.dry_run"}
SKIPPED = {
    "kerasfound.__main__",  # runs the command line when it is imported
    "kerasfound.optimizers.torch_kernels",  # imports torch
}


def modules():
    yield "kerasfound"
    for found in pkgutil.walk_packages(kerasfound.__path__, "kerasfound."):
        if found.name not in SKIPPED:
            yield found.name
    for room in ("recipes", "export", "serving"):  # mapped into the package from folders beside it
        package = importlib.import_module(f"kerasfound.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"kerasfound.{room}."):
            if found.name not in SKIPPED:
                yield found.name


@pytest.mark.parametrize("name", sorted(set(modules())))
def test_examples(name):
    if name in OF_TENSORFLOW and keras.backend.backend() != "tensorflow":
        pytest.skip("graphs are exported from the TensorFlow backend")
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
