"""`manifest.json`: written, read again, and protected by its own checksum."""

import msgspec
import pytest

from kerasfound.bundle import manifest
from kerasfound.errors import UserError


def test_a_manifest_is_the_same_after_writing_and_reading(make_manifest, tmp_path):
    record = make_manifest(labels=["ä", "b"])
    manifest.write(record, tmp_path / "manifest.json")
    read = manifest.read(tmp_path / "manifest.json")
    assert read.sha256 != manifest.UNSIGNED
    assert msgspec.structs.replace(read, sha256=manifest.UNSIGNED) == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"model"', '"other"'), "was changed after its export"),
        (lambda text: text.replace('"name"', '"title"'), "not a manifest of schema version 1"),
        (lambda text: "{", "not a manifest of schema version 1"),
        (lambda text: " " * (manifest.MAX_BYTES + 1), "so not a manifest"),
    ],
)
def test_a_manifest_that_was_changed_is_an_error(make_manifest, tmp_path, change, message):
    path = tmp_path / "manifest.json"
    manifest.write(make_manifest(), path)
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=message):
        manifest.read(path)


def test_a_missing_manifest_is_an_error_with_its_path(tmp_path):
    with pytest.raises(UserError, match=r"manifest\.json: cannot be read"):
        manifest.read(tmp_path / "manifest.json")
