"""Folders of images: every image is in one split, all have one size, and errors name the broken file."""

import numpy as np
import pytest
from PIL import Image

from kerasfound import data
from kerasfound.errors import UserError


def make_folder(path, sizes, color=False):
    """Two classes, dark and bright, with one image of each size."""
    for label, shade in (("dark", 10), ("bright", 200)):
        (path / label).mkdir(parents=True)
        for i, (height, width) in enumerate(sizes):
            pixels = np.full((height, width, 3) if color else (height, width), shade + i, "uint8")
            Image.fromarray(pixels).save(path / label / f"{i}.png")
    return path


def test_every_image_is_in_one_split_with_the_class_of_its_folder(tmp_path):
    images = data.load(str(make_folder(tmp_path / "mine", [(12, 10)] * 20)), task="image_classification")
    assert images.schema.labels == ("bright", "dark")
    assert images.schema.shape == (12, 10, 1)
    assert [len(split.y) for split in (images.train, images.validation, images.test)] == [28, 6, 6]
    shades = np.concatenate([split.x[:, 0, 0, 0] for split in (images.train, images.validation, images.test)])
    assert sorted(shades) == [*range(10, 30), *range(200, 220)]
    for split in (images.train, images.validation, images.test):
        assert np.array_equal(split.x[:, 0, 0, 0] < 100, split.y == 1)


@pytest.mark.parametrize("count", [3, 4, 7, 20, 50])
def test_each_class_is_in_every_split_with_its_share(tmp_path, count):
    images = data.load(str(make_folder(tmp_path / "mine", [(8, 8)] * count)))
    for split, share in ((images.train, 5 / 7), (images.validation, 1 / 7), (images.test, 1 / 7)):
        shares = np.bincount(split.y, minlength=2) / count
        assert shares[0] == shares[1] > 0
        assert abs(shares[0] - share) <= 2 / count


@pytest.mark.parametrize(
    ("sizes", "color", "shape"),
    [
        ([(20, 30)] * 3, False, (20, 30, 1)),
        ([(20, 30), (20, 31), (500, 500)], True, (20, 31, 3)),
        ([(300, 200)] * 3, False, (64, 64, 1)),
        ([(2, 2)] * 3, False, (8, 8, 1)),
    ],
)
def test_images_are_resized_to_the_median_size_within_bounds(tmp_path, sizes, color, shape):
    assert data.load(str(make_folder(tmp_path / "mine", sizes, color))).schema.shape == shape


def test_a_broken_image_is_an_error_with_its_path(tmp_path):
    folder = make_folder(tmp_path / "mine", [(9, 9)] * 4)
    (folder / "dark" / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"dark/notes.txt: not an image"):
        data.load(str(folder))


@pytest.mark.parametrize(
    ("sizes", "remove", "message"),
    [
        ([(9, 9)] * 4, "dark", "has 1 folders; expected two or more"),
        ([(9, 9)] * 2, None, "bright has 2 images; each class needs three"),
    ],
)
def test_too_few_classes_or_images_are_an_error(tmp_path, sizes, remove, message):
    folder = make_folder(tmp_path / "mine", sizes)
    if remove:
        (folder / remove).rename(tmp_path / remove)
    with pytest.raises(UserError, match=message):
        data.load(str(folder))
