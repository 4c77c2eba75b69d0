"""Decoded images in a file of the cache, read when they are indexed: memory does not grow with their number."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from kerasfound.atomic import replacing
from kerasfound.errors import UserError
from kerasfound.preprocessing.pixels import read_head, read_image
from kerasfound.wording import counted

from . import cache
from .image_folders import CAMERA_FORMATS, Tell

VERSION = "1"
"""Increased when the pixels of a file change, so that no cache outlives the code that filled it."""
MIN_SIDE, MAX_SIDE, LARGEST_SIDE = 8, 64, 224
"""Bounds of the height and width that images are resized to: smallest, largest by default, largest."""
CHUNK = 512
"""Files that are decoded together."""
MAX_SHARE_OF_DISK = 0.5
"""The cache of decoded images takes at most this share of the disk space that it could have."""


class StoredImages:
    """Rows of a file of pixels, as an array that reads what is indexed. `np.asarray` reads all rows.

    Args:
        path: the file: all images, one after the other.
        stored: the shape of all images in the file.
        rows: the rows of the file that this array has, in its order.
    """

    dtype = np.dtype("uint8")

    def __init__(self, path: Path, stored: tuple[int, ...], rows: np.ndarray):
        self.file = path.open("rb")  # an open file outlives its removal from the cache
        self.stored = stored
        self.rows = rows

    def take(self, rows: np.ndarray) -> "StoredImages":
        """An array of some rows, which are not read yet."""
        return StoredImages(Path(self.file.name), self.stored, self.rows[rows])

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.stored[1:])

    @property
    def ndim(self) -> int:
        return len(self.stored)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple):
            first, *others = key
            return self[first][tuple(others) if np.isscalar(first) else (slice(None), *others)]
        # mapped anew for every read: pages of an earlier one would count as memory of this process
        return np.array(np.memmap(self.file, "uint8", "r", shape=self.stored)[self.rows[key]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


def store_images(files: list[Path], side: int | None, tell: Tell) -> tuple[StoredImages, dict[int, str]]:
    """Decode all files once, into a file of the cache; later calls for the same files read it.

    Args:
        files: image files.
        side: the height and width of the pixels. Defaults to the median size of the images, within 8 to 64.
        tell: called with a line that says where the pixels are.

    Returns:
        The images of the files that can be read, and the reason for each of the others, by its place in `files`.

    Raises:
        UserError: if no file can be read, or the disk has too little space.
    """
    place = cache.folder() / "images"
    pixels = place / f"{_key(files, side)}.pixels"
    index = pixels.with_suffix(".json")
    if not (index.exists() and pixels.exists()):
        heads = dict(_in_threads(read_head, files))
        shape = _common_shape([head for head in heads.values() if not isinstance(head, str)], side)
        unreadable = {i: head for i, head in heads.items() if isinstance(head, str)}
        try:
            _make_room(place, len(files) * int(np.prod(shape)))
            size = f"{shape[0]} x {shape[1]} pixels"
            tell(f"squeezed to {size}, whatever their proportions, and kept in {place}: {counted(len(files), 'image')}")
            with replacing(pixels) as part:
                unreadable |= _decode(files, shape, part, unreadable)
            index.write_text(json.dumps({"shape": shape, "unreadable": unreadable}))
        except OSError as error:
            raise UserError(
                f"{place}: the decoded images cannot be kept ({error.strerror}); set KERASFOUND_CACHE_DIR to a folder "
                "with free space."
            ) from error
    pixels.touch()  # the cache removes the images that were not used for the longest time
    content = json.loads(index.read_text())
    unreadable = {int(i): reason for i, reason in content["unreadable"].items()}
    rows = np.array([i for i in range(len(files)) if i not in unreadable], "int64")
    return StoredImages(pixels, (len(files), *content["shape"]), rows), unreadable


def _key(files: list[Path], side: int | None) -> str:
    """The name in the cache: different for other files, and for files that have changed."""
    digest = hashlib.sha256(f"{VERSION} {side}\n".encode())
    for file in files:
        status = file.stat()
        digest.update(f"{file.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _common_shape(heads: list[Any], side: int | None) -> tuple[int, int, int]:
    if not heads:
        raise UserError("no image can be read; give images in a format that Pillow reads, such as JPEG or PNG.")
    sizes = [(head.height, head.width) for head in heads]
    height, width = (int(size) for size in np.clip(np.median(sizes, axis=0), MIN_SIDE, MAX_SIDE))
    return side or height, side or width, 3 if any(head.color for head in heads) else 1


def _decode(files: list[Path], shape: tuple[int, ...], path: Path, skip: dict[int, str]) -> dict[int, str]:
    """Write the pixels of all files; zeros and a reason for a file that cannot be read."""
    unreadable = {}
    blank = np.zeros(shape, "uint8")
    with path.open("wb") as out:
        for i, image in _in_threads(lambda file: read_image(file, shape), files, skip):
            if isinstance(image, str):
                unreadable[i] = image
            out.write((blank if isinstance(image, str) else image).tobytes())
    return unreadable


def _in_threads(read: Any, files: list[Path], skip: dict[int, str] | None = None) -> Iterator[tuple[int, Any]]:
    """The result for each file in order; for a file that cannot be read, the reason as a text."""

    def try_to_read(i: int) -> Any:
        try:
            return (skip or {}).get(i) or read(files[i])
        except UserError as error:
            advice = "; convert it to JPEG" if files[i].suffix.lower() in CAMERA_FORMATS else ""
            return str(error).removeprefix(f"{files[i]}: ").rstrip(".") + advice

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), CHUNK):
            places = range(start, min(start + CHUNK, len(files)))
            yield from zip(places, pool.map(try_to_read, places), strict=True)


def _make_room(place: Path, needed: int) -> None:
    """Remove the oldest decoded images until the cache keeps its share of the disk.

    Raises:
        UserError: if the images need more than that.
    """
    place.mkdir(parents=True, exist_ok=True)
    kept = sorted(place.glob("*.pixels"), key=lambda file: file.stat().st_mtime)
    sizes = [file.stat().st_size for file in kept]
    room = int((shutil.disk_usage(place).free + sum(sizes)) * MAX_SHARE_OF_DISK)
    if needed > room:
        raise UserError(
            f"the decoded images take {needed / 1e9:,.1f} GB and {place} has room for {room / 1e9:,.1f} GB; use a "
            "smaller `image_size`, or set KERASFOUND_CACHE_DIR to a folder on a larger disk."
        )
    used = sum(sizes)
    for file, size in zip(kept, sizes, strict=True):
        if needed + used <= room:
            return
        file.with_suffix(".json").unlink(missing_ok=True)
        file.unlink()
        used -= size
