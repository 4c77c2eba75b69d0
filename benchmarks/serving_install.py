"""Size of a `[serving]`-only install.

    python benchmarks/serving_install.py

Builds the wheel and installs it in a fresh environment. `benchmarks/serving.py` measures how it answers there.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import cyclopts

ROOT = Path(__file__).parent.parent


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
    """MB of each entry of site-packages, but for pip and setuptools, which every environment has."""
    (packages,) = python.parent.parent.glob("lib/*/site-packages")
    found = {}
    for entry in packages.iterdir():
        if not entry.name.startswith(("pip", "setuptools", "_distutils", "distutils")):
            files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
            found[entry.name] = sum(path.stat().st_size for path in files) / 1e6
    return found


def main() -> None:
    """Print the sum, and what is larger than half a megabyte."""
    with tempfile.TemporaryDirectory() as folder:
        found = sizes(install(Path(folder)))
    largest = sorted(((mb, name) for name, mb in found.items() if mb > 0.5), reverse=True)
    print(f"{sum(found.values()):.0f} MB: " + ", ".join(f"{name} {mb:.1f}" for mb, name in largest))


if __name__ == "__main__":
    cyclopts.run(main)
