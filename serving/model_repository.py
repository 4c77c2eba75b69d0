"""The folder of bundles: watched, checked, opened, and handed out by name, version and label."""

import contextlib
import hashlib
import logging
import random
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from kerasfound.bundle.manifest import Manifest
from kerasfound.bundle.manifest import read as read_manifest
from kerasfound.errors import UserError, one_line

from . import metrics
from .client_error import ClientError
from .limits import Limits
from .model import Model

LOG = logging.getLogger("kerasfound.serving")
RULES = "serving.json"
MAX_RULES_BYTES = 1 << 16
STABLE, CANARY = "stable", "canary"

_VERSION = re.compile(r"[1-9][0-9]{0,17}")

_EXPECTED = (
    "expected <name>/<version>/ with model.onnx and manifest.json, as written by `kerasfound export RUN --to models/`"
)

Versions = Literal["latest", "all"] | Annotated[list[int], msgspec.Meta(min_length=1)]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`<name>/serving.json`, read again whenever it changes: which versions of a model are served, and to whom.

    They are taken once every version that they name can be served; until then, those before them go on.
    """

    versions: Versions = "latest"
    labels: dict[str, int] = {}
    """Names for versions; those are served too. Who names no version is answered by `stable`, if there is one."""
    canary_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Of the requests that name no version, how many `canary` answers."""

    def __post_init__(self) -> None:
        if CANARY in self.labels and STABLE not in self.labels:
            raise ValueError(f"a label {CANARY!r} needs a label {STABLE!r} beside it")
        if self.canary_share and CANARY not in self.labels:
            raise ValueError(f"a `canary_share` needs a label {CANARY!r}")

    @property
    def named(self) -> set[int]:
        return {*self.labels.values(), *(self.versions if isinstance(self.versions, list) else [])}


class Served(NamedTuple):
    """A model: the versions that are ready, the newest first, and by which rules."""

    versions: dict[int, Model]
    rules: Rules


class Known(NamedTuple):
    """What was found in a version folder when it was looked at, and how to tell that it is another now."""

    marks: tuple
    model: Model | None
    """That answers; the one before, if what is there now is refused."""
    reason: str


class Look(NamedTuple):
    """What one look at the folder found."""

    models: dict[str, Served]
    refused: dict[tuple[str, str], str]
    away: set[str]
    known: dict[Path, Known]


class State(NamedTuple):
    """Of one version for the index; without a version it is the model that something is said of."""

    name: str
    version: str
    ready: bool
    reason: str


class Repository:
    """Every model of a folder.

    Args:
        folder: of bundles.
        limits: on what may be asked of a model.
        threads: where batches run.
        away: a folder with an empty file for each model that a client put away; what several processes share of that.
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
        away: str | Path,
        versions: Versions = "latest",
        log: Callable[[str], None] = lambda line: None,
    ):
        self.folder = Path(folder)
        self.threads = threads
        self.models: dict[str, Served] = {}
        self.refused: dict[tuple[str, str], str] = {}
        """Why a version, or without one a model or its rules, cannot be had."""
        self.away: set[str] = set()
        """Models that a client put away."""
        self._limits = limits
        self._away = Path(away)
        self._default = Rules(versions)
        self._log = log
        self._known: dict[Path, Known] = {}
        self._watched = False
        self._changing = threading.Lock()
        self.refresh()
        self._watched = True
        if not self.models:
            broken = list(self.refused.values())
            if len(broken) == 1:
                raise UserError(broken[0])
            if broken:
                raise UserError(f"{folder}: none of its {len(broken)} bundles can be served: {' '.join(broken)}")
            raise UserError(f"{folder}: no bundle{_meant(self.folder)}; {_EXPECTED}.")

    # -------------------------------------------------------------------------------------------------- what is asked

    def get(self, name: str, version: str | None = None, label: str | None = None) -> Model:
        """A model by version or label; by neither the stable one with its canary, or the newest."""
        versions, rules = self.served(name)
        if version is not None:
            if not _VERSION.fullmatch(version) or int(version) not in versions:
                raise ClientError(404, f"model {name!r} has no version {version!r}; served: {_listed(versions)}")
            return versions[int(version)]
        labels = {key: number for key, number in rules.labels.items() if number in versions}
        if label is not None:
            if label not in labels:
                raise ClientError(404, f"model {name!r} has no label {label!r}; served: {_listed(labels) or 'none'}")
            return versions[labels[label]]
        chosen = CANARY if CANARY in labels and random.random() < rules.canary_share else STABLE
        return versions[labels.get(chosen, next(iter(versions)))]

    def meant(self, **which: str) -> list[Model]:
        """The version that is named, or all of a model that is named, or all of all."""
        if which.keys() - {"name"}:
            return [self.get(**which)]
        served = [self.served(**which)] if which else self.models.values()
        return [model for each in served for model in each.versions.values()]

    def served(self, name: str) -> Served:
        """A model with all its versions."""
        models = self.models  # another thread may replace them between two looks
        if name not in models:
            raise ClientError(404, f"no model {name!r}; served here: {_listed(map(repr, sorted(models))) or 'none'}")
        return models[name]

    def index(self) -> list[State]:
        """Every version that is served or refused, and every model that was put away."""
        refused = dict(self.refused)
        ready = [
            State(name, str(version), True, refused.pop((name, str(version)), ""))
            for name, served in self.models.items()
            for version in served.versions
        ]
        away = [State(name, "", False, "unloaded") for name in sorted(self.away)]
        return [*ready, *(State(name, version, False, why) for (name, version), why in refused.items()), *away]

    # ---------------------------------------------------------------------------------------------- what comes and goes

    def refresh(self, again: str = "") -> None:
        """Look at the folder again: open what is new, let go of what left. It may take long, and hinders no request.

        A version is served after it was checked and asked, all at once, and the one before it answers until then.

        Args:
            again: a model whose refused versions are tried again, though they are as they were.
        """
        with self._changing:
            try:
                names, look = _folders(self.folder), Look({}, {}, _files(self._away), {})
            except OSError as error:  # away, for a moment or for good: what is open goes on
                reason = f"{error.filename or self.folder}: {error.strerror}; {_EXPECTED}."
                names, look = [], Look(self.models, self.refused | {("", ""): reason}, self.away, self._known)
            for name in names:
                if name not in look.away and (served := self._served(name, look, name == again)).versions:
                    look.models[name] = served
            self._tell(look)
            self.models, self.refused, self.away, self._known = look

    def load(self, name: str) -> None:
        """Look at a model again, though it was put away or refused.

        Raises:
            ClientError: if it is not there, or no version of it can be served.
        """
        if name in _files(self._away):
            (self._away / name).unlink(missing_ok=True)
        self.refresh(again=name)
        if name not in self.models:
            reasons = [reason for (model, _), reason in self.refused.items() if model == name]
            raise ClientError(400, " ".join(reasons) or f"no model {name!r} in the repository")

    def unload(self, name: str) -> None:
        """Put a model away until `load`."""
        self.served(name)
        (self._away / name).touch()
        self.refresh()

    def _served(self, name: str, look: Look, again: bool) -> Served:
        folder, before = self.folder / name, self.models.get(name, Served({}, self._default))
        known = {
            path: found._replace(marks=()) if again and found.reason else found
            for path, found in self._known.items()
            if path.parent == folder
        }
        try:
            paths = _versions(folder)
        except FileNotFoundError:
            return Served({}, self._default)
        except OSError as error:
            look.refused[name, ""] = f"{folder}: cannot be read ({error.strerror})."
            look.known.update(known)
            return before

        def model(version: int) -> Model | None:
            path = paths[version]
            if path not in look.known:
                look.known[path] = found = self._found(path, known.get(path))
                if found.reason:
                    look.refused[name, path.name] = found.reason
            return look.known[path].model

        rules = self._rules(name, before.rules, look)
        served = _ready(rules, paths, model)
        missing = rules.named - served.versions.keys()
        if missing and rules is not self._default:
            reason = f"{folder / RULES}: names version {_listed(sorted(missing))}, which cannot be served"
            as_before = _ready(before.rules, paths, model) if before.versions and before.rules != rules else None
            if as_before and as_before.versions:
                reason += "; the rules before it go on"
                served = as_before
            look.refused[name, ""] = reason + "."
        elif missing and paths and not served.versions:
            look.refused[name, ""] = f"{folder}: has no version {_listed(sorted(missing))}, but {_listed(paths)}."
        return served

    def _rules(self, name: str, before: Rules, look: Look) -> Rules:
        path = self.folder / name / RULES
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_RULES_BYTES), type=Rules)
        except FileNotFoundError:
            return self._default
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            look.refused[name, ""] = f"{path}: {one_line(error)}; the rules before it go on."
            return before

    def _found(self, path: Path, before: Known | None) -> Known:
        """The bundle there, opened once for as long as it is the same."""
        marks = _marks(path)
        if before and before.marks == marks:
            return before
        try:
            return Known(marks, _opened(path, self._limits, self.threads), "")
        except UserError as error:
            reason = str(error)
        except Exception as error:  # a bundle may be broken in more ways than are known; none may end the watch
            LOG.exception("%s cannot be opened", path)
            reason = f"{path}: cannot be opened ({type(error).__name__}: {one_line(error)})."
        if not (before and before.model):
            return Known(marks, None, reason)
        return Known(marks, before.model, f"{reason} What was opened before goes on.")

    def _tell(self, look: Look) -> None:
        before, now = _pairs(self.models), _pairs(look.models)
        for name, version in before | now:
            metrics.VERSIONS.labels(name, version).set((name, version) in now)
            metrics.QUEUE.labels(name).set(0)  # counted anew of those that are served
        for key, reason in look.refused.items() if look.models or self._watched else ():  # else it is raised
            if self.refused.get(key) != reason:
                self._log(f"refused: {reason}")
        for name, version in sorted(now - before if self._watched else ()):
            self._log(f"serves {name} version {version}")
        for name, version in sorted(before - now):
            self._log(f"serves {name} version {version} no longer")

    def __str__(self) -> str:
        return ", ".join(
            f"{name} (version{'s' if len(served.versions) > 1 else ''} {_listed(sorted(served.versions))})"
            for name, served in sorted(self.models.items())
        )


def _ready(rules: Rules, paths: dict[int, Path], model: Callable[[int], Model | None]) -> Served:
    """The versions that the rules want, as far as they are there and can be served."""
    wanted = {*rules.named}
    if rules.versions == "all":
        wanted.update(paths)
    elif rules.versions == "latest":
        wanted.update(version for version in [next(filter(model, paths), None)] if version)
    ready = {version: model(version) for version in paths if version in wanted}
    return Served({version: found for version, found in ready.items() if found}, rules)


def _listed(versions: Iterable[int | str]) -> str:
    return ", ".join(map(str, versions))


def _pairs(models: dict[str, Served]) -> set[tuple[str, int]]:
    return {(name, version) for name, served in models.items() for version in served.versions}


def _folders(folder: Path) -> list[str]:
    """The names of models; one that starts with a dot is still being written."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())


def _meant(folder: Path) -> str:
    """A hint for who gave a model, or one of its versions, for the folder of all models."""
    folder = folder.resolve()
    for above, manifests in ((folder.parent, "*/manifest.json"), (folder.parent.parent, "manifest.json")):
        if any(folder.glob(manifests)):
            return f", but one model; serve {above}"
    return ""


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _versions(folder: Path) -> dict[int, Path]:
    """The version folders of a model, the newest first."""
    found = {int(path.name): path for path in folder.iterdir() if _VERSION.fullmatch(path.name) and path.is_dir()}
    return dict(sorted(found.items(), reverse=True))


def _marks(path: Path) -> tuple:
    """What changes when a file that this server reads is written again, or may be read at last."""
    found = []
    with contextlib.suppress(OSError):  # it is leaving, or being written
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if name == "manifest.json" or _is_read(name):
                stat = file.stat()
                found.append((name, stat.st_ino, stat.st_ctime_ns, stat.st_size))
    return tuple(found)


def _opened(path: Path, limits: Limits, threads: Executor) -> Model:
    """The bundle at `path`, checked from manifest to answer."""
    promised = read_manifest(path / "manifest.json")
    found = f"{path.parent.name} version {path.name}"
    if f"{promised.name} version {promised.version}" != found:
        raise UserError(f"{path}: its manifest is of {promised.name} version {promised.version}, not of {found}.")
    for name in _needed(promised):
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise UserError(f"{path}: its manifest names {name!r}, outside of it.")
        _check_sum(path / name, promised.files.get(name))
    try:
        return Model(promised, path, limits, threads)
    except UserError as error:
        raise UserError(f"{path / 'model.onnx'}: {error}") from error


def _needed(promised: Manifest) -> set[str]:
    """Every file that a model of this manifest is made of."""
    named = [step.file for step in [*promised.preprocessing, *promised.postprocessing]]
    named.append(promised.text_generation.file if promised.text_generation else None)
    return {"model.onnx", *filter(_is_read, promised.files), *filter(None, named)}


def _is_read(file: str) -> bool:
    """Whether this server reads it: weights above 2 GB lie beside the model, in model.onnx.data."""
    return file == "model.onnx" or file.startswith(("model.onnx.", "step.onnx", "verification.npz", "assets/"))


def _check_sum(file: Path, expected: str | None) -> None:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); export the run again.") from error
    if found != expected:  # not told: what was found, which is another while the file is still being copied
        promised = f"sha256 {expected[:12]}... in its manifest" if expected else "no sha256 in its manifest"
        raise UserError(f"{file}: not the file that was verified ({promised}); export the run again.")
