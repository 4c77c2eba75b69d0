"""Where bundles lie: the versions of a name, and the sums of their files."""

import hashlib
import re
from pathlib import Path

from kerasfound.errors import UserError

from .manifest import Manifest

MANIFEST = "manifest.json"


def version_folder(path: str | Path) -> Path:
    """`path` if it is a version folder, or the newest version in it if it is a model's folder."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give a bundle, such as models/mnist_cnn/1.")
    if (path / MANIFEST).is_file():
        return path
    found = numbered(path)
    if not found:
        raise UserError(f"{path}: not a bundle (it has no {MANIFEST}); `kerasfound export` makes one.")
    return path / str(max(found))


def numbered(model_folder: Path) -> list[int]:
    """The versions in a model's folder, the oldest first."""
    if not model_folder.is_dir():
        return []
    return sorted(int(path.name) for path in model_folder.iterdir() if re.fullmatch("[1-9][0-9]*", path.name))


def check_sums(folder: Path, manifest: Manifest) -> None:
    """The files of `folder` are those of the manifest, byte for byte."""
    found = sums(folder)
    for name in sorted(manifest.files.keys() | found.keys()):
        if name not in found:
            raise UserError(f"{folder}: {name} is missing; the bundle is not whole, export it again.")
        if name not in manifest.files:
            raise UserError(f"{folder}: {name} is not in the manifest; the bundle was changed after its export.")
        if found[name] != manifest.files[name]:
            raise UserError(f"{folder}: {name} was changed after its export (its sha256 differs); export it again.")


def sums(folder: Path) -> dict[str, str]:
    """sha256 of every file below `folder` but the manifest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise UserError(f"{folder}: {name} is a link; a bundle holds files only.")
        if path.is_file() and name != MANIFEST:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
