"""Recorded cases: which are kept, and which sizes they test."""

import numpy as np
import pytest

from kerasfound.bundle import recorded_cases
from kerasfound.bundle.manifest import Tensor
from kerasfound.bundle.recorded_cases import RecordedCase
from kerasfound.errors import UserError


def test_a_bundle_keeps_the_smallest_cases_within_the_allowed_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded_cases, "MAX_BYTES", 1000)
    cases = [
        RecordedCase(kind, {"x.y/z": np.zeros(n, "uint8")}, {"y": np.array(["ä"])})
        for kind, n in (("b", 900), ("a", 500))
    ]
    recorded_cases.save(tmp_path, cases)
    (kept,) = recorded_cases.load(tmp_path)
    assert (kept.kind, kept.inputs["x.y/z"].shape, kept.outputs["y"].tolist()) == ("a", (500,), ["ä"])


def test_every_signature_has_its_own_file(tmp_path):
    for signature, value in (("", 1), ("text", 2)):
        recorded_cases.save(tmp_path, [RecordedCase("samples", {"x": np.array([value])}, {})], signature)
    assert {path.name for path in tmp_path.iterdir()} == {"verification.npz", "verification-text.npz"}
    (case,) = recorded_cases.load(tmp_path, "text")
    assert case.inputs["x"].tolist() == [2]


def test_a_missing_file_is_an_error_with_its_name(tmp_path):
    with pytest.raises(UserError, match=r"verification\.npz cannot be read .*; export the bundle again"):
        recorded_cases.load(tmp_path)


def test_tested_sizes_are_those_of_the_batch_and_of_every_other_dynamic_dimension():
    inputs = [Tensor("x", "float32", ["batch", "time", 3])]
    cases = [RecordedCase("random", {"x": np.zeros((batch, time, 3))}, {}) for batch, time in ((2, 7), (1, 7), (1, 4))]
    assert recorded_cases.tested_sizes(inputs, cases) == ([1, 2], {"time": [4, 7]})
