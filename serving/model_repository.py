"""The folder of bundles: watches it, verifies and loads bundles, finds a model by name, version or label."""

import logging
import random
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from kerasfound.errors import UserError, one_line

from . import metrics, model_loader
from .client_error import ClientError
from .limits import Limits
from .model import Model

LOG = logging.getLogger("kerasfound.serving")
POLICY_FILE = "serving.json"
MAX_POLICY_BYTES = 1 << 16
STABLE, CANARY = "stable", "canary"

_VERSION = re.compile(r"[1-9][0-9]{0,17}")

_EXPECTED = (
    "expected <name>/<version>/ with model.onnx and manifest.json, as `kerasfound export RUN --to models/` writes them"
)

Versions = Literal["latest", "all"] | Annotated[list[int], msgspec.Meta(min_length=1)]


class VersionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`<name>/serving.json`: which versions of a model are served, and which requests they receive.

    The file is read again whenever it changes. A new policy takes effect once every version that it names can be
    served; until then the previous policy stays.
    """

    versions: Versions = "latest"
    labels: dict[str, int] = {}
    """Names for versions; these versions are served too. Requests without a version go to `stable`, if it exists."""
    canary_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """The fraction of the requests without a version that go to `canary`."""

    def __post_init__(self) -> None:
        if CANARY in self.labels and STABLE not in self.labels:
            raise ValueError(f"a label {CANARY!r} needs a label {STABLE!r} too")
        if self.canary_share and CANARY not in self.labels:
            raise ValueError(f"a `canary_share` needs a label {CANARY!r}")

    @property
    def named(self) -> set[int]:
        """The versions that the policy names."""
        return {*self.labels.values(), *(self.versions if isinstance(self.versions, list) else [])}


class ServedModel(NamedTuple):
    """The loaded versions of one model, newest first, and the policy that selected them."""

    versions: dict[int, Model]
    policy: VersionPolicy


class VersionRecord(NamedTuple):
    """The result of loading one version folder."""

    fingerprint: tuple
    """Differs once a file of the folder changes."""
    model: Model | None
    """The loaded model; the previous one if the files that are there now are refused."""
    reason: str
    """Why the files are refused, or empty."""


class Snapshot(NamedTuple):
    """The state of the folder after one scan."""

    models: dict[str, ServedModel]
    refused: dict[tuple[str, str], str]
    unloaded: set[str]
    records: dict[Path, VersionRecord]


class VersionStatus(NamedTuple):
    """One line of the repository index: a version, or a whole model if `version` is empty."""

    name: str
    version: str
    ready: bool
    reason: str


class Repository:
    """All models of one folder.

    Args:
        folder: the folder of bundles.
        limits: bounds on requests.
        threads: where batches run.
        unloaded: a folder with an empty file for each model that a client unloaded; worker processes share it.
        versions: for models without a policy file: the newest version that loads, all versions, or the given ones.
        log: called with one line for each version that is loaded, removed or refused.
        precision: of the weights: float32, or int8 for the file with 8-bit weights.

    Raises:
        UserError: if nothing in the folder can be served.
    """

    def __init__(
        self,
        folder: str | Path,
        limits: Limits,
        threads: Executor,
        unloaded: str | Path,
        versions: Versions = "latest",
        log: Callable[[str], None] = lambda line: None,
        precision: model_loader.Precision = "float32",
    ):
        self.folder = Path(folder)
        self.threads = threads
        self.models: dict[str, ServedModel] = {}
        self.refused: dict[tuple[str, str], str] = {}
        """Reasons by name and version. An empty version stands for the whole model or its policy."""
        self.unloaded: set[str] = set()
        """Models that a client unloaded."""
        self._limits = limits
        self._unloaded_folder = Path(unloaded)
        self._default_policy = VersionPolicy(versions)
        self._log = log
        self._precision = precision
        self._records: dict[Path, VersionRecord] = {}
        self._started = False
        self._refreshing = threading.Lock()
        self.refresh()
        self._started = True
        if not self.models:
            reasons = list(self.refused.values())
            if len(reasons) == 1:
                raise UserError(reasons[0])
            if reasons:
                raise UserError(f"{folder}: none of its {len(reasons)} bundles can be served: {' '.join(reasons)}")
            raise UserError(f"{folder}: no bundle{_suggest_folder(self.folder)}; {_EXPECTED}.")

    # ------------------------------------------------------------------------------------------------- find models

    def get(self, name: str, version: str | None = None, label: str | None = None) -> Model:
        """Return a model by version or label; without both, the stable or canary version, or the newest."""
        versions, policy = self.get_versions(name)
        if version is not None:
            if not _VERSION.fullmatch(version) or int(version) not in versions:
                raise ClientError(404, f"model {name!r} has no version {version!r}; served: {_join(versions)}")
            return versions[int(version)]
        labels = {key: number for key, number in policy.labels.items() if number in versions}
        if label is not None:
            if label not in labels:
                raise ClientError(404, f"model {name!r} has no label {label!r}; served: {_join(labels) or 'none'}")
            return versions[labels[label]]
        chosen = CANARY if CANARY in labels and random.random() < policy.canary_share else STABLE
        return versions[labels.get(chosen, next(iter(versions)))]

    def select(self, **which: str) -> list[Model]:
        """Return one version if `which` has a version or label, all versions of one model, or all models."""
        if which.keys() - {"name"}:
            return [self.get(**which)]
        selected = [self.get_versions(**which)] if which else self.models.values()
        return [model for served in selected for model in served.versions.values()]

    def get_versions(self, name: str) -> ServedModel:
        """Return all versions of a model."""
        models = self.models  # read once: another thread may replace the dictionary
        if name not in models:
            raise ClientError(404, f"no model {name!r}; served: {_join(map(repr, sorted(models))) or 'none'}")
        return models[name]

    def index(self) -> list[VersionStatus]:
        """Return the status of every served or refused version, and of every unloaded model."""
        refused = dict(self.refused)
        ready = [
            VersionStatus(name, str(version), True, refused.pop((name, str(version)), ""))
            for name, served in self.models.items()
            for version in served.versions
        ]
        not_ready = [VersionStatus(name, version, False, reason) for (name, version), reason in refused.items()]
        unloaded = [VersionStatus(name, "", False, "unloaded") for name in sorted(self.unloaded)]
        return [*ready, *not_ready, *unloaded]

    # ----------------------------------------------------------------------------------------------- change models

    def refresh(self, retry: str = "") -> None:
        """Scan the folder: load new versions, drop removed ones. It may take long, but blocks no request.

        A new version is verified and warmed up before it receives requests; the previous one serves until then.

        Args:
            retry: a model whose refused versions are loaded again, although their files have not changed.
        """
        with self._refreshing:
            try:
                names = _model_names(self.folder)
                snapshot = Snapshot({}, {}, _file_names(self._unloaded_folder), {})
            except OSError as error:  # the folder is not available: keep the loaded models
                reason = f"{error.filename or self.folder}: {error.strerror}; {_EXPECTED}."
                refused = self.refused | {("", ""): reason}
                names, snapshot = [], Snapshot(self.models, refused, self.unloaded, self._records)
            for name in names:
                if name in snapshot.unloaded:
                    continue
                served = self._scan_model(name, snapshot, name == retry)
                if served.versions:
                    snapshot.models[name] = served
            self._log_changes(snapshot)
            self.models, self.refused, self.unloaded, self._records = snapshot

    def load(self, name: str) -> None:
        """Load a model again that was unloaded or refused.

        Raises:
            ClientError: if the model does not exist, or none of its versions can be served.
        """
        if name in _file_names(self._unloaded_folder):
            (self._unloaded_folder / name).unlink(missing_ok=True)
        self.refresh(retry=name)
        if name not in self.models:
            reasons = [reason for (model, _), reason in self.refused.items() if model == name]
            raise ClientError(400, " ".join(reasons) or f"no model {name!r} in the repository")

    def unload(self, name: str) -> None:
        """Stop serving a model until `load`."""
        self.get_versions(name)
        (self._unloaded_folder / name).touch()
        self.refresh()

    def _scan_model(self, name: str, snapshot: Snapshot, retry: bool) -> ServedModel:
        """Load the versions that the policy selects; add their records and the reasons of refusals to `snapshot`."""
        folder, before = self.folder / name, self.models.get(name, ServedModel({}, self._default_policy))
        try:
            paths = _version_folders(folder)
        except FileNotFoundError:
            return ServedModel({}, self._default_policy)
        except OSError as error:
            snapshot.refused[name, ""] = f"{folder}: cannot be read ({error.strerror})."
            snapshot.records.update(self._model_records(folder, retry))
            return before
        load = self._version_loader(name, paths, snapshot, retry)
        policy = self._read_policy(name, before.policy, snapshot)
        served = _select_versions(policy, paths, load)
        missing = policy.named - served.versions.keys()
        if missing and policy is not self._default_policy:
            reason = f"{folder / POLICY_FILE}: names version {_join(sorted(missing))}, which cannot be served"
            changed = before.versions and before.policy != policy
            previous = _select_versions(before.policy, paths, load) if changed else None
            if previous and previous.versions:
                reason += "; the previous policy stays in effect"
                served = previous
            snapshot.refused[name, ""] = reason + "."
        elif missing and paths and not served.versions:
            snapshot.refused[name, ""] = f"{folder}: has no version {_join(sorted(missing))}, but {_join(paths)}."
        return served

    def _model_records(self, folder: Path, retry: bool) -> dict[Path, VersionRecord]:
        """Return the records of one model; with `retry`, those of refused versions lose their fingerprint."""
        return {
            path: record._replace(fingerprint=()) if retry and record.reason else record
            for path, record in self._records.items()
            if path.parent == folder
        }

    def _version_loader(
        self, name: str, paths: dict[int, Path], snapshot: Snapshot, retry: bool
    ) -> Callable[[int], Model | None]:
        """Return a function that loads a version at most once per scan."""
        records = self._model_records(self.folder / name, retry)

        def load(version: int) -> Model | None:
            path = paths[version]
            if path not in snapshot.records:
                snapshot.records[path] = record = self._load_version(path, records.get(path))
                if record.reason:
                    snapshot.refused[name, path.name] = record.reason
            return snapshot.records[path].model

        return load

    def _read_policy(self, name: str, before: VersionPolicy, snapshot: Snapshot) -> VersionPolicy:
        path = self.folder / name / POLICY_FILE
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_POLICY_BYTES), type=VersionPolicy)
        except FileNotFoundError:
            return self._default_policy
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            snapshot.refused[name, ""] = f"{path}: {one_line(error)}; the previous policy stays in effect."
            return before

    def _load_version(self, path: Path, before: VersionRecord | None) -> VersionRecord:
        """Load a version folder, unless its files have not changed since the last scan."""
        fingerprint = model_loader.fingerprint(path)
        if before and before.fingerprint == fingerprint:
            return before
        try:
            model = model_loader.load_model(path, self._limits, self.threads, self._precision)
            return VersionRecord(fingerprint, model, "")
        except UserError as error:
            reason = str(error)
        except Exception as error:  # a bundle can be broken in unexpected ways; none may end the watch
            LOG.exception("%s cannot be opened", path)
            reason = f"{path}: cannot be opened ({type(error).__name__}: {one_line(error)})."
        if not (before and before.model):
            return VersionRecord(fingerprint, None, reason)
        return VersionRecord(fingerprint, before.model, f"{reason} The previously loaded version stays in service.")

    def _log_changes(self, snapshot: Snapshot) -> None:
        before, now = _served_versions(self.models), _served_versions(snapshot.models)
        for name, version in before | now:
            metrics.VERSIONS.labels(name, version).set((name, version) in now)
            metrics.QUEUE.labels(name).set(0)  # the next count sets the queues of the models that are served
        # if no model can be served at the start, an error with the reasons is raised instead
        for key, reason in snapshot.refused.items() if snapshot.models or self._started else ():
            if self.refused.get(key) != reason:
                self._log(f"refused: {reason}")
        for name, version in sorted(now - before if self._started else ()):
            self._log(f"serves {name} version {version}")
        for name, version in sorted(before - now):
            self._log(f"no longer serves {name} version {version}")

    def __str__(self) -> str:
        return ", ".join(
            f"{name} (version{'s' if len(served.versions) > 1 else ''} {_join(sorted(served.versions))})"
            for name, served in sorted(self.models.items())
        )


def _select_versions(policy: VersionPolicy, paths: dict[int, Path], load: Callable[[int], Model | None]) -> ServedModel:
    """Load the versions that the policy selects; leave out those that are missing or refused."""
    selected = {*policy.named}
    if policy.versions == "all":
        selected.update(paths)
    elif policy.versions == "latest":
        selected.update(version for version in [next(filter(load, paths), None)] if version)
    loaded = {version: load(version) for version in paths if version in selected}
    return ServedModel({version: model for version, model in loaded.items() if model}, policy)


def _join(versions: Iterable[int | str]) -> str:
    return ", ".join(map(str, versions))


def _served_versions(models: dict[str, ServedModel]) -> set[tuple[str, int]]:
    return {(name, version) for name, served in models.items() for version in served.versions}


def _model_names(folder: Path) -> list[str]:
    """Return the names of all models. Folders that start with a dot are incomplete exports."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())


def _suggest_folder(folder: Path) -> str:
    """Return a hint if `folder` is one model or one version instead of the folder of all models."""
    folder = folder.resolve()
    for parent, manifests in ((folder.parent, "*/manifest.json"), (folder.parent.parent, "manifest.json")):
        if any(folder.glob(manifests)):
            return f"; this folder is one model, serve {parent} instead"
    return ""


def _file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _version_folders(folder: Path) -> dict[int, Path]:
    """Return the version folders of a model, newest first."""
    folders = {int(path.name): path for path in folder.iterdir() if _VERSION.fullmatch(path.name) and path.is_dir()}
    return dict(sorted(folders.items(), reverse=True))
