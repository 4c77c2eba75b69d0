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


MAX_PIXELS_SENT = 1 << 24
"""Of all images that somebody sends at once."""


def read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels 0..255 of an image file, as `(height, width, channels)` = `shape`.

    Raises:
        UserError: if it is missing, is not an image, or has too many pixels.
    """
    with _opened(path, path) as image:
        return _scaled(image, shape)


def decode(files: Iterable[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """The same of the bytes of PNG or JPEG files, which may be anybody's, as `(files, height, width, channels)`.

    Raises:
        UserError: if one of them is not an image, or all together have too many pixels.
    """
    rows, pixels = [], 0
    for place, file in enumerate(files):
        name = f"image {place}"
        try:
            with _opened(name, io.BytesIO(file), ("PNG", "JPEG")) as image:
                pixels += image.width * image.height
                if pixels > MAX_PIXELS_SENT:
                    raise UserError(f"{name}: too many pixels; at most {MAX_PIXELS_SENT} are read at once.")
                rows.append(_scaled(image, shape))
        except (UserError, ImportError):
            raise
        except Exception as error:  # of a broken file Pillow raises what its parsers happen to
            raise UserError(f"{name}: not an image that can be read.") from error
    return np.stack(rows)


def _scaled(image: "Image.Image", shape: tuple[int, ...]) -> np.ndarray:
    height, width, channels = shape
    scaled = image.convert("L" if channels == 1 else "RGB").resize((width, height), resample=2)  # bilinear
    return np.asarray(scaled, "uint8").reshape(shape)


@contextlib.contextmanager
def _opened(
    name: Path | str, file: Path | io.BytesIO, formats: tuple[str, ...] | None = None
) -> Iterator["Image.Image"]:
    """An image file, its pixels not yet read; what goes wrong then and after is told as the user's mistake."""
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
        raise UserError(f"{name}: too many pixels; at most {MAX_PIXELS} are read.") from error
    except (OSError, SyntaxError) as error:
        raise UserError(f"{name}: not an image that can be read.") from error
