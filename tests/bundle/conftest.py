"""A manifest with few fields of interest."""

import pytest

from kerasfound.bundle.manifest import SCHEMA_VERSION, Manifest, Tensor


@pytest.fixture
def make_manifest():
    """Return a function that makes a manifest with these fields."""

    def make(**fields):
        defaults = {
            "schema_version": SCHEMA_VERSION,
            "name": "model",
            "version": 1,
            "task": "tensors",
            "inputs": [Tensor("x", "float32", ["batch", 3])],
            "outputs": [Tensor("y", "float32", ["batch", 2])],
            "preprocessing": [],
            "postprocessing": [],
            "labels": [],
            "metrics": {},
            "measured_on": None,
            "verification": [],
            "versions": {},
            "created": "2026-01-01",
            "files": {},
        }
        return Manifest(**defaults | fields)

    return make
