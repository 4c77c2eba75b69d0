"""What is explained: the model of a run, or a model alone, with its inputs read from the user's files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kerasfound.bundle import Task
from kerasfound.errors import UserError
from kerasfound.preprocessing import pixels
from kerasfound.training import Run
from kerasfound.training.prediction import files_in
from kerasfound.training.tasks import TASKS

from .explained_output import fitting, inputs_of

TEST_ROWS = 3
"""Test rows of a run that are explained without other inputs."""


@dataclass(frozen=True)
class Subject:
    """A model with the names of its classes; of a run also its schema and its data.

    Args:
        name: of the run folder or the model file.
        model: a Keras model.
        labels: the names of the classes, if they are known.
        run: the run that trained the model, if there is one.
    """

    name: str
    model: keras.Model
    labels: tuple[str, ...] = ()
    run: Run | None = None

    @classmethod
    def of_run(cls, run: Run) -> "Subject":
        """The model of a finished run."""
        return cls(str(run.folder), run.load_model(), run.schema.labels, run)

    @property
    def task(self) -> Task | None:
        """The task of the run. A model alone is an image classifier if its inputs are images."""
        if self.run:
            return self.run.schema.task
        inputs = inputs_of(self.model)
        is_image = len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].shape[-1] in (1, 3)
        return Task.IMAGE_CLASSIFICATION if is_image else None

    def read(self, files: list[Path], texts: Sequence[str] = ()) -> tuple[list[str], np.ndarray]:
        """Names and rows of the user's files and texts, as `kerasfound predict` reads them.

        A model alone reads images, and arrays in .npy files. A run without files and texts reads its first test rows.

        Raises:
            UserError: if there is no input, or an input cannot be read or does not fit the model.
        """
        arrays = [file for file in files if file.suffix == ".npy"]
        if arrays:
            return self._read_arrays(files)
        if self.run is None:
            return self._read_images(files, texts)
        if self.run.schema.task == Task.TEXT_GENERATION and texts:
            return self._read_prompts(texts)
        if not files and not texts:
            x = self.run.samples["x"][:TEST_ROWS]
            return [f"test row {row}" for row in range(1, len(x) + 1)], x
        task = TASKS[self.run.schema.task]
        if task.read_inputs is None:
            raise UserError(f"{self.run.folder}: a language model; give a prompt with `text`.")
        found = files_in(files, task.suffixes())
        return task.read_inputs(self.run, found, texts, set(found) - set(files))

    def label(self, target: str | None) -> int | None:
        """The number of a class, from its name or its number.

        Raises:
            UserError: if there is no such class.
        """
        if target is None or target in self.labels:
            return None if target is None else self.labels.index(target)
        if not self.labels and target.isdecimal():
            return int(target)
        choices = f"choose {', '.join(self.labels[:20])}" if self.labels else "give the number of an output, from 0"
        raise UserError(f"`target` {target}: the model has no such class; {choices}.")

    def _read_prompts(self, texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Prompts of a language model, cut to the same length at their beginning."""
        length = min(len(text) for text in texts)
        if not length:
            raise UserError("`text`: the text is empty.")
        unknown = sorted({character for text in texts for character in text} - set(self.labels))
        if unknown:
            raise UserError(f"`text`: the model does not know the character {unknown[0]!r}.")
        return list(texts), np.array([[self.labels.index(c) for c in text[-length:]] for text in texts])

    def _read_images(self, files: list[Path], texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
        if self.task is None or texts:
            raise UserError(
                f"{self.name}: a model alone reads images, or any rows from a .npy file; for texts and tables give the "
                "run folder, which knows how they are encoded."
            )
        if not files:
            raise UserError("no input given; name one or more images after the model.")
        shape = inputs_of(self.model)[0].shape[1:]
        if None in shape:
            raise UserError(f"{self.name}: the size of its images is not fixed; give them as pixels in a .npy file.")
        found = files_in(files, pixels.suffixes())
        return [str(file) for file in found], np.stack([pixels.read_image(file, shape) for file in found])

    def _read_arrays(self, files: list[Path]) -> tuple[list[str], np.ndarray]:
        names, parts = [], []
        for file in files:
            try:
                rows = fitting(self.model, np.load(file, allow_pickle=False))
            except FileNotFoundError as error:
                raise UserError(f"{file}: no such file; give rows of the model's input.") from error
            except (OSError, ValueError) as error:
                reason = error if isinstance(error, UserError) else "not an array that can be read"
                raise UserError(f"{file}: {reason}") from error
            names += [f"{file}:{row}" for row in range(1, len(rows) + 1)]
            parts.append(rows)
        return names, np.concatenate(parts)
