"""The folders of a bundle: the versions of a model, and the checksums of their files."""

import hashlib
import re
from pathlib import Path

from kerasfound.errors import UserError

from .manifest import Manifest

MANIFEST = "manifest.json"


def version_folder(path: str | Path) -> Path:
    """Return `path` if it is a version folder, or its newest version if it is the folder of a model."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give a bundle, such as models/mnist_cnn/1.")
    if (path / MANIFEST).is_file():
        return path
    versions = versions_in(path)
    if not versions:
        raise UserError(f"{path}: not a bundle (it has no {MANIFEST}); `kerasfound export` makes one.")
    return path / str(max(versions))


def versions_in(model_folder: Path) -> list[int]:
    """The version numbers in the folder of a model, the oldest first."""
    if not model_folder.is_dir():
        return []
    return sorted(int(path.name) for path in model_folder.iterdir() if re.fullmatch("[1-9][0-9]*", path.name))


def verify_checksums(folder: Path, manifest: Manifest) -> None:
    """Check that `folder` has exactly the files of the manifest, byte for byte.

    Raises:
        UserError: if a file is missing, is not in the manifest, or was changed.
    """
    actual = checksums(folder)
    for name in sorted(manifest.files.keys() | actual.keys()):
        if name not in actual:
            raise UserError(f"{folder}: {name} is missing; the bundle is incomplete, export it again.")
        if name not in manifest.files:
            raise UserError(f"{folder}: {name} is not in the manifest; the bundle was changed after its export.")
        if actual[name] != manifest.files[name]:
            raise UserError(f"{folder}: {name} was changed after its export (its sha256 differs); export it again.")


def checksums(folder: Path) -> dict[str, str]:
    """The sha256 of every file in `folder` and its subfolders, except the manifest."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise UserError(f"{folder}: {name} is a link; a bundle holds files only.")
        if path.is_file() and name != MANIFEST:
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
