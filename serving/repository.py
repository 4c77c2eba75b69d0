"""The folder of bundles: watched, checked, opened, and handed out by name, version and label."""

import hashlib
import random
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from kerasfound.errors import UserError
from kerasfound.export.manifest import read as read_manifest
from kerasfound.serving import metrics
from kerasfound.serving.errors import ClientError
from kerasfound.serving.limits import Limits
from kerasfound.serving.model import Model

RULES = "serving.json"
MAX_RULES_BYTES = 1 << 16
STABLE, CANARY = "stable", "canary"

_VERSION = re.compile(r"[1-9][0-9]{0,17}")

_EXPECTED = (
    "expected <name>/<version>/ with model.onnx and manifest.json, as written by `kerasfound export RUN --to models/`"
)

Versions = Literal["latest", "all"] | list[int]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`<name>/serving.json`, read again whenever it changes: which versions of a model are served, and to whom."""

    versions: Versions = "latest"
    labels: dict[str, int] = {}
    """Names for versions; those are served too. Who names no version is answered by `stable`, if there is one."""
    canary_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Of the requests that name no version, how many `canary` answers."""


class Served(NamedTuple):
    """A model: the versions that are ready, the newest first, and their labels."""

    versions: dict[int, Model]
    rules: Rules


class Known(NamedTuple):
    """What was found in a version folder when it was looked at, and how to tell that it is another now."""

    marks: tuple
    model: Model | None
    reason: str


class Repository:
    """Every model of a folder.

    Args:
        folder: of bundles.
        limits: on what may be asked of a model.
        threads: where batches run.
        versions: that are served of a model without rules of its own: the newest that works, all, or those named.
        log: told, in one line, what came, went or was refused.

    Raises:
        UserError: if nothing in the folder can be served.
    """

    def __init__(
        self,
        folder: str | Path,
        limits: Limits,
        threads: Executor,
        versions: Versions = "latest",
        log: Callable[[str], None] = lambda line: None,
    ):
        self.folder = Path(folder)
        self.models: dict[str, Served] = {}
        self.refused: dict[Path, str] = {}
        """Why a version, or a model's rules, cannot be had."""
        self._limits = limits
        self.threads = threads
        self._default = Rules(versions)
        self._log = log
        self._known: dict[Path, Known] = {}
        self.unloaded: set[str] = set()
        """Models that a client asked to put away."""
        self._changing = threading.Lock()
        self.refresh()
        if not self.models:
            broken = list(self.refused.values())
            if len(broken) == 1:
                raise UserError(broken[0])
            reasons = f"none of its {len(broken)} bundles can be served: {' '.join(broken)}" if broken else "no bundle"
            raise UserError(f"{folder}: {reasons}; {_EXPECTED}.")

    # -------------------------------------------------------------------------------------------------- what is asked

    def get(self, name: str, version: str | None = None, label: str | None = None) -> Model:
        """A model by version or label; by neither the stable one with its canary, or the newest."""
        served = self.served(name)
        if version is not None:
            if not _VERSION.fullmatch(version) or int(version) not in served.versions:
                raise ClientError(404, f"model {name!r} has no version {version!r}; served: {_listed(served.versions)}")
            return served.versions[int(version)]
        labels = served.rules.labels
        if label is not None:
            if labels.get(label) not in served.versions:
                raise ClientError(404, f"model {name!r} has no label {label!r}; served: {_listed(labels)}")
            return served.versions[labels[label]]
        chosen = CANARY if labels and random.random() < served.rules.canary_share else STABLE
        newest = next(iter(served.versions))
        return served.versions.get(labels.get(chosen, newest)) or served.versions[newest]

    def served(self, name: str) -> Served:
        """A model with all its versions."""
        if name not in self.models:
            raise ClientError(404, f"no model {name!r}; served here: {', '.join(map(repr, sorted(self.models)))}")
        return self.models[name]

    # ---------------------------------------------------------------------------------------------- what comes and goes

    def refresh(self) -> None:
        """Look at the folder again: open what is new, let go of what left. It may take long, and hinders no request.

        A version is served after it was checked and asked, all at once, and the one before it answers until then.
        """
        with self._changing:
            found = _folders(self.folder)
            self.refused = {}
            models = {name: self._served(name, paths) for name, paths in found.items() if name not in self.unloaded}
            before, self.models = self.models, {name: served for name, served in models.items() if served.versions}
            used = {model.folder for served in self.models.values() for model in served.versions.values()}
            self._known = {path: known for path, known in self._known.items() if path in used or path in self.refused}
            self._tell(_pairs(before), _pairs(self.models))

    def load(self, name: str) -> None:
        """Look at a model again, though it was put away or refused.

        Raises:
            ClientError: if it is not there, or no version of it can be served.
        """
        self.unloaded.discard(name)
        self._known = {path: known for path, known in self._known.items() if known.model or path.parent.name != name}
        self.refresh()
        if name not in self.models:
            reasons = [reason for path, reason in self.refused.items() if path.parent.name == name]
            raise ClientError(400, " ".join(reasons) or f"no model {name!r} in the repository")

    def unload(self, name: str) -> None:
        """Put a model away until `load`."""
        self.served(name)
        self.unloaded.add(name)
        self.refresh()

    def _served(self, name: str, paths: dict[int, Path]) -> Served:
        rules = self._rules(name)
        labelled = [version for version in rules.labels.values() if version in paths]
        if rules.versions == "latest":
            newest = next((version for version in paths if self._model(paths[version])), None)
            wanted = {newest, *labelled} - {None}
        else:
            wanted = set(paths) if rules.versions == "all" else {*rules.versions, *labelled}
        ready = {version: self._model(path) for version, path in paths.items() if version in wanted}
        return Served({version: model for version, model in ready.items() if model}, rules)

    def _model(self, path: Path) -> Model | None:
        """The bundle there, opened once for as long as it is the same."""
        marks = _marks(path)
        known = self._known.get(path)
        if known is None or known.marks != marks:
            before = known.reason if known else None
            known = Known(marks, *self._open(path))
            if known.reason and known.reason != before:
                self._log(f"not served: {known.reason}")
            self._known[path] = known
        if known.reason:
            self.refused[path] = known.reason
        return known.model

    def _open(self, path: Path) -> tuple[Model | None, str]:
        try:
            return _opened(path, self._limits, self.threads), ""
        except UserError as error:
            return None, str(error)

    def _rules(self, name: str) -> Rules:
        path = self.folder / name / RULES
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_RULES_BYTES), type=Rules)
        except FileNotFoundError:
            return self._default
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.refused[path] = f"{path}: {error}; the rules before it go on."
            return self.models[name].rules if name in self.models else self._default

    def _tell(self, before: set[tuple[str, int]], now: set[tuple[str, int]]) -> None:
        for name, version in before | now:
            metrics.VERSIONS.labels(name, version).set((name, version) in now)
        for name, version in sorted(now - before if before else ()):
            self._log(f"serves {name} version {version}")
        for name, version in sorted(before - now):
            self._log(f"serves {name} version {version} no longer")

    def __str__(self) -> str:
        return ", ".join(
            f"{name} (version{'s' if len(served.versions) > 1 else ''} {_listed(sorted(served.versions))})"
            for name, served in sorted(self.models.items())
        )


def _listed(versions: Iterable[int | str]) -> str:
    return ", ".join(map(str, versions))


def _pairs(models: dict[str, Served]) -> set[tuple[str, int]]:
    return {(name, version) for name, served in models.items() for version in served.versions}


def _folders(folder: Path) -> dict[str, dict[int, Path]]:
    """The version folders of each model, the newest first; a name that starts with a dot is still being written."""
    try:
        return {
            model.name: {
                int(version.name): version
                for version in sorted(model.iterdir(), key=lambda path: (len(path.name), path.name), reverse=True)
                if _VERSION.fullmatch(version.name) and version.is_dir()
            }
            for model in sorted(folder.iterdir())
            if not model.name.startswith(".") and model.is_dir()
        }
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}; {_EXPECTED}.") from error


def _marks(path: Path) -> tuple:
    """What changes when a bundle is written again."""
    found = []
    for file in (path, path / "manifest.json", path / "model.onnx"):
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((file.name, stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _opened(path: Path, limits: Limits, threads: Executor) -> Model:
    """The bundle at `path`, checked from manifest to answer."""
    promised = read_manifest(path / "manifest.json")
    found = f"{path.parent.name} version {path.name}"
    if f"{promised.name} version {promised.version}" != found:
        raise UserError(f"{path}: its manifest is of {promised.name} version {promised.version}, not of {found}.")
    for name in ["model.onnx", *filter(_is_read, promised.files)]:
        if ".." in Path(name).parts:
            raise UserError(f"{path}: its manifest names {name!r}, outside of it.")
        _check_sum(path / name, promised.files.get(name))
    try:
        return Model(promised, path, limits, threads)
    except UserError as error:
        raise UserError(f"{path / 'model.onnx'}: {error}") from error


def _is_read(file: str) -> bool:
    """Whether this server reads it: weights above 2 GB lie beside the model, in model.onnx.data."""
    return file.startswith(("model.onnx.", "step.onnx", "verification.npz", "assets/"))


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
