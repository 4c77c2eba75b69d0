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
from kerasfound.rounding import format_number

from . import checkpoint
from .run import Run


class InterruptHandler(keras.callbacks.Callback):
    """End the training after the current batch on Ctrl-C, and immediately on a second Ctrl-C.

    Python may raise KeyboardInterrupt inside a hook that TensorFlow or JAX calls from C, where it is sometimes lost.
    """

    def __enter__(self) -> "InterruptHandler":
        self.interrupted = False
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        if self.in_main_thread:
            self.previous_handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if self.in_main_thread:
            signal.signal(signal.SIGINT, self.previous_handler)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    def _interrupt(self, *_: object) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True


class CheckpointLogger(keras.callbacks.Callback):
    """Write a line of `metrics.jsonl` and a checkpoint after each epoch; end the training when patience runs out.

    Args:
        run: the run folder.
        patience: stop after this many epochs without a smaller validation loss, and keep a checkpoint of the best
            epoch. None: no epoch is the best.
    """

    def __init__(self, run: Run, patience: int | None):
        super().__init__()
        self.run = run
        self.patience = patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(row["loss"]):
            raise UserError(f"the loss became {row['loss']} in epoch {epoch + 1}; try a smaller `learning_rate`.")
        self.run.log({"epoch": epoch + 1, **row, "seconds": round(time.perf_counter() - self.started, 3)})
        if self.patience and self.run.best_epoch == epoch + 1:
            checkpoint.save(self.model, self.run.checkpoints / "best.npz", epoch + 1)
        checkpoint.save(self.model, self.run.checkpoints / "last.npz", epoch + 1)
        self.model.stop_training = self.is_out_of_patience()

    def is_out_of_patience(self) -> bool:
        epochs = len(self.run.history)
        if not self.patience or not epochs:
            return False
        return epochs - self.run.best_epoch >= self.patience


class ProgressBar(keras.callbacks.Callback):
    """A progress bar on a terminal, and a line of metrics after each epoch."""

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs
        self.console = Console(highlight=False, soft_wrap=True)
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = self.updated = time.perf_counter()
        self.task = self.progress.add_task(
            "", total=self.params["steps"], epoch=epoch + 1, epochs=self.epochs, metrics=""
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        if not self.progress.disable and now - self.updated > 0.1:  # reading a metric waits for the device
            self.updated = now
            self.progress.update(self.task, completed=batch + 1, metrics=_format_metrics(logs or {}))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.progress.remove_task(self.task)
        seconds = time.perf_counter() - self.started
        self.console.print(f"epoch {epoch + 1}/{self.epochs}  {_format_metrics(logs or {})}  {seconds:.1f} s")


def _format_metrics(logs: dict[str, Any]) -> str:
    return "  ".join(
        f"{name.replace('val_', 'validation ')} {format_number(float(value))}" for name, value in logs.items()
    )
