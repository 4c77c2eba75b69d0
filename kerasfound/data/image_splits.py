"""The splits of a folder of images, and what is said of classes with few images."""

import numpy as np

from kerasfound.errors import UserError
from kerasfound.wording import enumerate_some

from .image_folders import Tell

SHARES = {"validation": 0.1, "test": 0.2}
"""The shares of a split that no folder holds."""
FEW = 10
"""A class with fewer training images is named."""


def split_images(y: np.ndarray, given: list[str]) -> dict[str, np.ndarray]:
    """The rows of each split: as given, and a split that is not given from the training rows.

    Args:
        y: the class of each row.
        given: the split of each row, or an empty text.

    Example:
        >>> splits = split_images(np.zeros(10), ["train"] * 9 + ["test"])
        >>> {name: len(rows) for name, rows in splits.items()}
        {'train': 8, 'validation': 1, 'test': 1}
    """
    names = np.array(given)
    rows = {name: np.flatnonzero(names == name) for name in ("train", *SHARES)}
    missing = {name: share for name, share in SHARES.items() if not len(rows[name])}
    rng = np.random.default_rng(0)
    whole = rng.permutation(np.flatnonzero((names == "train") | (names == "")))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("train", *missing)}
    for label in np.unique(y[whole]):
        of_class = whole[y[whole] == label]
        for name, share in missing.items():
            count = max(1, round(share * np.sum(y[whole] == label)))
            parts[name].append(of_class[:count])
            of_class = of_class[count:]
        parts["train"].append(of_class)
    return rows | {name: np.sort(np.concatenate(part)) for name, part in parts.items()}


def check_classes(y: np.ndarray, splits: dict[str, np.ndarray], labels: list[str], data: str, tell: Tell) -> None:
    """Refuse a class without a training image; name classes that have few or are missing in another split.

    Args:
        y: the class of each row.
        splits: the rows of each split.
        labels: the names of the classes.
        data: the start of an error message.
        tell: called with each line about classes with few images.

    Raises:
        UserError: if a class has too few images.
    """
    counts = {name: np.bincount(y[rows], minlength=len(labels)) for name, rows in splits.items()}
    total = np.bincount(y, minlength=len(labels))
    too_few = [f"{labels[i]} has {total[i]}" for i in np.flatnonzero(counts["train"] == 0)]
    if too_few:
        raise UserError(
            f"{data}: too few images: {enumerate_some(too_few)}; each class needs three, one for each split."
        )
    for name in SHARES:
        without = [labels[i] for i in np.flatnonzero(counts[name] == 0)]
        if without:
            tell(f"{name} has no images of {enumerate_some(without)}")
    few = [f"{labels[i]} ({counts['train'][i]})" for i in np.flatnonzero(counts["train"] < FEW)]
    if few:
        tell(f"fewer than {FEW} training images of {enumerate_some(few)}")
