"""Named data sets: splits that share no row, a schema that fits, and a cache that is verified."""

import numpy as np
import pytest

from kerasfound import data
from kerasfound.data import cache
from kerasfound.errors import UserError


def rows(split):
    return {row.tobytes() for row in split.x}


def test_digits_are_split_without_losing_or_sharing_a_row():
    digits = data.load("digits")
    assert [len(s.y) for s in (digits.train, digits.validation, digits.test)] == [1197, 240, 360]
    assert rows(digits.train).isdisjoint(rows(digits.test) | rows(digits.validation))
    assert rows(digits.validation).isdisjoint(rows(digits.test))


def test_digits_are_raw_pixels_of_every_class():
    digits = data.load("digits")
    for split in (digits.train, digits.validation, digits.test):
        assert split.x.dtype == np.uint8
        assert split.x.shape[1:] == digits.schema.shape
        assert (split.x.min(), split.x.max()) == (0, 255)
        assert set(split.y) == set(range(len(digits.schema.labels)))


def test_mnist_has_its_own_test_images(tfds_dir):
    mnist = data.load("mnist", tfds_dir)
    assert [len(s.y) for s in (mnist.train, mnist.validation, mnist.test)] == [55_000, 5_000, 10_000]
    assert mnist.train.x.shape[1:] == (28, 28, 1) == mnist.schema.shape
    assert np.bincount(mnist.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_a_cached_set_is_not_read_from_its_source_again(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASFOUND_CACHE_DIR", str(tmp_path))
    calls = []

    def read():
        calls.append(True)
        return {"x": np.arange(3), "y": np.ones((2, 2), "float32")}

    first, digest = cache.fetch("key", read)
    again, same = cache.fetch("key", read)
    assert len(calls) == 1
    assert digest == same == cache.sha256(first) == cache.sha256(again)


def test_a_damaged_cache_is_read_from_its_source_again(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASFOUND_CACHE_DIR", str(tmp_path))
    cache.fetch("key", lambda: {"x": np.zeros(1000)})
    file = tmp_path / "key.npz"
    content = bytearray(file.read_bytes())
    content[500] ^= 1
    file.write_bytes(content)
    arrays, _ = cache.fetch("key", lambda: {"x": np.ones(1000)})
    assert arrays["x"].sum() == 1000


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERASFOUND_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be written to"):
        arrays, _ = cache.fetch("key", lambda: {"x": np.ones(3)})
    assert arrays["x"].sum() == 3


def test_each_tfds_folder_has_its_own_cache(tmp_path):
    mnist, digits = data.SOURCES["mnist"], data.SOURCES["digits"]
    assert mnist.key(tmp_path / "a") != mnist.key(tmp_path / "b") != mnist.key(None)
    assert digits.key(tmp_path / "a") == digits.key(None)


@pytest.mark.parametrize("change", [lambda a: a.astype("int32"), lambda a: a.reshape(2, 2), lambda a: a + 1])
def test_the_checksum_depends_on_dtype_shape_and_content(change):
    array = np.arange(4)
    assert cache.sha256({"x": array}) != cache.sha256({"x": change(array)})


def test_an_unknown_name_is_an_error_that_offers_the_nearest():
    with pytest.raises(UserError, match=r'no data set, file or folder "mnits"\. Did you mean "mnist"\?'):
        data.load("mnits")


def test_a_missing_folder_is_an_error_with_its_argument(tmp_path):
    with pytest.raises(UserError, match=r"`data_dir` .*: no such folder"):
        data.load("mnist", str(tmp_path / "nowhere"))


def test_a_set_that_cannot_be_downloaded_is_an_error_that_offers_the_built_in_one(tmp_path, monkeypatch):
    import requests

    def no_network(url, **kwargs):
        raise requests.ConnectionError("a long message")

    monkeypatch.setenv("KERASFOUND_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(requests, "head", no_network)
    with pytest.raises(UserError, match=r"not prepared in .* \(no network\).* `data` digits"):
        data.load("mnist", str(tmp_path))
