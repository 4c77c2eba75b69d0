"""Folders of images: every image in one split, scaled alike, the broken one named."""

import numpy as np
import pytest
from PIL import Image

from kerasfound import data
from kerasfound.errors import UserError


def folder_of(path, sizes, color=False):
    """One image a size in each of two classes, dark and bright."""
    for label, shade in (("dark", 10), ("bright", 200)):
        (path / label).mkdir(parents=True)
        for i, (height, width) in enumerate(sizes):
            pixels = np.full((height, width, 3) if color else (height, width), shade + i, "uint8")
            Image.fromarray(pixels).save(path / label / f"{i}.png")
    return path


def test_every_image_is_in_one_split_under_its_folders_name(tmp_path):
    found = data.load(str(folder_of(tmp_path / "mine", [(12, 10)] * 20)), task="image_classification")
    assert found.schema.labels == ("bright", "dark")
    assert found.schema.shape == (12, 10, 1)
    assert [len(split.y) for split in (found.train, found.validation, found.test)] == [28, 6, 6]
    shades = np.concatenate([split.x[:, 0, 0, 0] for split in (found.train, found.validation, found.test)])
    assert sorted(shades) == [*range(10, 30), *range(200, 220)]
    for split in (found.train, found.validation, found.test):
        assert np.array_equal(split.x[:, 0, 0, 0] < 100, split.y == 1)


@pytest.mark.parametrize(
    ("sizes", "color", "shape"),
    [
        ([(20, 30)] * 3, False, (20, 30, 1)),
        ([(20, 30), (20, 31), (500, 500)], True, (20, 31, 3)),
        ([(300, 200)] * 3, False, (64, 64, 1)),
        ([(2, 2)] * 3, False, (8, 8, 1)),
    ],
)
def test_images_are_scaled_to_the_median_size_within_bounds(tmp_path, sizes, color, shape):
    assert data.load(str(folder_of(tmp_path / "mine", sizes, color))).schema.shape == shape


def test_a_broken_image_is_named(tmp_path):
    folder = folder_of(tmp_path / "mine", [(9, 9)] * 4)
    (folder / "dark" / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"dark/notes.txt: not an image"):
        data.load(str(folder))


@pytest.mark.parametrize(
    ("sizes", "remove", "message"),
    [([(9, 9)] * 4, "dark", "1 folders in it"), ([(9, 9)] * 2, None, "three images of each class.*bright has 2")],
)
def test_too_little_to_learn_from_is_refused(tmp_path, sizes, remove, message):
    folder = folder_of(tmp_path / "mine", sizes)
    if remove:
        (folder / remove).rename(tmp_path / remove)
    with pytest.raises(UserError, match=message):
        data.load(str(folder))
