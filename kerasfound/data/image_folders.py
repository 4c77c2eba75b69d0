"""Folders of images as people have them: which files are images, and which class and split each belongs to."""

import collections
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kerasfound.errors import UserError
from kerasfound.preprocessing import pixels
from kerasfound.wording import counted

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of folders that hold a split, in any case."""
CAMERA_FORMATS = {
    ".heic", ".heif", ".jxl", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2",
}  # fmt: skip
"""Images that Pillow does not read. They are not ignored: a folder may have nothing else."""
DOCUMENTS = {".pdf", ".eps", ".ps", ".mpg", ".mpeg", ".h5", ".hdf", ".wmf", ".emf", ".grib", ".bufr"}
"""Suffixes that Pillow knows, of files that are not pictures for a classifier."""
SYSTEM_FILES = {"thumbs.db", "desktop.ini"}
"""Files that an operating system writes into every folder, in lower case. Names with a dot in front are others."""

Tell = Callable[[str], None]


class FoundImage(NamedTuple):
    """An image file.

    Args:
        path: the file.
        label: the name of its class.
        split: `"train"`, `"validation"` or `"test"` if a folder says so, otherwise empty.
    """

    path: Path
    label: str
    split: str


def find_images(folder: Path, tell: Tell) -> list[FoundImage]:
    """Find the images of a folder, in a fixed order.

    A folder for each class, with images at any depth, may lie in the folder itself or in folders `train`, `validation`
    (`val`, `valid`) and `test`; or each class has folders with these names.

    Args:
        folder: the folder. If it has a single folder and no images, that one is taken.
        tell: called with each line about what is ignored.

    Raises:
        UserError: if there are no folders of classes.
    """
    root = _only_folder_inside(folder)
    places = _places(root, tell)
    images, ignored = [], collections.Counter[str]()
    for place, label, split in places:
        files = _files_below(place)
        chosen = [file for file in files if _is_image(file)]
        images += [FoundImage(file, label, split) for file in chosen]
        ignored.update(file.suffix or file.name for file in set(files) - set(chosen))
        if not chosen:
            tell(f"{place.relative_to(root)} has no images and is ignored")
    loose = [file for file in _files(root) if _is_image(file)]
    if loose:
        tell(f"ignored outside the folders of the classes: {counted(len(loose), 'image')}, such as {loose[0].name}")
    if ignored:
        tell(f"ignored, not an image: {counted(ignored.total(), 'file')} ({', '.join(sorted(ignored)[:5])})")
    return images


def _places(root: Path, tell: Tell) -> list[tuple[Path, str, str]]:
    """The folders that hold the images of one class and split, with the class and the split."""
    folders = _folders(root)
    splits = {folder: SPLITS[folder.name.lower()] for folder in folders if folder.name.lower() in SPLITS}
    if {"train"} < set(splits.values()):
        return _places_by_split(splits, [folder for folder in folders if folder not in splits], tell)
    if folders and all(_are_splits(_folders(folder)) for folder in folders):
        return [(inner, folder.name, SPLITS[inner.name.lower()]) for folder in folders for inner in _folders(folder)]
    return [(folder, folder.name, "") for folder in folders]


def _places_by_split(splits: dict[Path, str], others: list[Path], tell: Tell) -> list[tuple[Path, str, str]]:
    if len(set(splits.values())) < len(splits):
        raise UserError(f"two folders hold the same split: {', '.join(folder.name for folder in splits)}; join them.")
    for folder in others:
        tell(f"the folder {folder.name} is ignored: it is not a split")
    places = []
    for folder, split in splits.items():
        classes = _folders(folder)
        places += [(place, place.name, split) for place in classes]
        if not classes and split == "train":
            raise UserError(f"{folder.name} has no folders; expected one for each class.")
        if not classes:
            tell(f"{folder.name} has no folders of classes and is ignored: its images have no labels")
    return places


def _are_splits(folders: list[Path]) -> bool:
    return "train" in {SPLITS.get(folder.name.lower()) for folder in folders} and all(
        folder.name.lower() in SPLITS for folder in folders
    )


def _only_folder_inside(folder: Path) -> Path:
    """The folder that holds those of the classes or splits: an unpacked archive often adds folders around it."""
    inside = _folders(folder)
    if len(inside) == 1 and _folders(inside[0]) and not any(map(_is_image, _files(folder))):
        return _only_folder_inside(inside[0])
    return folder


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not _is_hidden(path.name))


def _folders(folder: Path) -> list[Path]:
    return [path for path in _children(folder) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    return [path for path in _children(folder) if path.is_file()]


def _files_below(folder: Path) -> list[Path]:
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        files += [Path(place, name) for name in sorted(names) if not _is_hidden(name)]
    return files


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in SYSTEM_FILES


def _is_image(file: Path) -> bool:
    """By the suffix, so that a broken image is not taken for something else; by the content for unknown suffixes."""
    suffix = file.suffix.lower()
    if suffix in pixels.suffixes() | CAMERA_FORMATS:
        return suffix not in DOCUMENTS
    try:
        pixels.read_head(file)
    except UserError:
        return False
    return True
