"""Image files as pixels: what a viewer shows is what the model receives, whatever the format of the file."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kerasfound.errors import UserError
from kerasfound.preprocessing import pixels

GRAYS = np.array([[0.2, 0.8, 0.2, 0.8]])
"""The shades of the images below: 51 and 204 of 255."""


@pytest.fixture
def file(tmp_path):
    """A PNG of 6 x 4 random pixels in color."""
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4, 3), "uint8")).save(path)
    return path


def encode(image, kind="TIFF", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grays(dtype, white, kind="TIFF", **options):
    values = GRAYS * white
    return encode(Image.fromarray((values if dtype == "float32" else np.rint(values)).astype(dtype)), kind, **options)


def gray_8(mode):
    return Image.fromarray(np.rint(GRAYS * 255).astype("uint8")).convert(mode)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(bits, color_type, row, transparent=b""):
    """A PNG file of 4 x 1 pixels with the given bits, which Pillow cannot write."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 4, 1, bits, color_type, 0, 0, 0))]
    chunks += [(b"tRNS", transparent)] if transparent else []
    chunks += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)


def tiff(bits, sample_format, photometric, data):
    """A TIFF file of 4 x 1 pixels with the given kind of numbers, most of which Pillow cannot write."""
    entries = [(256, 4), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, 1)]
    entries += [(279, len(data)), (339, sample_format)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHIHH", t, 3, 1, v, 0) for t, v in entries)
    padded = data + b"\0" * (len(data) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(padded)) + padded + directory + struct.pack("<I", 0)


def numbers(dtype, white):
    return np.rint(GRAYS * white).astype(dtype).tobytes()


LAB = Image.merge("LAB", [Image.fromarray(np.array([row], "uint8")) for row in ([54, 209] * 2, [128] * 4, [128] * 4)])
KINDS = {
    "8 bits, PNG": encode(gray_8("L"), "PNG"),
    "8 bits, RGB": encode(gray_8("RGB"), "PNG"),
    "8 bits, opaque RGBA": encode(gray_8("RGBA"), "PNG"),
    "8 bits, opaque LA": encode(gray_8("LA"), "PNG"),
    "palette, PNG": encode(gray_8("P"), "PNG"),
    "palette, GIF": encode(gray_8("RGB").quantize(4), "GIF"),
    "palette, BMP": encode(gray_8("P"), "BMP"),
    "WebP": encode(gray_8("RGB"), "WEBP", lossless=True),
    "YCbCr, TIFF": encode(gray_8("YCbCr")),
    "CMYK, TIFF": encode(gray_8("CMYK")),
    "LAB, TIFF": encode(LAB),
    "16 bits, PNG": grays("uint16", 65535, "PNG"),
    "16 bits, TIFF": grays("uint16", 65535),
    "16 bits, compressed TIFF": grays("uint16", 65535, compression="tiff_lzw"),
    "16 bits, big-endian TIFF": grays(">u2", 65535),
    "16 bits with sign, TIFF": tiff(16, 2, 1, numbers("<i2", 32767)),
    "16 bits, white is zero, TIFF": tiff(16, 1, 0, (65535 - np.rint(GRAYS * 65535)).astype("<u2").tobytes()),
    "16 bits, color, PNG": raw_png(16, 2, np.repeat(np.rint(GRAYS * 65535), 3).astype(">u2").tobytes()),
    "12 bits, TIFF": tiff(12, 1, 1, bytes.fromhex("333ccc333ccc")),
    "4 bits, PNG": raw_png(4, 0, bytes.fromhex("3c3c")),
    "32 bits, TIFF": grays("int32", 2**31 - 1),
    "32 bits without sign, TIFF": tiff(32, 1, 1, numbers("<u4", 2**32 - 1)),
    "32 bits, used up to 65535, TIFF": grays("int32", 65535),
    "32 bits, used up to 255, TIFF": grays("int32", 255),
    "float in 0..1": grays("float32", 1),
    "float in 0..255": grays("float32", 255),
    "float in 0..65535": grays("float32", 65535),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_gray_keeps_its_shade(kind, channels, tmp_path):
    file = KINDS[kind]
    (image,) = pixels.decode_images([file], (1, 4, channels))
    assert np.abs(image[0].astype(int) - np.array([51, 204, 51, 204])[:, None]).max() <= 1
    (tmp_path / "image").write_bytes(file)
    assert np.array_equal(pixels.read_image(tmp_path / "image", (1, 4, channels)), image)


def test_one_bit_is_black_or_white():
    image = pixels.decode_images([encode(Image.fromarray(np.array([[True, False]])), "PNG")], (1, 2, 1))
    assert image.ravel().tolist() == [255, 0]


@pytest.mark.parametrize("extreme", [-0.5, 1.5, 1e9, np.nan, np.inf])
def test_floats_of_an_unknown_range_are_an_error(extreme, tmp_path):
    path = tmp_path / "image.tif"
    path.write_bytes(encode(Image.fromarray(np.array([[0, extreme]], "float32"))))
    with pytest.raises(UserError, match=r"image.tif: values from .* expected integers from 0, or floats in 0..1"):
        pixels.read_image(path, (1, 2, 1))


def test_negative_integers_are_an_error():
    with pytest.raises(UserError, match="image 0: values from -1024 to 3000"):
        pixels.decode_images([encode(Image.fromarray(np.array([[-1024, 3000]], "int32")))], (1, 2, 1))


def test_floats_may_exceed_their_range_by_rounding():
    image = encode(Image.fromarray(np.array([[-1e-3, 1.0000001]], "float32")))
    assert pixels.decode_images([image], (1, 2, 1)).ravel().tolist() == [0, 255]


BLACK_ON_NOTHING = np.array([[0, 255, 0, 255]], "uint8")
"""The opacity of a drawing in black: every second pixel is transparent."""


def drawing(mode):
    black = np.zeros((1, 4, 3), "uint8")
    if mode == "RGBA":
        return np.dstack([black, BLACK_ON_NOTHING])
    return np.dstack([black[..., 0], BLACK_ON_NOTHING])


PALETTE = Image.fromarray(BLACK_ON_NOTHING // 255).convert("P")
PALETTE.putpalette([0, 0, 0] * 256)
ONE_BIT = Image.fromarray(BLACK_ON_NOTHING == 0)
TRANSPARENT = {
    "RGBA": encode(Image.fromarray(drawing("RGBA")), "PNG"),
    "RGBA, WebP": encode(Image.fromarray(drawing("RGBA")), "WEBP", lossless=True),
    "RGBA, TIFF": encode(Image.fromarray(drawing("RGBA"))),
    "LA": encode(Image.fromarray(drawing("LA")), "PNG"),
    "palette": encode(PALETTE, "PNG", transparency=0),
    "palette with opacities": encode(PALETTE, "PNG", transparency=b"\0\xff"),
    "palette, GIF": encode(PALETTE, "GIF", transparency=0),
    "one gray": encode(Image.fromarray(255 - BLACK_ON_NOTHING // 255 * 255), "PNG", transparency=255),
    "one color": encode(Image.fromarray(255 - BLACK_ON_NOTHING).convert("RGB"), "PNG", transparency=(255, 255, 255)),
    "one of two colors": encode(ONE_BIT, "PNG", transparency=1),
    "one gray of 2 bits": raw_png(2, 0, b"\x88", b"\0\2"),
    "one gray of 4 bits": raw_png(4, 0, b"\x70\x70", b"\0\7"),
    "one gray of 16 bits": encode(
        Image.fromarray((1 - BLACK_ON_NOTHING // 255).astype("uint16")), "PNG", transparency=1
    ),
    "one color of 16 bits": raw_png(16, 2, (b"\x12\x34" * 3 + b"\0\0" * 3) * 2, b"\x12\x34" * 3),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparent_parts_are_white(kind, channels):
    (image,) = pixels.decode_images([TRANSPARENT[kind]], (1, 4, channels))
    assert image.tolist() == [[[255] * channels, [0] * channels] * 2]


def test_half_transparent_parts_mix_with_white():
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert np.unique(pixels.decode_images([encode(half, "PNG")], (4, 4, 3))).tolist() == [127]


STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
    8: lambda a: np.rot90(a, -1),
}
"""How a camera stores an upright image that it marks with each EXIF orientation."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_images_are_turned_upright(orientation, kind, tmp_path):
    upright = np.zeros((16, 24, 3), "uint8")
    upright[:8, :12] = 220
    exif = Image.Exif()
    exif[pixels.ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    path = tmp_path / f"image.{kind}"
    path.write_bytes(encode(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})))
    image = pixels.read_image(path, (16, 24, 3))
    assert np.abs(image.astype(int) - upright).mean() < 2
    if kind != "PNG":  # whose orientation may follow the pixels
        assert pixels.read_head(path) == (16, 24, True)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_image_of_an_animation_or_of_several_pages_is_read(kind):
    first, second = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
    image = pixels.decode_images([encode(first, kind, save_all=True, append_images=[second])], (4, 4, 3))[0]
    assert np.abs(image.astype(int) - [255, 0, 0]).max() <= 5


@pytest.mark.parametrize(
    ("image", "color"),
    [
        (Image.new("L", (4, 4)), False),
        (Image.new("1", (4, 4)), False),
        (Image.new("RGB", (4, 4)), True),
        (gray_8("L").convert("P"), False),
        (Image.new("RGB", (4, 4), "red").quantize(2), True),
        (Image.fromarray(np.zeros((4, 4), "uint16")), False),
        (Image.new("LA", (4, 4)), False),
    ],
)
def test_the_head_says_whether_an_image_has_color(image, color, tmp_path):
    image.save(tmp_path / "image.png")
    assert pixels.read_head(tmp_path / "image.png").color is color


@pytest.mark.parametrize(
    ("kind", "brightness"),
    [
        ("16 bits, PNG", (52428, 65535)),
        ("16 bits, compressed TIFF", (52428, 65535)),
        ("16 bits with sign, TIFF", (26214, 32767)),
        ("16 bits, color, PNG", (52428, 65535)),
        ("16 bits, white is zero, TIFF", None),
        ("8 bits, RGB", None),
        ("32 bits, TIFF", None),
        ("float in 0..1", None),
    ],
)
def test_the_largest_value_of_an_image_is_read_if_it_has_16_bits(kind, brightness, tmp_path):
    (tmp_path / "image").write_bytes(KINDS[kind])
    assert pixels.read_brightness(tmp_path / "image") == brightness


@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 4, 1), (3, 8, 3)])
def test_a_file_and_its_bytes_give_the_same_pixels(file, shape):
    image = pixels.read_image(file, shape)
    assert (image.shape, image.dtype) == (shape, "uint8")
    assert np.array_equal(pixels.decode_images([file.read_bytes()] * 2, shape), [image, image])


def test_pixels_in_the_size_of_the_file_do_not_change(file):
    assert np.array_equal(pixels.read_image(file, (6, 4, 3)), np.asarray(Image.open(file)))


def test_other_proportions_are_squeezed():
    wide = np.zeros((8, 32), "uint8")
    wide[:, 16:] = 255
    image = pixels.decode_images([encode(Image.fromarray(wide), "PNG")], (8, 8, 1))[0, ..., 0]
    assert (image[:, :3] < 5).all()
    assert (image[:, 5:] > 250).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere.png", "no such file; give an image"), ("folder", "a folder"), ("text.png", "not an image")],
)
def test_a_file_that_is_not_an_image_is_an_error_with_its_path(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(UserError, match=f"{name}: {message}"):
        pixels.read_image(tmp_path / name, (6, 4, 3))


def test_a_request_may_not_choose_among_all_parsers_of_pillow():
    with pytest.raises(UserError, match="image 0: not an image that can be read; expected PNG, JPEG"):
        pixels.decode_images([encode(Image.new("RGB", (4, 4)), "PCX")], (4, 4, 3))


def test_images_with_too_many_pixels_are_an_error(file, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_PIXELS_PER_CALL", 30)
    with pytest.raises(UserError, match="image 1: too many pixels; one call can have at most 30"):
        pixels.decode_images([file.read_bytes()] * 2, (6, 4, 3))
    monkeypatch.setattr(pixels, "MAX_PIXELS", 20)
    with pytest.raises(UserError, match="too many pixels; an image can have at most 20"):
        pixels.read_image(file, (6, 4, 3))
