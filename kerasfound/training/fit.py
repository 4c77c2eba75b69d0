"""`fit`: Keras's own, fed with shuffled batches, with progress for people and lines for files."""

import ctypes
import platform

import keras

from kerasfound.data import Split

from . import checkpoint
from .callbacks import CheckpointLogger, InterruptHandler, ProgressBar
from .config import Config
from .loaders import Batches, Rows
from .run import Run

# of malloc.h: how many blocks are maps of their own, and from how many free bytes on some are given back
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1


def fit(model: keras.Model, batches: Batches, validation: Split, run: Run, config: Config) -> None:
    """Train for `config.epochs`; after each one log its numbers to the run folder and checkpoint the whole state.

    Where the run folder has a checkpoint already, training goes on after its epoch, as if it had never stopped.
    With `config.patience` the weights end up as they were after the epoch with the smallest validation loss.

    Args:
        model: compiled.
        batches: what the weights are fitted to.
        validation: measured after each epoch.
        run: receives `metrics.jsonl` and `checkpoints/`.
        config: tells `epochs`, `patience` and `tensorboard`.

    Raises:
        UserError: if the loss is not finite any more, or the checkpoint is of another model.
    """
    assert config.epochs is not None, "a recipe settles this before it trains"
    keep_freed_memory()
    last, best = run.checkpoints / "last.npz", run.checkpoints / "best.npz"
    done = checkpoint.restore(model, last) if last.exists() else 0
    run.forget_after(done)
    batches.begin(done)
    logger, bar = CheckpointLogger(run, config.patience), ProgressBar(config.epochs)
    callbacks = [logger, bar]
    if config.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(run.folder / "tensorboard"))
    if not logger.out_of_patience():
        with bar.progress, InterruptHandler() as ctrl_c:
            model.fit(
                batches,
                epochs=config.epochs,
                initial_epoch=done,
                shuffle=False,  # Batches does, so that the order can be repeated
                validation_data=Rows(*validation),
                callbacks=[*callbacks, ctrl_c],
                verbose=0,
            )
    if config.patience:
        checkpoint.restore(model, best)


def keep_freed_memory() -> None:
    """Have the C library keep what one step frees for the next.

    Large blocks it gives back at once, and the kernel then clears thousands of pages anew in every step.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
