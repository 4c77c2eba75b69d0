"""The folders of a bundle, and the checksums of its files."""

import pytest

from kerasfound.bundle import layout, manifest
from kerasfound.errors import UserError


@pytest.fixture
def folder(tmp_path, make_manifest):
    """Version 1 of a model, with one file."""
    version = tmp_path / "model" / "1"
    (version / "assets").mkdir(parents=True)
    (version / "assets" / "labels.txt").write_text("cat\n")
    manifest.write(make_manifest(files=layout.checksums(version)), version / layout.MANIFEST)
    return version


def test_the_newest_version_is_the_largest_number(folder):
    for name in ("9", "10", "011", "notes"):
        (folder.parent / name).mkdir()
    assert layout.versions_in(folder.parent) == [1, 9, 10]
    assert layout.version_folder(folder.parent) == folder.parent / "10"
    assert layout.version_folder(folder) == folder


def test_a_folder_without_versions_is_not_a_bundle(tmp_path):
    assert layout.versions_in(tmp_path / "nowhere") == []
    with pytest.raises(UserError, match=r"not a bundle \(it has no manifest\.json\)"):
        layout.version_folder(tmp_path)
    with pytest.raises(UserError, match="no such folder; give a bundle"):
        layout.version_folder(tmp_path / "nowhere")


def test_checksums_find_a_changed_an_added_and_a_missing_file(folder):
    record = manifest.read(folder / layout.MANIFEST)
    layout.verify_checksums(folder, record)
    file = folder / "assets" / "labels.txt"
    file.write_text("dog\n")
    with pytest.raises(UserError, match=r"assets/labels\.txt was changed after its export"):
        layout.verify_checksums(folder, record)
    file.rename(folder / "labels.txt")
    with pytest.raises(UserError, match=r"assets/labels\.txt is missing"):
        layout.verify_checksums(folder, record)
    (folder / "labels.txt").replace(file)
    file.write_text("cat\n")
    (folder / "extra").touch()
    with pytest.raises(UserError, match="extra is not in the manifest"):
        layout.verify_checksums(folder, record)
