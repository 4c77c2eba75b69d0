"""The contents of the wheel, and serving with `[serving]` alone, without Keras and TensorFlow."""

import json
import shutil
import subprocess
import sys
import urllib.request
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

import kerasfound as kf

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # build from a copy: a build writes into build/ of its source, and another test worker may build at the same time
    source = shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(".*", "build", "runs", "models"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_contains_every_package_under_one_name(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"kerasfound"}
    sources = {
        path.relative_to(ROOT).as_posix()
        for folder in ("kerasfound", "recipes", "export", "serving")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".pyi", ".html", ".typed"} or path.name == "py.typed"
    }
    assert {name if name.startswith("kerasfound/") else f"kerasfound/{name}" for name in sources} <= set(names)


def test_serving_needs_no_keras(wheel, tmp_path, digits_run):
    kf.export.bundle(digits_run, tmp_path / "models")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--constraint", ROOT / "constraints.txt", f"{wheel}[serving]"], check=True)
    installed = {
        entry["name"] for entry in json.loads(subprocess.check_output([python, "-m", "pip", "list", "--format=json"]))
    }
    assert not installed & {"keras", "h5py", "tensorflow", "jax", "torch", "onnx", "scikit-learn"}
    for arguments in (["--help"], ["run", "mnist_cnn", "--help"], ["list"], ["doctor"]):
        subprocess.run([python, "-m", "kerasfound", *arguments], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)

    command = [python, "-m", "kerasfound", "serve", "models", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().split()[-1]
            samples = digits_run.samples
            body = json.dumps({"instances": samples["x"][:4].tolist()}).encode()
            request = urllib.request.Request(f"{address}/v1/models/mnist_cnn:predict", body)
            with urllib.request.urlopen(request, timeout=30) as response:
                predictions = np.array(json.load(response)["predictions"])
        finally:
            server.terminate()
    assert np.allclose(predictions, samples["prediction"][:4], atol=1e-5)
