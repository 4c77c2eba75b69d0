"""Files are run in a process of their own, also where only the libraries of a server are installed."""

import os
import subprocess
import sys

import keras
import pytest

import kerasfound as kf
from kerasfound.bundle import layout, manifest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exported from TensorFlow"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="small")
    return kf.export.bundle(model, tmp_path_factory.mktemp("models"))


@pytest.fixture
def verify(bundle, tmp_path):
    """Runs `kerasfound verify` where TensorFlow, Keras and onnx cannot be imported."""
    for name in ("tensorflow", "keras", "onnx"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')")
    command = [sys.executable, "-m", "kerasfound", "verify", str(bundle)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    return lambda: subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_without_tensorflow_the_onnx_file_is_verified_and_the_saved_model_is_skipped(verify):
    finished = verify()
    assert (finished.returncode, finished.stderr) == (0, "")
    onnx, saved_model, verified = finished.stdout.splitlines()
    assert onnx.startswith("onnx: ")
    assert saved_model == "saved_model: skipped, because TensorFlow is not installed here"
    assert verified.startswith("verified: ")


def test_without_tensorflow_a_damaged_onnx_file_is_an_error(bundle, verify):
    (bundle / "model.onnx").write_bytes(b"\x08\x0adamaged")
    written = manifest.read(bundle / "manifest.json")
    changed = manifest.msgspec.structs.replace(written, files=layout.checksums(bundle))
    manifest.write(changed, bundle / "manifest.json")
    finished = verify()
    assert finished.returncode == 2
    assert "onnx cannot be run" in finished.stderr
