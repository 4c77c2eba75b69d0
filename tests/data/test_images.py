"""Folders of images: every image is in one split, all have one size, and what is left out is named."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kerasfound import data
from kerasfound.data import images, stored_images
from kerasfound.data.image_splits import split_images
from kerasfound.errors import UserError


def make_folder(path, sizes, color=False, labels=("dark", "bright")):
    """Two classes, dark and bright, with one image of each size."""
    for label, shade in zip(labels, (10, 200), strict=True):
        (path / label).mkdir(parents=True)
        for i, (height, width) in enumerate(sizes):
            pixels = np.full((height, width, 3) if color else (height, width), shade + i, "uint8")
            Image.fromarray(pixels).save(path / label / f"{i}.png")
    return path


def splits_of(dataset):
    return dataset.train, dataset.validation, dataset.test


def shades(split):
    return sorted(split.x[:, 0, 0, 0].tolist())


def all_shades(dataset):
    return sorted(shade for split in splits_of(dataset) for shade in shades(split))


def test_every_image_is_in_one_split_with_the_class_of_its_folder(tmp_path):
    mine = data.load(str(make_folder(tmp_path / "mine", [(12, 10)] * 20)), task="image_classification")
    assert mine.schema.labels == ("bright", "dark")
    assert mine.schema.shape == (12, 10, 1)
    assert [len(split.y) for split in splits_of(mine)] == [28, 4, 8]
    assert all_shades(mine) == [*range(10, 30), *range(200, 220)]
    for split in splits_of(mine):
        assert np.array_equal(split.x[:, 0, 0, 0] < 100, split.y == 1)


@pytest.mark.parametrize("count", [3, 4, 7, 20, 50])
def test_each_class_is_in_every_split_with_its_share(count):
    y = np.repeat(np.arange(3), count)
    splits = split_images(y, [""] * len(y))
    assert sorted(np.concatenate(list(splits.values()))) == list(range(len(y)))
    for name, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        counts = np.bincount(y[splits[name]], minlength=3)
        assert counts.min() == counts.max() > 0
        assert abs(counts[0] - share * count) <= 1.2


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


def test_the_size_can_be_chosen(tmp_path):
    folder = str(make_folder(tmp_path / "mine", [(20, 30)] * 3))
    assert data.load(folder, image_size=224).train.x.shape[1:] == (224, 224, 1)
    for size in (7, 225):
        with pytest.raises(UserError, match=f"`image_size` must be from 8 to 224, got {size}"):
            data.load(folder, image_size=size)
    with pytest.raises(UserError, match="`image_size` is for a folder of images"):
        data.load("digits", image_size=32)


def test_images_are_upright_before_their_sizes_are_compared(tmp_path):
    folder = make_folder(tmp_path / "mine", [(12, 20)] * 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in folder.rglob("*.png"):
        Image.open(file).save(file.with_suffix(".jpg"), exif=exif)
        file.unlink()
    assert data.load(str(folder)).schema.shape == (20, 12, 1)


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("Train", "VAL", "Test"), ("training", "valid", "testing")]
)
@pytest.mark.parametrize("outside", [True, False])
def test_folders_of_splits_are_the_splits(tmp_path, names, outside):
    for name, count in zip(names, (6, 2, 3), strict=True):
        for label in ("dark", "bright"):
            place = tmp_path / "mine" / (f"{name}/{label}" if outside else f"{label}/{name}") / "inside"
            place.mkdir(parents=True)
            for i in range(count):
                shade = 10 * count + i + (100 if label == "bright" else 0)
                Image.new("L", (9, 9), shade).save(place / f"{i}.png")
    mine = data.load(str(tmp_path / "mine"))
    assert mine.schema.labels == ("bright", "dark")
    for split, count in zip(splits_of(mine), (6, 2, 3), strict=True):
        assert shades(split) == [10 * count + i + light for light in (0, 100) for i in range(count)]


def test_a_split_without_a_folder_is_cut_from_the_training_images(tmp_path, capsys):
    make_folder(tmp_path / "mine" / "train", [(9, 9)] * 20)
    make_folder(tmp_path / "mine" / "val", [(9, 9)] * 3)
    (tmp_path / "mine" / "test").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "mine" / "test" / "unlabelled.png")
    (tmp_path / "mine" / "annotations").mkdir()
    mine = data.load(str(tmp_path / "mine"))
    assert [len(split.y) for split in splits_of(mine)] == [32, 6, 8]
    told = capsys.readouterr().err
    assert "test has no folders of classes and is ignored: its images have no labels" in told
    assert "the folder annotations is ignored: it is not a split" in told


def test_a_folder_around_the_folders_is_stepped_into(tmp_path):
    make_folder(tmp_path / "download" / "pictures" / "mine", [(9, 9)] * 4)
    (tmp_path / "download" / "__MACOSX").mkdir()
    (tmp_path / "download" / "README.txt").write_text("about the pictures")
    assert data.load(str(tmp_path / "download")).schema.labels == ("bright", "dark")


def test_all_splits_have_the_classes_of_the_training_images(tmp_path, capsys):
    make_folder(tmp_path / "train", [(9, 9)] * 4)
    make_folder(tmp_path / "test", [(9, 9)] * 4, labels=("dark", "Bright"))
    with pytest.raises(
        UserError, match="validation or test has images of Bright, and the training images are of bright"
    ):
        data.load(str(tmp_path))
    (tmp_path / "test" / "Bright").rename(tmp_path / "Bright")
    data.load(str(tmp_path))
    assert "test has no images of bright" in capsys.readouterr().err


def test_files_of_the_system_are_ignored_and_other_files_are_told(tmp_path, capsys):
    folder = make_folder(tmp_path / "mine", [(9, 9)] * 4)
    for name in ("Thumbs.db", ".DS_Store", "._0.png", "notes.txt", "labels.csv"):
        (folder / "dark" / name).write_text("no image")
    (folder / "0.png").write_bytes((folder / "dark" / "0.png").read_bytes())
    (folder / "dark" / "0.png").rename(folder / "dark" / "without suffix")
    (folder / "empty").mkdir()
    assert sum(len(split.y) for split in splits_of(data.load(str(folder)))) == 8
    told = capsys.readouterr().err
    assert "ignored, not an image: 2 files (.csv, .txt)" in told
    assert "ignored outside the folders of the classes: 1 image, such as 0.png" in told
    assert "empty has no images and is ignored" in told
    assert "Thumbs" not in told


def test_few_unreadable_images_are_left_out_by_name(tmp_path, capsys):
    folder = make_folder(tmp_path / "mine", [(9, 9)] * 20)
    broken = folder / "dark" / "3.png"
    broken.write_bytes(broken.read_bytes()[:45])
    (folder / "bright" / "photo.HEIC").write_bytes(b"....ftypheic")
    for _ in ("decoded", "from the cache"):
        mine = data.load(str(folder))
        assert all_shades(mine) == [10, 11, 12, *range(14, 30), *range(200, 220)]
        told = capsys.readouterr().err
        assert "2 of 41 images cannot be read and are left out" in told
        assert "dark/3.png: not an image that can be read" in told
        assert "bright/photo.HEIC: not an image that can be read; convert it to JPEG" in told
    with pytest.raises(UserError, match=r"2 of 41 images cannot be read, and `strict` allows none.*dark/3.png"):
        data.load(str(folder), strict=True)
    (folder / "dark" / "4.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"3 of 41 images cannot be read, and at most 5% may.*dark/4.png"):
        data.load(str(folder))


def test_one_unreadable_image_of_a_small_folder_is_left_out(tmp_path, capsys):
    folder = make_folder(tmp_path / "mine", [(9, 9)] * 4)
    (folder / "dark" / "2.png").write_bytes(b"")
    assert len(all_shades(data.load(str(folder)))) == 7
    assert "1 of 8 images cannot be read and are left out. dark/2.png: not an image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sizes", "remove", "message"),
    [
        ([(9, 9)] * 4, "dark", "has 1 folder with images; expected two or more"),
        ([(9, 9)] * 2, None, "too few images: bright has 2, dark has 2; each class needs three"),
    ],
)
def test_too_few_classes_or_images_are_an_error(tmp_path, sizes, remove, message):
    folder = make_folder(tmp_path / "mine", sizes)
    if remove:
        (folder / remove).rename(tmp_path / remove)
    with pytest.raises(UserError, match=message):
        data.load(str(folder))


def test_classes_with_few_images_are_told(tmp_path, capsys):
    data.load(str(make_folder(tmp_path / "mine", [(9, 9)] * 6)))
    assert "fewer than 10 training images of bright (4), dark (4)" in capsys.readouterr().err


def save_16_bits(path, bits, suffix, number=6):
    """Two classes of noise with values of `bits` bits in files of 16 bits."""
    rng = np.random.default_rng(0)
    for label in "ab":
        (path / label).mkdir(parents=True)
        for i in range(number):
            values = rng.integers(0, 2**bits, (9, 9)).astype("uint16")
            values[0, 0] = 2**bits - 1
            Image.fromarray(values).save(path / label / f"{i}{suffix}")
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("bits", "factor"), [(10, 64), (12, 16), (14, 4)])
def test_16_bit_images_with_values_of_fewer_bits_are_told(tmp_path, capsys, bits, factor, suffix):
    mine = data.load(str(save_16_bits(tmp_path / "mine", bits, suffix)), task="image_classification")
    told = capsys.readouterr().err
    assert f"the 16-bit images have values of {bits} bits only (the largest of 12 images is {2**bits - 1:,})" in told
    assert f"at most {255 / factor:.0f} of 255" in told
    assert f"by {factor} and save them again" in told
    assert max(split.x.max() for split in splits_of(mine)) == round(255 * (2**bits - 1) / 65535)


def test_values_of_few_bits_are_told_again_when_the_pixels_come_from_the_cache(tmp_path, capsys):
    folder = str(save_16_bits(tmp_path / "mine", 12, ".png"))
    told = []
    for _ in range(2):
        data.load(folder, task="image_classification")
        told.append("values of 12 bits only" in capsys.readouterr().err)
    assert told == [True, True]


def test_16_bit_images_that_use_their_range_and_8_bit_images_are_not_told(tmp_path, capsys):
    data.load(str(save_16_bits(tmp_path / "full", 16, ".png")), task="image_classification")
    one_bright = save_16_bits(tmp_path / "one", 12, ".png")
    Image.fromarray(np.full((9, 9), 60_000, "uint16")).save(one_bright / "a" / "0.png")
    data.load(str(one_bright), task="image_classification")
    data.load(str(make_folder(tmp_path / "dark", [(9, 9)] * 4)), task="image_classification")
    black = save_16_bits(tmp_path / "black", 0, ".png")
    data.load(str(black), task="image_classification")
    assert "16-bit" not in capsys.readouterr().err


def test_images_on_disk_are_the_same_array_as_in_memory(tmp_path, monkeypatch):
    folder = str(make_folder(tmp_path / "mine", [(9, 9)] * 20))
    memory = data.load(folder)
    monkeypatch.setattr(images, "MAX_BYTES_IN_MEMORY", 0)
    disk = data.load(folder)
    assert disk.sha256 == memory.sha256
    x, expected = disk.train.x, memory.train.x
    assert not isinstance(x, np.ndarray)
    assert (x.shape, x.ndim, x.dtype, x.nbytes, len(x)) == (expected.shape, 4, "uint8", expected.nbytes, len(expected))
    chosen = np.array([5, 0, 5])
    for key in (3, -1, slice(2, 9), slice(None), chosen, expected[:, 0, 0, 0] > 100, (slice(None), 0, 0, 0), (3, 1)):
        assert np.array_equal(x[key], expected[key])
        assert type(x[key]) is np.ndarray
    assert np.array_equal(np.asarray(x), expected)
    assert np.array_equal(list(x), expected)


def test_a_changed_file_is_decoded_again(tmp_path):
    folder = make_folder(tmp_path / "mine", [(9, 9)] * 3)
    before = data.load(str(folder))
    Image.new("L", (9, 9), 99).save(folder / "dark" / "1.png")
    after = data.load(str(folder))
    assert before.sha256 != after.sha256
    assert 99 in all_shades(after)


def test_the_cache_of_decoded_images_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASFOUND_CACHE_DIR", str(tmp_path / "cache"))
    place, disk = tmp_path / "cache" / "images", {"bytes": 4000}

    def usage(_):
        return SimpleNamespace(free=disk["bytes"] - sum(file.stat().st_size for file in place.glob("*.pixels")))

    monkeypatch.setattr(stored_images.shutil, "disk_usage", usage)
    first, second = (make_folder(tmp_path / name, [(9, 9)] * 3) for name in ("first", "second"))
    kept = [data.load(str(folder)).train.x.tolist() for folder in (first, second)]
    assert len(list(place.glob("*.pixels"))) == 2
    disk["bytes"] = 1200
    data.load(str(make_folder(tmp_path / "third", [(9, 9)] * 3)))
    assert len(list(place.iterdir())) == 2  # the pixels of the third folder and their index
    assert data.load(str(first)).train.x.tolist() == kept[0]
    disk["bytes"] = 0
    with pytest.raises(
        UserError, match=r"the decoded images take .* use a smaller `image_size`, or set KERASFOUND_CACHE"
    ):
        data.load(str(first), image_size=100)
