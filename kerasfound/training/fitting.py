"""`fit`: Keras's own, fed with shuffled batches, with progress for people and lines for files."""

import math
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasfound.data import Split
from kerasfound.errors import UserError
from kerasfound.training.run import Run, save_whole

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Batches(keras.utils.PyDataset):
    """Batches of a split in an order that depends on the seed and the epoch alone.

    Every batch is whole: what is left over at the end of an epoch waits for the next one's shuffle.

    Args:
        split: the rows.
        batch_size: rows in a batch; a split with fewer is one batch.
        seed: with the epoch's number, seeds the order and the augmentation.
        augment: changes a batch's inputs at random, given a generator to do it with.

    Example:
        >>> rows = Split(np.arange(10), np.arange(10))
        >>> batches = Batches(rows, batch_size=4, seed=0)
        >>> len(batches), batches[0][0].shape
        (2, (4,))
    """

    def __init__(self, split: Split, batch_size: int, seed: int, augment: Augment | None = None):
        super().__init__()
        self.split = split
        self.batch_size = min(batch_size, len(split.y))
        self.seed = seed
        self.augment = augment
        self.epoch = 0
        self._shuffle()

    def __len__(self) -> int:
        return len(self.split.y) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        x = self.split.x[rows]
        if self.augment:
            x = self.augment(x, np.random.default_rng((self.seed, self.epoch, index)))
        return x, self.split.y[rows]

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._shuffle()

    def _shuffle(self) -> None:
        self.order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.split.y))


def fit(model: keras.Model, batches: Batches, validation: Split, epochs: int, run: Run) -> None:
    """Train for `epochs`; after each one log its numbers to the run folder and checkpoint the whole state.

    Args:
        model: compiled.
        batches: what the weights are fitted to.
        validation: measured after each epoch.
        epochs: passes over the batches.
        run: receives `metrics.jsonl` and `checkpoints/last.keras`.

    Raises:
        UserError: if the loss is not finite any more.
    """
    bar = Bar(epochs)
    with bar.progress, CtrlC() as ctrl_c:
        model.fit(
            batches,
            epochs=epochs,
            shuffle=False,  # Batches does, so that the order can be repeated
            validation_data=validation,
            validation_batch_size=500,
            callbacks=[Journal(run), bar, ctrl_c],
            verbose=0,
        )


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
    """One line of `metrics.jsonl` and one checkpoint, optimizer included, an epoch."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(row["loss"]):
            raise UserError(f"the loss became {row['loss']} in epoch {epoch + 1}; try a smaller --learning-rate.")
        self.run.log({"epoch": epoch + 1, **row, "seconds": round(time.perf_counter() - self.started, 3)})
        save_whole(self.model, self.run.checkpoints / "last.keras")


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
