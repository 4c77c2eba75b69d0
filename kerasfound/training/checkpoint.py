"""The complete training state after an epoch, in one file: `kerasfound resume` continues from it."""

from pathlib import Path

import keras
import numpy as np

from kerasfound.atomic import replacing
from kerasfound.errors import UserError


def save(model: keras.Model, path: Path, epoch: int) -> None:
    """Write weights, optimizer state and random state to `path`, atomically.

    Args:
        model: compiled.
        path: ends in `.npz`.
        epoch: the number of completed epochs.
    """
    arrays = {str(i): keras.ops.convert_to_numpy(variable) for i, variable in enumerate(_state(model))}
    with replacing(path) as part:
        np.savez(part, epoch=epoch, **arrays)


def restore(model: keras.Model, path: Path) -> int:
    """Load the state of a checkpoint into a model that was built and compiled in the same way.

    Returns:
        The number of completed epochs.

    Raises:
        UserError: if the file cannot be read, or belongs to another model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        state = _state(model)
        if [arrays[str(i)].shape for i in range(len(arrays) - 1)] != [tuple(variable.shape) for variable in state]:
            raise ValueError("its variables belong to another model")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: training cannot resume from this checkpoint ({error}); train the run again."
        ) from error
    for i, variable in enumerate(state):
        variable.assign(arrays[str(i)])
    return int(arrays["epoch"])


def _state(model: keras.Model) -> list[keras.Variable]:
    """The variables that training changes, in creation order. Metrics are left out: they are reset in every epoch."""
    model.optimizer.build(model.trainable_variables)
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics] + model.optimizer.variables
