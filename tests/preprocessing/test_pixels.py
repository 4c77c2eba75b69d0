"""Image files as pixels."""

import numpy as np
import pytest
from PIL import Image

from kerasfound.errors import UserError
from kerasfound.preprocessing import pixels


@pytest.fixture
def file(tmp_path):
    """A PNG of 6 x 4 random pixels in color."""
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4, 3), "uint8")).save(path)
    return path


@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 4, 1), (3, 8, 3)])
def test_a_file_and_its_bytes_give_the_same_pixels(file, shape):
    image = pixels.read_image(file, shape)
    assert (image.shape, image.dtype) == (shape, "uint8")
    assert np.array_equal(pixels.decode_images([file.read_bytes()] * 2, shape), [image, image])


def test_pixels_in_the_size_of_the_file_do_not_change(file):
    assert np.array_equal(pixels.read_image(file, (6, 4, 3)), np.asarray(Image.open(file)))


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere.png", "no such file; give an image"), ("folder", "a folder"), ("text.png", "not an image")],
)
def test_a_file_that_is_not_an_image_is_an_error_with_its_path(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(UserError, match=f"{name}: {message}"):
        pixels.read_image(tmp_path / name, (6, 4, 3))


def test_images_with_too_many_pixels_are_an_error(file, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_PIXELS_PER_CALL", 30)
    with pytest.raises(UserError, match="image 1: too many pixels; one call can have at most 30"):
        pixels.decode_images([file.read_bytes()] * 2, (6, 4, 3))
    monkeypatch.setattr(pixels, "MAX_PIXELS", 20)
    with pytest.raises(UserError, match="too many pixels; an image can have at most 20"):
        pixels.read_image(file, (6, 4, 3))
