"""`fit`: `keras.Model.fit` with shuffled batches, a progress bar, a log file and checkpoints."""

import ctypes
import math
import platform

import keras

from kerasfound.data import Split
from kerasfound.errors import UserError
from kerasfound.wording import counted

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
    The final weights are those of the epoch with the smallest validation loss, the first of several. Training stops
    after `config.patience` epochs without a smaller one. With `config.ema` all epochs are trained, and the final
    weights are the moving average.

    Args:
        model: compiled.
        batches: the training rows.
        validation: the rows for the metrics after each epoch.
        run: its folder receives `metrics.jsonl` and `checkpoints/`.
        config: `epochs`, `patience`, `ema`, `class_weight` and `tensorboard` are used.

    Raises:
        UserError: if the loss is no longer finite, the validation loss never is, or the checkpoint belongs to another
            model.
    """
    assert config.epochs is not None, "a recipe sets the number of epochs before it trains"
    patience = config.epochs_without_improvement()
    keep_freed_memory()
    last = run.checkpoints / "last.npz"
    epochs_done = checkpoint.restore(model, last) if last.exists() else 0
    run.drop_rows_after(epochs_done)
    batches.begin(epochs_done)
    if config.class_weight:
        batches.balance_classes(len(run.schema.labels))
    logger, bar = CheckpointLogger(run, patience), ProgressBar(config.epochs)
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
                validation_data=OrderedBatches(*batches.with_weights(*validation)),
                callbacks=[*callbacks, ctrl_c],
                verbose=0,
            )
    if patience:
        _keep_best_epoch(model, run, config.epochs)
    else:
        print(f"kept the moving average of the weights over {counted(config.epochs, 'epoch')}")


def _keep_best_epoch(model: keras.Model, run: Run, epochs: int) -> None:
    """Load the weights of the epoch with the smallest validation loss, and print which epoch it is."""
    history, best = run.history, run.best_epoch
    loss = history[best - 1]["val_loss"]
    if not math.isfinite(loss):
        raise UserError(
            f"the validation loss is {loss} in every epoch; look for values that are not finite in the validation "
            "rows, or try a smaller `learning_rate`."
        )
    checkpoint.restore(model, run.checkpoints / "best.npz")
    stopped = ""
    if len(history) < epochs:
        stopped = f"; stopped after epoch {len(history)} of {epochs}, {len(history) - best} without improvement"
    print(f"kept epoch {best}, with the smallest validation loss ({loss:.4f}){stopped}")


def keep_freed_memory() -> None:
    """Let the C library reuse the memory that a training step frees.

    By default it returns large blocks to the system, and the kernel clears thousands of new pages in every step.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
