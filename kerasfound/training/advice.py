"""What the learning curves of a run say, and what to try next."""

import math
from typing import Any

from kerasfound.bundle import Task
from kerasfound.wording import counted

RISE = 0.02
"""Overfitting: the validation loss rises by more than this share after the kept epoch."""
FALL = 0.02
"""Underfitting: the validation loss still falls by more than this share in the last fifth of the epochs."""
FEW_ROWS = 200
SOLVED = 0.99
"""Accuracy on the test rows from which on nothing is left to advise about the curves."""
INPUTS = {
    Task.IMAGE_CLASSIFICATION: "images",
    Task.TEXT_CLASSIFICATION: "texts",
    Task.TABULAR_CLASSIFICATION: "columns",
    Task.TABULAR_REGRESSION: "columns",
}
"""What may not tell the target. The characters of a text tell at least something about the next one."""
REGULARIZERS = ("dropout", "word_dropout", "shift")
SIZES = ("width", "units", "layers")


def advise(
    history: list[dict[str, float]],
    kept: int | None,
    settings: dict[str, Any],
    rows: dict[str, int],
    verdict: str,
    task: str,
    test: dict[str, float],
) -> list[str]:
    """Sentences about a finished run, the most important first.

    Args:
        history: the metrics of each epoch.
        kept: the epoch whose weights the model has; None for a moving average.
        settings: of the run, which name the flags that it has.
        rows: the number of rows of each split.
        verdict: in which metrics the model is not better than its baseline; empty if it is better in all of them.
        task: of the run.
        test: the metrics on the test rows.

    Example:
        >>> history = [{"loss": 1 / e, "val_loss": 0.5 + 0.1 * abs(e - 3)} for e in range(1, 9)]
        >>> rows = {"train": 900, "validation": 300, "test": 300}
        >>> for sentence in advise(history, 3, {"dropout": 0.1}, rows, "", "text_classification", {"accuracy": 0.9}):
        ...     print(sentence)
        After epoch 3 the training loss falls and the validation loss rises: the model begins to memorize the training \
rows (overfitting). The weights of epoch 3 are kept. Try more training rows or a larger --dropout.
    """
    sentences = [_about_baseline(verdict, task)] if verdict else []
    if test.get("accuracy", 0) >= SOLVED:
        return sentences + _about_rows(rows)
    if kept and overfits(history, kept):
        sentences.append(
            f"After epoch {kept} the training loss falls and the validation loss rises: the model begins to memorize "
            f"the training rows (overfitting). The weights of epoch {kept} are kept. Try more training rows"
            f"{_options('a larger', REGULARIZERS, settings)}{_options('a smaller', SIZES, settings)}."
        )
    elif underfits(history) and not verdict:
        sentences.append(
            "The validation loss still falls at the end: the model has not learned all that it can (underfitting). Try "
            f"more --epochs{_options('a larger', SIZES, settings)}."
        )
    return sentences + _about_rows(rows)


def _about_baseline(verdict: str, task: str) -> str:
    if task not in INPUTS:
        return f"The model is {verdict}. Try more --epochs, another --learning-rate or more training rows."
    return (
        f"The model is {verdict}. The {INPUTS[Task(task)]} may not tell the target: look at some of them beside their "
        "targets. If they do, try another --learning-rate or more training rows."
    )


def overfits(history: list[dict[str, float]], kept: int) -> bool:
    """Whether the validation loss rises after the kept epoch, while the training loss falls."""
    best, last = history[kept - 1], history[-1]
    rises = last["val_loss"] > best["val_loss"] + RISE * abs(best["val_loss"])
    return rises and last["loss"] < best["loss"]


def underfits(history: list[dict[str, float]]) -> bool:
    """Whether both losses still fall at the end."""
    before, last = history[-1 - math.ceil(len(history) / 5)] if len(history) > 1 else history[-1], history[-1]
    return before["val_loss"] - last["val_loss"] > FALL * abs(before["val_loss"]) and last["loss"] < before["loss"]


def _options(how: str, names: tuple[str, ...], settings: dict[str, Any]) -> str:
    """The flag of the first of these settings that the run has."""
    return next((f" or {how} --{name.replace('_', '-')}" for name in names if name in settings), "")


def _about_rows(rows: dict[str, int]) -> list[str]:
    few = [counted(rows[split], f"{split} row") for split in ("validation", "test") if rows[split] < FEW_ROWS]
    if not few:
        return []
    effect = {"validation": "the choice of the epoch", "test": "every score"}
    uncertain = " and ".join(effect[split] for split in ("validation", "test") if rows[split] < FEW_ROWS)
    return [f"There are only {' and '.join(few)}, so {uncertain} depends on chance; compare several values of --seed."]
