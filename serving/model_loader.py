"""Loads one version folder: verifies the checksums of its files, then opens the model."""

import contextlib
import hashlib
from concurrent.futures import Executor
from pathlib import Path
from typing import Literal

from kerasfound.bundle.manifest import Manifest
from kerasfound.bundle.manifest import read as read_manifest
from kerasfound.errors import UserError

from .limits import Limits
from .model import Model

Precision = Literal["float32", "int8"]
FILES: dict[Precision, str] = {"float32": "model.onnx", "int8": "model.int8.onnx"}
"""The model file of each precision of the weights."""


def load_model(path: Path, limits: Limits, threads: Executor, precision: Precision = "float32") -> Model:
    """Load the bundle at `path`, after checking its name, version and checksums."""
    manifest = read_manifest(path / "manifest.json")
    expected = f"{path.parent.name} version {path.name}"
    if f"{manifest.name} version {manifest.version}" != expected:
        raise UserError(f"{path}: its manifest is of {manifest.name} version {manifest.version}, expected {expected}.")
    file = FILES[precision]
    if precision != "float32" and file not in manifest.files:
        raise UserError(f"{path}: has no {file}; export the run with --quantize {precision}, or serve float32.")
    for name in _required_files(manifest):
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise UserError(f"{path}: its manifest names {name!r}, which is outside the bundle.")
        _verify_checksum(path / name, manifest.files.get(name))
    try:
        return Model(manifest, path, limits, threads, file)
    except UserError as error:
        raise UserError(f"{path / file}: {error}") from error


def fingerprint(path: Path) -> tuple:
    """Return a value that changes when a file of the bundle is written again or its permissions change."""
    parts = []
    with contextlib.suppress(OSError):  # the folder is being removed or written
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if name == "manifest.json" or _is_served_file(name):
                stat = file.stat()
                parts.append((name, stat.st_ino, stat.st_ctime_ns, stat.st_size))
    return tuple(parts)


def _required_files(manifest: Manifest) -> set[str]:
    """Return every file of a bundle that serving needs."""
    named = [step.file for step in [*manifest.preprocessing, *manifest.postprocessing]]
    named.append(manifest.text_generation.file if manifest.text_generation else None)
    return {"model.onnx", *filter(_is_served_file, manifest.files), *filter(None, named)}


def _is_served_file(file: str) -> bool:
    """Whether serving reads the file. Weights above 2 GB are in their own file, model.onnx.data."""
    return file in FILES.values() or file.startswith(("model.onnx.", "step.onnx", "verification.npz", "assets/"))


def _verify_checksum(file: Path, expected: str | None) -> None:
    try:
        with file.open("rb") as opened:
            actual = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); export the run again.") from error
    if actual != expected:  # the message leaves out `actual`: it changes while the file is still being copied
        recorded = f"sha256 {expected[:12]}... in its manifest" if expected else "no sha256 in its manifest"
        raise UserError(f"{file}: not the file that was verified ({recorded}); export the run again.")
