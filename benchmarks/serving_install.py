"""Measure the size of an install with only the `[serving]` extra.

    python benchmarks/serving_install.py

Builds the wheel and installs it in a fresh environment. `benchmarks/serving.py` measures its speed there.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

import cyclopts

ROOT = Path(__file__).parent.parent


class Size(NamedTuple):
    """MB of one file or folder in site-packages."""

    files: float
    bytecode: float
    """pip compiles it during the install, except with --no-compile; uv compiles it only with --compile-bytecode."""

    @property
    def total(self) -> float:
        return self.files + self.bytecode


def install(folder: Path, root: Path = ROOT) -> Path:
    """Create an environment with the wheel of a checkout and its `[serving]` extra; return its Python.

    An existing environment is reused if the checkout needs the same packages; only the wheel is installed again.
    """
    python, done, constraints = folder / "bin" / "python", folder / "packages", root / "constraints.txt"
    requirements = (root / "pyproject.toml").read_text() + constraints.read_text()
    if not done.exists() or done.read_text() != requirements:
        venv.create(folder, with_pip=True, clear=True)
    pip = [python, "-m", "pip"]
    with tempfile.TemporaryDirectory() as wheels:
        wheel = ["wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, root]
        subprocess.run([sys.executable, "-m", "pip", *wheel], check=True)
        (built,) = Path(wheels).glob("*.whl")
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", "kerasfound"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run([*pip, "install", "--quiet", "--constraint", constraints, f"{built}[serving]"], check=True)
    done.write_text(requirements)
    return python


def sizes(python: Path) -> dict[str, Size]:
    """Sizes in site-packages, without pip and setuptools, which every environment has."""
    (packages,) = python.parent.parent.glob("lib/*/site-packages")
    sizes_by_name = {}
    for entry in packages.iterdir():
        if not entry.name.startswith(("pip", "setuptools", "pkg_resources", "_distutils", "distutils")):
            files = [path for path in [entry, *entry.rglob("*")] if path.is_file()]
            megabytes = {path: path.stat().st_size / 1e6 for path in files}
            bytecode = sum(size for path, size in megabytes.items() if path.suffix == ".pyc")
            sizes_by_name[entry.name] = Size(sum(megabytes.values()) - bytecode, bytecode)
    return sizes_by_name


def main() -> None:
    """Print the total, and each file or folder larger than half a megabyte."""
    with tempfile.TemporaryDirectory() as folder:
        measured = sizes(install(Path(folder)))
    total, files = sum(size.total for size in measured.values()), sum(size.files for size in measured.values())
    largest = sorted(((size.total, name) for name, size in measured.items() if size.total > 0.5), reverse=True)
    print(f"{total:.0f} MB, {files:.0f} without bytecode: " + ", ".join(f"{name} {mb:.1f}" for mb, name in largest))


if __name__ == "__main__":
    cyclopts.run(main)
