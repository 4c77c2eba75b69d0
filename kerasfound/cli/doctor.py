"""What is here, what is missing, and the command that mends it."""

import importlib.util
import os
import platform
import shutil
from pathlib import Path

from kerasfound.data import SOURCES, cache
from kerasfound.errors import NotInstalledError
from kerasfound.training.run import devices, versions

from . import startup

EXTRAS = {
    "keras": ("keras", "pylatexenc"),
    "tensorflow": ("tensorflow",),
    "jax": ("jax",),
    "recipes": ("jinja2", "matplotlib", "pillow", "scikit-learn", "tensorflow-datasets"),
    "export": ("tensorflow", "tf2onnx", "onnx", "onnxruntime"),
    "serving": ("onnxruntime", "uvicorn", "httptools", "uvloop"),
    "raw": ("pillow", "tokenizers"),
}


def report() -> None:
    """Print what was found, line by line: `ok`, or `--` and below it what mends it."""
    for name, found, mend in [*_machine(), _backend(), *_packages(), *_data()]:
        print(f"{'--' if mend else 'ok'}  {name:<14}  {found}")
        if mend:
            print(f"{'':<20}{mend}")


def _machine() -> list[tuple[str, str, str]]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return [
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", ""),
        ("computer", f"{os.cpu_count()} cores, {free:.0f} GiB free disk", "" if free > 1 else "make room"),
    ]


def _backend() -> tuple[str, str, str]:
    try:
        startup.start()
    except NotInstalledError as error:
        return "backend", f"{error.what} is not installed", error.fix
    import keras

    found = f"{keras.backend.backend()} on {', '.join(devices())}"
    return "backend", f"{found}; --backend or KERAS_BACKEND picks another", ""


def _packages() -> list[tuple[str, str, str]]:
    rows = []
    for extra, packages in EXTRAS.items():
        found = versions(packages)
        missing = [package for package in packages if package not in found]
        text = ", ".join(f"{package} {version}" for package, version in found.items())
        rows.append(
            (f"[{extra}]", text, f'without {", ".join(missing)}: pip install "kerasfound[{extra}]"' if missing else "")
        )
    if importlib.util.find_spec("torch"):
        rows.append(("torch", versions(("torch",))["torch"], ""))
    return rows


def _data() -> list[tuple[str, str, str]]:
    folder = os.environ.get("TFDS_DATA_DIR")
    rows = [("TFDS_DATA_DIR", folder or "not set; TFDS's own folder is used", "")]
    if folder and not Path(folder).is_dir():
        rows = [("TFDS_DATA_DIR", f"{folder}: no such folder", "set it to a folder that TFDS has prepared data in")]
    for source in SOURCES.values():
        if source.is_cached(Path(folder) if folder else None):
            rows.append((f"data {source.name}", f"ready in {cache.folder()}", ""))
        elif not source.network or (folder and (Path(folder) / source.name).is_dir()):
            rows.append((f"data {source.name}", "ready to be read", ""))
        else:
            mend = "TFDS downloads it on first use, or point TFDS_DATA_DIR at prepared data"
            rows.append((f"data {source.name}", "not here yet", mend))
    return rows
