"""Size of a `[serving]`-only install, and seconds from process start to the first right answer.

    python benchmarks/serving_install.py models/mnist_cnn

Builds the wheel, installs it in a fresh environment, and serves the bundle there: median and range of ten starts.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

import cyclopts
import numpy as np

ROOT = Path(__file__).parent.parent
STARTS = 10


def install(folder: Path) -> Path:
    """A fresh environment with the wheel and `[serving]`; its Python."""
    wheel = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *wheel], check=True)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    (built,) = folder.glob("*.whl")
    packages = ["install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), f"{built}[serving]"]
    subprocess.run([python, "-m", "pip", *packages], check=True)
    return python


def sizes(python: Path) -> dict[str, float]:
    """MB of each folder of site-packages, but for pip and setuptools, which every environment has."""
    (packages,) = python.parent.parent.glob("lib/*/site-packages")
    found = {}
    for entry in packages.iterdir():
        if not entry.name.startswith(("pip", "setuptools", "_distutils", "distutils")):
            files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
            found[entry.name] = sum(path.stat().st_size for path in files) / 1e6
    return found


def first_answer(python: Path, model: Path) -> tuple[float, float]:
    """Seconds until the first right answer, and the server's resident MB after it."""
    with np.load(next(model.glob("*/verification.npz"))) as vectors:
        name = next(key for key in vectors if key.startswith("input."))
        asked, expected = vectors[name][:1], vectors[next(key for key in vectors if key.startswith("output."))][:1]
    body = json.dumps({"instances": asked.tolist()}).encode()
    command = [python, "-m", "kerasfound", "serve", str(model.parent), "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().split()[-1]
        request = urllib.request.Request(f"{address}/v1/models/{model.name}:predict", body)
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)["predictions"]
        seconds = time.perf_counter() - started
        assert np.allclose(answer, expected, atol=1e-5)
        status = Path(f"/proc/{server.pid}/status").read_text()
        server.terminate()
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1e3
    return seconds, resident


def main(model: Path) -> None:
    """Measure with one model's folder, such as models/mnist_cnn."""
    with tempfile.TemporaryDirectory() as folder:
        python = install(Path(folder))
        found = sizes(python)
        largest = sorted(found.items(), key=lambda item: -item[1])[:8]
        print(f"installed {sum(found.values()):.0f} MB: " + ", ".join(f"{n} {mb:.0f}" for n, mb in largest))
        starts = [first_answer(python, model.absolute()) for _ in range(STARTS)]
        seconds = [second for second, _ in starts]
        print(f"first answer {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
        print(f"resident {statistics.median(mb for _, mb in starts):.0f} MB")


if __name__ == "__main__":
    cyclopts.run(main)
