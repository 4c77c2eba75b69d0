"""Predictions in a CSV or JSON file."""

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kerasfound.errors import UserError

if TYPE_CHECKING:
    from .prediction import ClassPrediction, ValuePrediction


def check_out(path: Path) -> None:
    """Refuse the name of a file that `write` cannot write, before the predictions are computed."""
    if path.suffix.lower() not in (".csv", ".json"):
        raise UserError(f"`out` {path}: must end in .csv or .json.")
    if not path.parent.is_dir():
        raise UserError(f"`out` {path}: the folder {path.parent} does not exist; create it first.")


def write(predictions: "Sequence[ClassPrediction | ValuePrediction]", path: Path) -> None:
    """Write predictions to a CSV file with a row for each, or to a JSON file with one list.

    A class prediction has the probability of every label, in CSV in columns named `probability of <label>`.

    Raises:
        UserError: if the file has another suffix or cannot be written.
    """
    check_out(path)
    rows = [dataclasses.asdict(prediction) for prediction in predictions]
    try:
        if path.suffix.lower() == ".json":
            path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            return
        for row in rows:
            row |= {f"probability of {label}": p for label, p in row.pop("probabilities", {}).items()}
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise UserError(f"`out` {path}: cannot be written ({error.strerror}); name another file.") from error
