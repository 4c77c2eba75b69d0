"""What a folder of bundles must be to be served, and what is said when it is not."""

import hashlib
import shutil

import onnx
import pytest

from kerasfound.errors import UserError
from kerasfound.export import manifest
from kerasfound.serving.errors import ClientError
from kerasfound.serving.repository import Repository


def broken(folder, *parts):
    """Nothing there can be served, which one line says that holds `parts`."""
    with pytest.raises(UserError) as raised:
        Repository(folder)
    line = str(raised.value)
    assert "\n" not in line
    for part in (str(folder), *parts):
        assert part in line


def seal(path):
    """Makes the manifest promise the model file as it is now."""
    promised = manifest.read(path / "manifest.json")
    promised.files["model.onnx"] = hashlib.sha256((path / "model.onnx").read_bytes()).hexdigest()
    manifest.write(promised, path / "manifest.json")


def test_finds_every_version_and_serves_the_highest(repository):
    found = Repository(repository)
    assert found.get("scores").version == 12
    assert found.get("scores", "1").version == 1
    assert found.versions("scores") == [12, 1]
    assert "scores (versions 1, 12)" in str(found)
    assert "pair (version 1)" in str(found)
    with pytest.raises(ClientError, match="no version '13'"):
        found.get("scores", "13")


def test_a_folder_that_is_missing_empty_or_a_file(tmp_path):
    broken(tmp_path / "missing", "No such file", "kerasfound export RUN --to models/")
    broken(tmp_path, "no bundle", "<name>/<version>/", "kerasfound export RUN --to models/")
    (tmp_path / "file").write_text("")
    broken(tmp_path / "file", "Not a directory")


def test_half_written_exports_and_other_folders_are_not_bundles(tmp_path, bundle):
    shutil.move(bundle(tmp_path, "scores", 1), tmp_path / "scores" / ".1.partial")
    (tmp_path / "scores" / "assets").mkdir()
    (tmp_path / "notes.txt").write_text("")
    broken(tmp_path, "no bundle")


def test_one_byte_changed(tmp_path, bundle):
    file = bundle(tmp_path, "scores", 1) / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    broken(tmp_path, str(file), "not the file that was verified", "sha256")


def test_weights_beside_the_model_are_checked_too(tmp_path, bundle):
    path = bundle(tmp_path, "scores", 1)
    promised = manifest.read(path / "manifest.json")
    promised.files["model.onnx.data"] = "0" * 64
    manifest.write(promised, path / "manifest.json")
    broken(tmp_path, "model.onnx.data", "No such file")


def test_files_missing_or_not_promised(tmp_path, bundle):
    path = bundle(tmp_path, "scores", 1, files={})
    broken(tmp_path, "model.onnx", "no sha256")
    (path / "model.onnx").unlink()
    broken(tmp_path, "model.onnx", "No such file")
    (path / "manifest.json").unlink()
    broken(tmp_path, "manifest.json", "No such file")
    (path / "manifest.json").write_text("{")
    broken(tmp_path, "manifest.json", "not a manifest")


def test_a_file_that_onnx_runtime_cannot_open(tmp_path, bundle):
    path = bundle(tmp_path, "scores", 1)
    (path / "model.onnx").write_bytes(b"not onnx")
    seal(path)
    broken(tmp_path, "ONNX Runtime cannot open it")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"name": "other"}, ["other version 1", "scores version 1"]),
        ({"version": 2}, ["scores version 2", "scores version 1"]),
        ({"schema_version": 99}, ["99"]),
        ({"inputs": [manifest.Tensor("x", "float32", ["batch", 2, 3])]}, ["inputs", "'x'", "'image'"]),
        ({"inputs": [manifest.Tensor("image", "int64", ["batch", 2, 3])]}, ["'image'", "int64", "tensor(float)"]),
        ({"inputs": [manifest.Tensor("image", "complex64", ["batch", 2, 3])]}, ["'image'", "complex64"]),
        ({"inputs": [manifest.Tensor("image", "float32", ["batch", 2])]}, ["(batch, 2)", "(batch, 2, 3)"]),
        ({"inputs": [manifest.Tensor("image", "float32", ["batch", 2, 4])]}, ["(batch, 2, 4)", "(batch, 2, 3)"]),
        ({"inputs": [manifest.Tensor("image", "float32", ["batch", 2, "width"])]}, ["(batch, 2, width)"]),
        ({"outputs": [manifest.Tensor("probabilities", "float32", ["batch", 5])]}, ["(batch, 5)", "(batch, 4)"]),
        ({"outputs": []}, ["outputs", "'probabilities'"]),
    ],
)
def test_a_manifest_that_promises_something_else(tmp_path, bundle, changes, parts):
    bundle(tmp_path, "scores", 1, **changes)
    broken(tmp_path, *parts)


def test_an_output_whose_shape_only_the_answer_shows(tmp_path, bundle):
    path = bundle(tmp_path, "logarithm", 1, outputs=[manifest.Tensor("y", "float32", ["batch"])])
    model = onnx.load(path / "model.onnx")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path / "model.onnx")
    seal(path)
    assert Repository(tmp_path).get("logarithm").version == 1


def test_the_good_are_served_and_the_broken_named_on_stderr(tmp_path, bundle, capsys):
    bundle(tmp_path, "scores", 1)
    bundle(tmp_path, "scores", 2, files={})
    found = Repository(tmp_path)
    assert found.versions("scores") == [1]
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert str(tmp_path / "scores" / "2") in errors


def test_all_broken_is_an_error_that_names_each(tmp_path, bundle):
    bundle(tmp_path, "scores", 1, files={})
    bundle(tmp_path, "pair", 3, files={})
    broken(tmp_path, str(tmp_path / "scores" / "1"), str(tmp_path / "pair" / "3"))
