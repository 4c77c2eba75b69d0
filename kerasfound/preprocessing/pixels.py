"""Image files as pixels 0..255 of a fixed size."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfound.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 50_000_000
"""Most pixels of one image."""
MAX_PIXELS_PER_CALL = 1 << 24
"""Most pixels of all images that are decoded in one call."""


def read_image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an image file as pixels 0..255 of `shape`, which is `(height, width, channels)`.

    Raises:
        UserError: if it is missing, is not an image, or has too many pixels.
    """
    with open_image(path, path) as image:
        return _resize(image, shape)


def decode_images(files: Iterable[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Decode PNG or JPEG files, which may be hostile, as pixels 0..255 of shape `(files, height, width, channels)`.

    Raises:
        UserError: if one of them is not an image, or all together have too many pixels.
    """
    rows, pixels = [], 0
    for place, file in enumerate(files):
        name = f"image {place}"
        try:
            with open_image(name, io.BytesIO(file), ("PNG", "JPEG")) as image:
                pixels += image.width * image.height
                if pixels > MAX_PIXELS_PER_CALL:
                    raise UserError(f"{name}: too many pixels; one call can have at most {MAX_PIXELS_PER_CALL}.")
                rows.append(_resize(image, shape))
        except (UserError, ImportError):
            raise
        except Exception as error:  # Pillow's parsers raise exceptions of any type for a broken file
            raise UserError(f"{name}: not an image that can be read.") from error
    return np.stack(rows)


@contextlib.contextmanager
def open_image(
    name: Path | str, file: Path | io.BytesIO, formats: tuple[str, ...] | None = None
) -> Iterator["Image.Image"]:
    """Open an image file without reading its pixels. Errors, also later ones, become a UserError with `name`."""
    from PIL import Image

    try:
        with Image.open(file, formats=formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except FileNotFoundError as error:
        raise UserError(f"{name}: no such file; give an image.") from error
    except IsADirectoryError as error:
        raise UserError(f"{name}: a folder; give image files.") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{name}: too many pixels; an image can have at most {MAX_PIXELS}.") from error
    except (OSError, SyntaxError) as error:
        raise UserError(f"{name}: not an image that can be read.") from error


def _resize(image: "Image.Image", shape: tuple[int, ...]) -> np.ndarray:
    height, width, channels = shape
    resized = image.convert("L" if channels == 1 else "RGB").resize((width, height), resample=2)  # bilinear
    return np.asarray(resized, "uint8").reshape(shape)
