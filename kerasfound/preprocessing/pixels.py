"""Image files as pixels 0..255 of a fixed size: the same function in training, prediction and serving.

What a viewer shows is what the model receives:

- the image is turned upright, as its EXIF orientation says;
- transparent parts lie on a white ground;
- 16-bit and 32-bit integers are scaled from the range of the file's format, floats from 0..1 or from 0..255;
- of an animation or a file with several pages, the first image is read;
- the whole image is resized to the model's height and width; other proportions are stretched or squeezed.
"""

import contextlib
import functools
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kerasfound.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 50_000_000
"""Most pixels of one image."""
MAX_PIXELS_PER_CALL = 1 << 24
"""Most pixels of all images that are decoded in one call."""
REQUEST_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats of the files that clients send."""
GROUND = "white"
"""The color under transparent parts."""
GRAY_MODES = ("1", "L", "LA", "La", "F")
ORIENTATION, BITS, PHOTOMETRIC, SAMPLE_FORMAT = 274, 258, 262, 339
"""Tags of EXIF and TIFF."""
ROUNDING = 0.01
"""Floats may exceed their range by this share, from interpolation."""
DIMMEST = 8
"""A largest float between 1 and this is neither a usual image in 0..1 nor one in 0..255."""


class UnknownRangeError(ValueError):
    """Pixels of an image whose black and white are not known."""


class ImageHead(NamedTuple):
    """What the head of an image file says: the size of the upright image, and whether it has color."""

    height: int
    width: int
    color: bool


class Brightness(NamedTuple):
    """The largest value in an image, and the value that is read as white."""

    largest: int
    white: int


def read_image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an image file as pixels 0..255 of `shape`, which is `(height, width, channels)`.

    Raises:
        UserError: if it is missing, is not an image, has too many pixels or values of an unknown range.
    """
    with open_image(path, path) as image:
        return _to_pixels(image, shape)


def decode_images(files: Iterable[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Decode image files, which may be hostile, as pixels 0..255 of shape `(files, height, width, channels)`.

    Raises:
        UserError: if one of them is not an image in one of `REQUEST_FORMATS`, or all together have too many pixels.
    """
    rows, pixels = [], 0
    for place, file in enumerate(files):
        name = f"image {place}"
        with open_image(name, io.BytesIO(file), REQUEST_FORMATS) as image:
            pixels += image.width * image.height
            if pixels > MAX_PIXELS_PER_CALL:
                raise UserError(f"{name}: too many pixels; one call can have at most {MAX_PIXELS_PER_CALL}.")
            rows.append(_to_pixels(image, shape))
    return np.stack(rows)


def read_head(path: Path) -> ImageHead:
    """Read the head of an image file, without its pixels.

    Raises:
        UserError: if it is missing, is not an image, or has too many pixels.
    """
    with open_image(path, path) as image:
        lying = (
            "exif" in image.info  # a PNG file may have it after the pixels
            and image.format != "TIFF"  # whose size is that of the upright image
            and image.getexif().get(ORIENTATION) in (5, 6, 7, 8)
        )
        height, width = (image.width, image.height) if lying else (image.height, image.width)
        return ImageHead(height, width, not _is_gray(image))


def read_brightness(path: Path) -> Brightness | None:
    """The largest value of an image with 16 bits, gray or in color; `None` for other images.

    Raises:
        UserError: if it is missing, is not an image, or has too many pixels.
    """
    with open_image(path, path) as image:
        if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0:  # white is zero
            return None
        if image.mode in ("RGB", "RGBA") and ";16" in _raw_mode(image):  # Pillow reads the upper 8 bits only
            return Brightness(257 * int(np.asarray(image)[..., :3].max()), 65535)
        if not image.mode.startswith("I"):
            return None
        values = np.asarray(image)
        bits, signed = _integer_format(values, image)
        return Brightness(int(values.max()), 2 ** (bits - signed) - 1) if bits == 16 else None


@functools.cache
def suffixes() -> frozenset[str]:
    """The suffixes, in lower case with the dot, of the files that Pillow reads."""
    from PIL import Image

    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


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
    except (UserError, ImportError):
        raise
    except UnknownRangeError as error:
        raise UserError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise UserError(f"{name}: no such file; give an image.") from error
    except IsADirectoryError as error:
        raise UserError(f"{name}: a folder; give image files.") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{name}: too many pixels; an image can have at most {MAX_PIXELS}.") from error
    except Exception as error:  # Pillow's parsers raise exceptions of any type for a broken file
        expected = f"; expected {', '.join(formats)}" if formats else ""
        raise UserError(f"{name}: not an image that can be read{expected}.") from error


def _to_pixels(image: "Image.Image", shape: tuple[int, ...]) -> np.ndarray:
    from PIL import Image, ImageOps

    height, width, channels = shape
    transparent = _transparent_value(image)
    # a JPEG file is decoded at 1/2, 1/4 or 1/8 of its size where that is still twice the size of the result
    image.draft(None, (2 * max(height, width), 2 * max(height, width)))
    upright = ImageOps.exif_transpose(image)
    if transparent is not None:
        upright.info["transparency"] = transparent
    if upright.mode.startswith(("I", "F")):
        upright = _to_8_bits(upright, image)
    elif upright.mode == "LAB":  # which has no direct way to gray
        upright = upright.convert("RGB")
    mode = "L" if channels == 1 else "RGB"
    if upright.has_transparency_data:
        drawing = upright.convert("RGBA").resize((width, height), Image.Resampling.BILINEAR)
        resized = Image.alpha_composite(Image.new("RGBA", drawing.size, GROUND), drawing).convert(mode)
    else:
        resized = upright.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, "uint8").reshape(shape)


def _transparent_value(image: "Image.Image") -> int | tuple[int, ...] | bytes | None:
    """The value of transparent pixels, if the head of the file names one, in the bits of the pixels that Pillow gives.

    Pillow scales the pixels of a PNG file to 8 bits, but not this value.
    """
    value = image.info.get("transparency")
    raw_mode = _raw_mode(image) if image.format == "PNG" else ""
    if isinstance(value, tuple) and raw_mode == "RGB;16B":
        return tuple(channel >> 8 for channel in value)
    if isinstance(value, int) and raw_mode in ("L;2", "L;4"):
        return value * (85 if raw_mode == "L;2" else 17)
    return value


def _raw_mode(image: "Image.Image") -> str:
    """Pillow's name for the bits of the pixels in an image file that is not read yet."""
    tile = getattr(image, "tile", ())
    mode = tile[0][3] if tile else ""
    return str(mode[0] if isinstance(mode, tuple) else mode)


def _to_8_bits(upright: "Image.Image", file: "Image.Image") -> "Image.Image":
    """An image of integers with more than 8 bits, or of floats, as gray with 8 bits; transparent where `upright` says.

    Args:
        upright: the pixels.
        file: the open file.
    """
    from PIL import Image

    values, tags = np.asarray(upright), getattr(file, "tag_v2", {})
    bits, signed = _integer_format(values, file)
    if bits == 32 and values.dtype == "int32" and tags and not signed:
        values = values.view("uint32")
    white = _white(values, bits - 1 if signed else bits)
    scaled = values.astype("float32")
    scaled *= 255 / white
    gray = np.rint(scaled, out=scaled).clip(0, 255, out=scaled).astype("uint8")
    if tags.get(PHOTOMETRIC) == 0:  # white is zero
        gray = 255 - gray
    image = Image.fromarray(gray)
    if "transparency" in upright.info:
        image.putalpha(Image.fromarray(np.where(values == upright.info["transparency"], 0, 255).astype("uint8")))
    return image


def _integer_format(values: np.ndarray, file: "Image.Image") -> tuple[int, bool]:
    """The number of bits of each value in the file, and whether one of them is its sign."""
    tags = getattr(file, "tag_v2", {})
    bits = tags.get(BITS, (16 if values.dtype.itemsize == 2 or file.format in ("PNG", "PPM") else 32,))[0]
    return bits, values.dtype == "int32" and tags.get(SAMPLE_FORMAT, (1,))[0] == 2


def _white(values: np.ndarray, bits: int) -> float:
    """The value of white: of `bits` bits, or the end of the smallest usual range that contains all values.

    Files with 32-bit integers or floats do not say which range their pixels use.

    Raises:
        UnknownRangeError: if a value is in no range.
    """
    low, high = values.min(), values.max()
    ends: tuple[int, ...] = (2**bits - 1,)
    if values.dtype.kind == "f":
        ends = (1, 255, 65535)
    elif bits > 16:
        ends = (255, 65535, 2**bits - 1)
    rounding = ROUNDING if values.dtype.kind == "f" else 0
    for white in ends:
        if -rounding * white <= low and high <= (1 + rounding) * white:
            if rounding and white == 255 and high < DIMMEST:
                break
            return white
    raise UnknownRangeError(
        f"values from {low:g} to {high:g}; expected integers from 0, or floats in 0..1, 0..255 or 0..65535. "
        "Scale the image first."
    )


def _is_gray(image: "Image.Image") -> bool:
    if image.mode == "P" and image.palette is not None:
        red, green, blue = np.array(image.getpalette("RGB")).reshape(-1, 3).T
        return bool(np.array_equal(red, green) and np.array_equal(green, blue))
    return image.mode in GRAY_MODES or image.mode.startswith("I")
