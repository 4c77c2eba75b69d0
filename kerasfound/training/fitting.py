"""`fit`: Keras's own, fed with shuffled batches, with progress for people and lines for files."""

import ctypes
import math
import platform
import signal
import threading
import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasfound.data import Split
from kerasfound.errors import UserError
from kerasfound.training import checkpoint
from kerasfound.training.batches import Batches, Rows
from kerasfound.training.config import Config
from kerasfound.training.run import Run

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
    journal, bar = Journal(run, config.patience), Bar(config.epochs)
    callbacks = [journal, bar]
    if config.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(run.folder / "tensorboard"))
    if not journal.out_of_patience():
        with bar.progress, CtrlC() as ctrl_c:
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


class CtrlC(keras.callbacks.Callback):
    """Ctrl-C ends the training after the batch under way; a second one at once.

    Raised where it comes, it is lost now and then in a hook that TensorFlow or JAX calls from C.
    """

    def __enter__(self) -> "CtrlC":
        self.asked = False
        self.main = threading.current_thread() is threading.main_thread()
        if self.main:
            self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self.main:
            signal.signal(signal.SIGINT, self.before)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.asked:
            raise KeyboardInterrupt

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Journal(keras.callbacks.Callback):
    """One line of `metrics.jsonl` and one checkpoint an epoch; ends the training when patience is over."""

    def __init__(self, run: Run, patience: int | None):
        super().__init__()
        self.run = run
        self.patience = patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(row["loss"]):
            raise UserError(f"the loss became {row['loss']} in epoch {epoch + 1}; try a smaller --learning-rate.")
        self.run.log({"epoch": epoch + 1, **row, "seconds": round(time.perf_counter() - self.began, 3)})
        if self.patience and self._best_epoch() == epoch + 1:
            checkpoint.save(self.model, self.run.checkpoints / "best.npz", epoch + 1)
        checkpoint.save(self.model, self.run.checkpoints / "last.npz", epoch + 1)
        self.model.stop_training = self.out_of_patience()

    def out_of_patience(self) -> bool:
        history = self.run.history
        if not self.patience or not history:
            return False
        return len(history) - self._best_epoch() >= self.patience

    def _best_epoch(self) -> int:
        return int(min(self.run.history, key=lambda row: row["val_loss"])["epoch"])


class Bar(keras.callbacks.Callback):
    """A progress bar on a terminal; elsewhere only the line that it leaves behind after an epoch."""

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs
        self.console = Console(highlight=False, soft_wrap=True)
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began = self.shown = time.perf_counter()
        self.task = self.progress.add_task(
            "", total=self.params["steps"], epoch=epoch + 1, epochs=self.epochs, numbers=""
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        if not self.progress.disable and now - self.shown > 0.1:  # reading a number waits for the device
            self.shown = now
            self.progress.update(self.task, completed=batch + 1, numbers=_numbers(logs or {}))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.progress.remove_task(self.task)
        seconds = time.perf_counter() - self.began
        self.console.print(f"epoch {epoch + 1}/{self.epochs}  {_numbers(logs or {})}  {seconds:.1f} s")


def _numbers(logs: dict[str, Any]) -> str:
    return "  ".join(f"{name.replace('val_', 'validation ')} {float(value):.4f}" for name, value in logs.items())
