"""`kerasfound doctor`: what is installed, what is missing, and how to fix it."""

import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import NamedTuple

from kerasfound.data import SOURCES, cache
from kerasfound.errors import NotInstalledError
from kerasfound.training.run import devices, versions
from kerasfound.wording import counted

from . import startup

EXTRAS = {
    "keras": ("keras", "pylatexenc"),
    "tensorflow": ("tensorflow",),
    "jax": ("jax",),
    "recipes": ("jinja2", "matplotlib", "pillow", "scikit-learn", "tensorflow-datasets"),
    "export": ("tensorflow", "tf2onnx", "onnx", "onnxruntime"),
    "serving": ("onnxruntime", "uvicorn", "httptools", "uvloop"),
    "tensorboard": ("tensorboard",),
    "raw": ("pillow", "tokenizers"),
}


class Check(NamedTuple):
    """The state of one part of the installation, and how to fix it. An empty `fix` means that it works."""

    name: str
    state: str
    fix: str = ""


def report() -> None:
    """Print a line for each check: `ok`, or `--` with the fix on the next line."""
    for check in [*_machine(), _backend(), *_packages(), *_data()]:
        print(f"{'--' if check.fix else 'ok'}  {check.name:<14}  {check.state}")
        if check.fix:
            print(f"{'':<20}{check.fix}")


def _machine() -> list[Check]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    cores = counted(os.cpu_count() or 1, "core")
    return [
        Check("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check(
            "computer",
            f"{cores}, {free:.0f} GiB free disk",
            "" if free > 1 else "free disk space",
        ),
    ]


def _backend() -> Check:
    try:
        startup.start()
    except NotInstalledError as error:
        return Check("backend", f"{error.what} is not installed", error.fix)
    import keras

    running = f"{keras.backend.backend()} on {', '.join(devices())}"
    return Check("backend", f"{running}; change it with --backend or KERAS_BACKEND")


def _packages() -> list[Check]:
    checks = []
    for extra, packages in EXTRAS.items():
        installed = versions(packages)
        missing = [package for package in packages if package not in installed]
        state = ", ".join(f"{package} {version}" for package, version in installed.items())
        fix = f'{", ".join(missing)} missing: pip install "kerasfound[{extra}]"' if missing else ""
        checks.append(Check(f"[{extra}]", state, fix))
    if importlib.util.find_spec("torch"):
        checks.append(Check("torch", versions(("torch",))["torch"]))
    return checks


def _data() -> list[Check]:
    folder = os.environ.get("TFDS_DATA_DIR")
    checks = [Check("TFDS_DATA_DIR", folder or "not set; the default folder of TFDS is used")]
    if folder and not Path(folder).is_dir():
        checks = [Check("TFDS_DATA_DIR", f"{folder}: no such folder", "set it to a folder of prepared TFDS data")]
    for source in SOURCES.values():
        if source.is_cached(Path(folder) if folder else None):
            checks.append(Check(f"data {source.name}", f"ready in {cache.folder()}"))
        elif not source.network or (folder and (Path(folder) / source.name).is_dir()):
            checks.append(Check(f"data {source.name}", "ready"))
        else:
            fix = "TFDS downloads it on first use; for prepared data, set TFDS_DATA_DIR"
            checks.append(Check(f"data {source.name}", "not downloaded yet", fix))
    return checks
