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
    for module in pkgutil.walk_packages(kerasfound.__path__, "kerasfound."):
        if module.name not in SKIPPED:
            yield module.name
    for package_name in ("recipes", "export", "serving"):  # folders at the root that are sub-packages
        package = importlib.import_module(f"kerasfound.{package_name}")
        for module in pkgutil.walk_packages(package.__path__, f"kerasfound.{package_name}."):
            if module.name not in SKIPPED:
                yield module.name


@pytest.mark.parametrize("name", sorted(set(modules())))
def test_examples(name):
    if name in OF_TENSORFLOW and keras.backend.backend() != "tensorflow":
        pytest.skip("graphs are exported from the TensorFlow backend")
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
