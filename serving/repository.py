"""The folder of bundles: found, checked, opened, and handed out by name and version."""

import hashlib
import re
import sys
from pathlib import Path

from kerasfound.errors import UserError
from kerasfound.export.manifest import read as read_manifest
from kerasfound.serving.errors import ClientError
from kerasfound.serving.model import Model

_VERSION = re.compile(r"[1-9][0-9]{0,17}")

_EXPECTED = (
    "expected <name>/<version>/ with model.onnx and manifest.json, as written by `kerasfound export RUN --to models/`"
)


class Repository:
    """Every model of a folder, in every version.

    Raises:
        UserError: if nothing in the folder can be served. When only some of it cannot, stderr names that.
    """

    def __init__(self, folder: str | Path):
        self.models: dict[str, dict[int, Model]] = {}
        broken = []
        for path in _bundles(Path(folder)):
            try:
                model = _load(path)
            except UserError as error:
                broken.append(str(error))
            else:
                self.models.setdefault(model.name, {})[model.version] = model
        if not self.models:
            if len(broken) == 1:
                raise UserError(broken[0])
            reasons = f"none of its {len(broken)} bundles can be served: {' '.join(broken)}" if broken else "no bundle"
            raise UserError(f"{folder}: {reasons}; {_EXPECTED}.")
        for reason in broken:
            print(f"kerasfound: warning: not served: {reason}", file=sys.stderr, flush=True)

    def versions(self, name: str) -> list[int]:
        """The versions of a model, newest first."""
        if name not in self.models:
            raise ClientError(404, f"no model {name!r}; served here: {', '.join(map(repr, sorted(self.models)))}")
        return sorted(self.models[name], reverse=True)

    def get(self, name: str, version: str | None = None) -> Model:
        """A model by the version that the request wrote, or its newest."""
        versions = self.versions(name)
        if version is None:
            return self.models[name][versions[0]]
        if not _VERSION.fullmatch(version) or int(version) not in versions:
            raise ClientError(404, f"model {name!r} has no version {version!r}; served: {_listed(versions)}")
        return self.models[name][int(version)]

    def __str__(self) -> str:
        return ", ".join(
            f"{name} (version{'s' if len(versions) > 1 else ''} {_listed(sorted(versions))})"
            for name, versions in sorted(self.models.items())
        )


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions))


def _bundles(folder: Path) -> list[Path]:
    """The version folders; a name that starts with a dot is an export still being written."""
    try:
        return sorted(
            version
            for model in folder.iterdir()
            if not model.name.startswith(".") and model.is_dir()
            for version in model.iterdir()
            if _VERSION.fullmatch(version.name) and version.is_dir()
        )
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}; {_EXPECTED}.") from error


def _load(path: Path) -> Model:
    """The bundle at `path`, checked from manifest to answer."""
    promised = read_manifest(path / "manifest.json")
    found = f"{path.parent.name} version {path.name}"
    if f"{promised.name} version {promised.version}" != found:
        raise UserError(f"{path}: its manifest is of {promised.name} version {promised.version}, not of {found}.")
    # Weights above 2 GB lie beside the model, in model.onnx.data.
    for name in ["model.onnx", *(file for file in promised.files if file.startswith("model.onnx."))]:
        _check_sum(path / name, promised.files.get(name))
    try:
        model = Model(promised, str(path / "model.onnx"))
        model.warm()
    except UserError as error:
        raise UserError(f"{path / 'model.onnx'}: {error}") from error
    return model


def _check_sum(file: Path, expected: str | None) -> None:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); export the run again.") from error
    if found != expected:
        promised = f"sha256 {expected[:12]}..." if expected else "no sha256 for it"
        raise UserError(
            f"{file}: not the file that was verified (sha256 {found[:12]}..., its manifest has {promised}); "
            "export the run again."
        )
