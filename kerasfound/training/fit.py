"""`fit`: `keras.Model.fit` with shuffled batches, a progress bar, a log file and checkpoints."""

import ctypes
import platform

import keras

from kerasfound.data import Split

from . import checkpoint
from .callbacks import CheckpointLogger, InterruptHandler, ProgressBar
from .config import Config
from .loaders import OrderedBatches, ShuffledBatches
from .run import Run

# Constants of malloc.h: the largest number of blocks with their own memory map, and the number of free bytes above
# which memory is returned to the system.
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1


def fit(model: keras.Model, batches: ShuffledBatches, validation: Split, run: Run, config: Config) -> None:
    """Train for `config.epochs` epochs. After each epoch, log its metrics and save a checkpoint in the run folder.

    If the run folder has a checkpoint, training continues after its epoch with the same results as without a stop.
    With `config.patience`, the final weights are those of the epoch with the smallest validation loss.

    Args:
        model: compiled.
        batches: the training rows.
        validation: the rows for the metrics after each epoch.
        run: its folder receives `metrics.jsonl` and `checkpoints/`.
        config: `epochs`, `patience` and `tensorboard` are used.

    Raises:
        UserError: if the loss is no longer finite, or the checkpoint belongs to another model.
    """
    assert config.epochs is not None, "a recipe sets the number of epochs before it trains"
    keep_freed_memory()
    last, best = run.checkpoints / "last.npz", run.checkpoints / "best.npz"
    epochs_done = checkpoint.restore(model, last) if last.exists() else 0
    run.drop_rows_after(epochs_done)
    batches.begin(epochs_done)
    logger, bar = CheckpointLogger(run, config.patience), ProgressBar(config.epochs)
    callbacks = [logger, bar]
    if config.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(run.folder / "tensorboard"))
    if not logger.is_out_of_patience():
        with bar.progress, InterruptHandler() as ctrl_c:
            model.fit(
                batches,
                epochs=config.epochs,
                initial_epoch=epochs_done,
                shuffle=False,  # ShuffledBatches shuffles, in an order that can be repeated
                validation_data=OrderedBatches(*validation),
                callbacks=[*callbacks, ctrl_c],
                verbose=0,
            )
    if config.patience:
        checkpoint.restore(model, best)


def keep_freed_memory() -> None:
    """Let the C library reuse the memory that a training step frees.

    By default it returns large blocks to the system, and the kernel clears thousands of new pages in every step.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
