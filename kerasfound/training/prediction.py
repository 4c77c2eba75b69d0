"""Raw things in, labels out: what a finished run answers to files of the user's own."""

import dataclasses
from pathlib import Path

import numpy as np

from kerasfound.data import Schema, images
from kerasfound.errors import UserError
from kerasfound.training import evaluation
from kerasfound.training.run import Run


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answer to one input: the likeliest label first, every label's probability beside it."""

    input: str
    label: str
    probability: float
    probabilities: dict[str, float]


def predict(run: Run, files: list[Path]) -> list[Prediction]:
    """What a finished run says of image files.

    Args:
        run: an opened run folder, of a classifier of images.
        files: images in any format that Pillow reads, scaled to the model's size; light on dark, as the data is.

    Raises:
        UserError: if no file is given, or one is missing or not an image; it is named.
    """
    if run.schema.task == "text_generation":
        raise UserError(f"{run.folder}: a language model; `kerasfound generate` writes with it.")
    if not files:
        raise UserError("no image given; name one or more files after the run folder.")
    schema = run.schema
    x = np.stack([images.read(file, schema.shape) for file in files])
    rows = evaluation.answers(run.load_model(), x)
    return [_prediction(str(file), schema, row) for file, row in zip(files, rows, strict=True)]


def _prediction(file: str, schema: Schema, row: np.ndarray) -> Prediction:
    best = int(row.argmax())
    probabilities = {label: round(float(p), 6) for label, p in zip(schema.labels, row, strict=True)}
    return Prediction(file, schema.labels[best], float(row[best]), probabilities)
