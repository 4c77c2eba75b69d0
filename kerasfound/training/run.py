"""The run folder: all files of one training run. Only this module knows their names."""

import datetime
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import numpy as np
import yaml

from kerasfound.atomic import remove_parts, replacing
from kerasfound.bundle import Schema, Task
from kerasfound.bundle.manifest import Baseline
from kerasfound.data import Dataset
from kerasfound.errors import UserError, one_line

from .config import Config
from .decisions import Decisions

if TYPE_CHECKING:
    import keras
    from tokenizers import Tokenizer

PACKAGES = ("kerasfound", "keras", "tensorflow", "jax", "torch", "numpy")


class Run:
    """The folder of one training run.

    `model.keras` is written last and atomically: a run without it is not finished.
    """

    def __init__(self, folder: Path, recipe: str):
        self.folder = folder
        self.recipe = recipe
        self.assets = folder / "assets"
        self.plots = folder / "plots"
        self.checkpoints = folder / "checkpoints"
        self.model_file = folder / "model.keras"
        self.report_file = folder / "report.html"
        self._metrics = folder / "metrics.jsonl"
        self._results = folder / "results.json"
        self._environment = folder / "environment.json"
        self._samples = self.assets / "samples.npz"
        self.tokenizer_file = self.assets / "tokenizer.json"

    @classmethod
    def create(cls, recipe: str, config: Config) -> Self:
        """A new run of `recipe`, at `config.out` or named by the time. `start` creates its folder."""
        folder = Path(config.out) if config.out else _named_by_time(Path("runs") / recipe)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"`out` {folder}: exists already and is not an empty folder; name a new folder.")
        return cls(folder, recipe)

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The finished run in `folder`."""
        run = cls._existing(folder)
        if not run.finished:
            raise UserError(f"{folder}: this run was not finished (it has no model.keras); {run._next_step()}.")
        return run

    @classmethod
    def reopen(cls, folder: str | Path) -> Self:
        """The stopped run in `folder`, to continue it."""
        run = cls._existing(folder)
        if run.finished:
            raise UserError(f"{folder}: this run is finished; `kerasfound run` starts a new one.")
        if not run.resumable:
            raise UserError(f"{folder}: this run cannot be resumed (it has no checkpoint); train it again.")
        return run

    @classmethod
    def _existing(cls, folder: str | Path) -> Self:
        folder = Path(folder)
        if folder.is_symlink():  # runs/<recipe>/latest
            folder = folder.parent / folder.readlink()
        run = cls(folder, recipe="")
        if not run.folder.is_dir():
            problem = "not a folder" if run.folder.exists() else "no such folder"
            raise UserError(f"{folder}: {problem}; give a run folder of `kerasfound run`.")
        if not (run.folder / "config.yaml").is_file() or not run._environment.is_file():
            raise UserError(f"{folder}: not a run folder (config.yaml or environment.json is missing).")
        run.recipe = run.environment["recipe"]
        return run

    @property
    def finished(self) -> bool:
        return self.model_file.is_file()

    @property
    def resumable(self) -> bool:
        return (self.checkpoints / "last.npz").is_file()

    def _next_step(self) -> str:
        return f"continue with `kerasfound resume {self.folder}`" if self.resumable else "train it again"

    @property
    def settings(self) -> dict[str, Any]:
        return _read(self.folder / "config.yaml", _yaml)

    @property
    def schema(self) -> Schema:
        return _read(self.assets / "schema.json", Schema.load)

    @property
    def environment(self) -> dict[str, Any]:
        return _read(self._environment, _json)

    @property
    def history(self) -> list[dict[str, float]]:
        """The metrics of each epoch."""
        if not self._metrics.exists():
            return []
        return [json.loads(line) for line in self._metrics.read_text().splitlines()]

    @property
    def best_epoch(self) -> int:
        """The epoch with the smallest validation loss, the first of several. NaN is larger than any number."""
        losses = [row["val_loss"] for row in self.history]
        return 1 + min(range(len(losses)), key=lambda i: (math.isnan(losses[i]), losses[i]))

    @property
    def results(self) -> dict[str, Any]:
        """The test metrics, the times in seconds and the number of parameters, measured once at the end."""
        return _read(self._results, _json)

    @property
    def baseline(self) -> Baseline | None:
        """What is reached without a model; None for runs of earlier versions."""
        measured = self.results.get("baseline")
        return measured and msgspec.convert(measured, Baseline)

    @property
    def decisions(self) -> Decisions | None:
        """The thresholds of a model with two classes."""
        measured = self.results.get("decisions")
        return measured and msgspec.convert(measured, Decisions)

    @property
    def samples(self) -> dict[str, np.ndarray]:
        """Test inputs `x`, their targets `y`, and the model's `prediction` from the process of the training."""
        with np.load(self._samples, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    @property
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer, learned from the training texts."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.tokenizer_file))

    def start(self, dataset: Dataset, config: Config) -> None:
        """Create the folder and record everything that influences the results: settings, versions, device, seed, data.

        A resumed run has its folder and its records already; its data must be the same.
        """
        import keras

        _check_classes(config, dataset.schema)
        if self.resumable:
            if self.environment["data"]["sha256"] != dataset.sha256:
                raise UserError(
                    f"{self.folder}: cannot be resumed: the data has changed since the run started (different sha256)."
                )
            remove_parts(self.folder)
            return
        try:
            for part in (self.assets, self.plots, self.checkpoints):
                part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"`out` {self.folder}: cannot be created ({error.strerror}); name another folder."
            ) from error
        (self.folder / "config.yaml").write_text(config.to_yaml())
        dataset.schema.save(self.assets / "schema.json")
        _write_json(
            self._environment,
            {
                "recipe": self.recipe,
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "backend": keras.backend.backend(),
                "devices": devices(),
                "seed": config.seed,
                "data": {
                    "name": dataset.name,
                    "source": dataset.source,
                    "sha256": dataset.sha256,
                    "rows": {s: len(getattr(dataset, s).y) for s in ("train", "validation", "test")},
                },
                "versions": versions(PACKAGES),
                "python": platform.python_version(),
                "platform": platform.platform(),
                "cpus": os.cpu_count(),
            },
        )

    def drop_rows_after(self, epoch: int) -> None:
        """Drop the log rows of epochs whose checkpoint was not written."""
        rows = [row for row in self.history if row["epoch"] <= epoch]
        with replacing(self._metrics) as part:
            part.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def log(self, row: dict[str, float]) -> None:
        with self._metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def save_tokenizer(self, tokenizer: "Tokenizer") -> None:
        tokenizer.save(str(self.tokenizer_file))

    def save_results(self, results: dict[str, Any]) -> None:
        _write_json(self._results, results)

    def save_samples(self, x: np.ndarray, y: np.ndarray, prediction: np.ndarray) -> None:
        np.savez(self._samples, x=x, y=y, prediction=prediction)

    def save_model(self, model: "keras.Model") -> None:
        with replacing(self.model_file) as part:
            model.save(part)

    def mark_latest(self) -> None:
        """Let `latest`, a link next to a folder that is named by its time, name this run."""
        if self.settings["out"]:
            return
        link = self.folder.parent / "latest"
        with replacing(link) as part:
            part.symlink_to(self.folder.name)

    def load_model(self) -> "keras.Model":
        """The trained model, for inference."""
        from kerasfound import saving

        try:
            return saving.load_model(self.model_file, compile=False)
        except (OSError, ValueError, TypeError) as error:
            reason = one_line(error, max_characters=300)
            raise UserError(f"{self.model_file}: cannot be loaded ({reason}); train the run again.") from error


def _check_classes(config: Config, schema: Schema) -> None:
    """Settings about classes need classes."""
    task = schema.task.replace("_", " ")
    classes = 0 if schema.task == Task.TEXT_GENERATION else len(schema.labels)
    if config.class_weight and not classes:
        raise UserError(f"`class_weight` is for classification; this run's task is {task}.")
    if config.false_negative_cost and classes != 2:
        what = f"{task} with {classes} classes" if classes else task
        raise UserError(f"`false_negative_cost` is for two classes; this run's task is {what}.")


def devices() -> list[str]:
    """The devices of the Keras backend, such as `cpu:0`."""
    import keras

    if keras.backend.backend() != "torch":
        return keras.distribution.list_devices()
    import torch  # Keras has no list of its devices

    return [f"cuda:{i}" for i in range(torch.cuda.device_count())] or ["cpu:0"]


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The version of each package that is installed."""
    installed = {}
    for package in packages:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def _named_by_time(parent: Path) -> Path:
    stem = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    folder, number = parent / stem, 1
    while folder.exists():
        number += 1
        folder = parent / f"{stem}_{number}"
    return folder


def _read(path: Path, load: Callable[[Path], Any]) -> Any:
    try:
        return load(path)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path}: missing or damaged; restore the run folder from a copy, or train it again."
        ) from error


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
