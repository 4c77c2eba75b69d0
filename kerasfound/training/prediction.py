"""Predictions of a finished run for the user's own files and texts."""

import dataclasses
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from kerasfound.errors import UserError

from . import evaluation
from .run import Run
from .tasks import TASKS


@dataclasses.dataclass(frozen=True)
class ClassPrediction:
    """The predicted class of one input, with the probabilities of all classes."""

    input: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def __str__(self) -> str:
        return f"{self.input}  {self.label}  {self.probability:.1%}"


@dataclasses.dataclass(frozen=True)
class ValuePrediction:
    """The predicted value of one row of a table, in the units of the target."""

    input: str
    value: float

    def __str__(self) -> str:
        return f"{self.input}  {self.value:.7g}"


def predict(run: Run, files: list[Path], texts: Sequence[str] = ()) -> list[ClassPrediction] | list[ValuePrediction]:
    """Predict with a finished run, for files and texts of the user.

    Args:
        run: an opened run folder of a classifier or of a regression on a table.
        files: images in any format of Pillow, which are scaled to the model's size (light on dark, like the training
            data); CSV or Parquet tables with the columns of the run, one prediction for each row; text files, or CSV or
            Parquet tables with a column of texts; or folders of such files. Up to 5% of the files in
            folders, or one, may be unreadable, and texts in tables may be empty: the standard error names them.
        texts: texts, for a text classifier.

    Raises:
        UserError: if there is no input, or an input cannot be read. The message names the input.
    """
    read_inputs = TASKS[run.schema.task].read_inputs
    if read_inputs is None:
        raise UserError(f"{run.folder}: a language model; `kerasfound generate` continues a prompt with it.")
    found = files_in(files, TASKS[run.schema.task].suffixes())
    names, x = read_inputs(run, found, texts, set(found) - set(files))
    outputs = evaluation.predict_rows(run.load_model(), x)
    labels = run.schema.labels
    if not labels:
        return [ValuePrediction(name, float(value)) for name, value in zip(names, outputs[:, 0], strict=True)]
    return [_class_prediction(name, labels, row) for name, row in zip(names, outputs, strict=True)]


def files_in(paths: list[Path], suffixes: Collection[str]) -> list[Path]:
    """The paths, with the readable files in place of each folder.

    Args:
        paths: files and folders.
        suffixes: of the readable files, in lower case. Hidden files and other suffixes are left out.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        readable = {file: None for file in inside if file.suffix.lower() in suffixes}
        if not readable:
            shown = ", ".join(sorted(suffixes)[:12])
            raise UserError(f"{path}: no file in this folder ends in {shown}; name the files instead.")
        others = [file.name for file in inside if file not in readable]
        if others:
            more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
            print(f"{path}: left out {', '.join(others[:3])}{more}, which this run cannot read.", file=sys.stderr)
        files += readable
    return files


def _class_prediction(name: str, labels: tuple[str, ...], row: np.ndarray) -> ClassPrediction:
    best = int(row.argmax())
    probabilities = {label: round(float(p), 6) for label, p in zip(labels, row, strict=True)}
    return ClassPrediction(name, labels[best], float(row[best]), probabilities)
