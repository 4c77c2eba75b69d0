"""Keras callbacks of every run: log and checkpoint, progress bar, Ctrl-C."""

import math
import signal
import threading
import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasfound.errors import UserError

from . import checkpoint
from .run import Run


class InterruptHandler(keras.callbacks.Callback):
    """Ctrl-C ends the training after the batch under way; a second one at once.

    Raised where it comes, it is lost now and then in a hook that TensorFlow or JAX calls from C.
    """

    def __enter__(self) -> "InterruptHandler":
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


class CheckpointLogger(keras.callbacks.Callback):
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


class ProgressBar(keras.callbacks.Callback):
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
