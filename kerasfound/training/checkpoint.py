"""All that a training has come to after an epoch, in one file: what `kerasfound resume` goes on from."""

from pathlib import Path

import keras
import numpy as np

from kerasfound.errors import UserError


def save(model: keras.Model, path: Path, epoch: int) -> None:
    """Write weights, optimizer and random state beside `path`, then rename: `path` is whole or as it was.

    Args:
        model: compiled.
        path: ends in `.npz`.
        epoch: how many are done.
    """
    arrays = {str(i): keras.ops.convert_to_numpy(variable) for i, variable in enumerate(_state(model))}
    part = path.with_name(f"part-{path.name}")
    np.savez(part, epoch=epoch, **arrays)
    part.replace(path)


def restore(model: keras.Model, path: Path) -> int:
    """Put a checkpoint's state into a model that was built and compiled in the same way.

    Returns:
        How many epochs are done.

    Raises:
        UserError: if the file cannot be read, or is of another model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        state = _state(model)
        if [arrays[str(i)].shape for i in range(len(arrays) - 1)] != [tuple(variable.shape) for variable in state]:
            raise ValueError("it holds another model's variables")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be resumed from ({error}); train the run again.") from error
    for i, variable in enumerate(state):
        variable.assign(arrays[str(i)])
    return int(arrays["epoch"])


def _state(model: keras.Model) -> list[keras.Variable]:
    """What training changes, in the order of its making; metrics start anew in every epoch."""
    model.optimizer.build(model.trainable_variables)
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics] + model.optimizer.variables
