"""Size of a `[serving]`-only install.

    python benchmarks/serving_install.py

Builds the wheel and installs it in a fresh environment. `benchmarks/serving.py` measures how it answers there.
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
    """MB of an entry of site-packages."""

    files: float
    bytecode: float
    """What pip compiles as it installs, unless told --no-compile; uv does not, unless told to."""

    @property
    def all(self) -> float:
        return self.files + self.bytecode


def install(folder: Path, root: Path = ROOT) -> Path:
    """An environment with the wheel of a checkout and `[serving]`; its Python.

    What is there already is kept as long as the checkout asks for the same packages, but for the wheel itself.
    """
    python, done, constraints = folder / "bin" / "python", folder / "packages", root / "constraints.txt"
    asked = (root / "pyproject.toml").read_text() + constraints.read_text()
    if not done.exists() or done.read_text() != asked:
        venv.create(folder, with_pip=True, clear=True)
    pip = [python, "-m", "pip"]
    with tempfile.TemporaryDirectory() as wheels:
        wheel = ["wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, root]
        subprocess.run([sys.executable, "-m", "pip", *wheel], check=True)
        (built,) = Path(wheels).glob("*.whl")
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", "kerasfound"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run([*pip, "install", "--quiet", "--constraint", constraints, f"{built}[serving]"], check=True)
    done.write_text(asked)
    return python


def sizes(python: Path) -> dict[str, Size]:
    """Of each entry of site-packages, but for pip and setuptools, which every environment has."""
    (packages,) = python.parent.parent.glob("lib/*/site-packages")
    found = {}
    for entry in packages.iterdir():
        if not entry.name.startswith(("pip", "setuptools", "pkg_resources", "_distutils", "distutils")):
            files = [path for path in [entry, *entry.rglob("*")] if path.is_file()]
            megabytes = {path: path.stat().st_size / 1e6 for path in files}
            bytecode = sum(size for path, size in megabytes.items() if path.suffix == ".pyc")
            found[entry.name] = Size(sum(megabytes.values()) - bytecode, bytecode)
    return found


def main() -> None:
    """Print the sum, and what is larger than half a megabyte."""
    with tempfile.TemporaryDirectory() as folder:
        found = sizes(install(Path(folder)))
    everything, files = sum(size.all for size in found.values()), sum(size.files for size in found.values())
    largest = sorted(((size.all, name) for name, size in found.items() if size.all > 0.5), reverse=True)
    print(
        f"{everything:.0f} MB, {files:.0f} without bytecode: " + ", ".join(f"{name} {mb:.1f}" for mb, name in largest)
    )


if __name__ == "__main__":
    cyclopts.run(main)
