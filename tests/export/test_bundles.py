"""A bundle appears whole and proven, or not at all; later its proof can be repeated."""

import shutil

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.export import graphs, manifest, verification


@pytest.fixture(scope="module")
def repository(tmp_path_factory, digits_run):
    folder = tmp_path_factory.mktemp("models")
    kf.export.bundle(digits_run, folder)
    return folder


@pytest.fixture
def bundle(repository, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(repository / "mnist_cnn" / "1", tmp_path / "mnist_cnn" / "1")


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_repository_is_one_for_every_engine(repository):
    names = tree(repository)
    assert {"mnist_cnn/config.pbtxt", "mnist_cnn/1/model.onnx", "mnist_cnn/1/manifest.json"} <= set(names)
    assert {"mnist_cnn/1/saved_model.pb", "mnist_cnn/1/variables/variables.index"} <= set(names)


def test_the_manifest_says_what_the_run_said(bundle, digits_run):
    read = manifest.read(bundle / "manifest.json")
    assert (read.name, read.version, read.task) == ("mnist_cnn", 1, "image_classification")
    assert read.inputs == [manifest.Tensor("image", "float32", ["batch", 8, 8, 1])]
    assert read.outputs == [manifest.Tensor("probabilities", "float32", ["batch", 10])]
    assert read.labels == list("0123456789")
    assert read.metrics == digits_run.results["test"]
    assert read.measured_on.sha256 == digits_run.environment["data"]["sha256"]
    assert set(read.files) == {path for path in tree(bundle) if path != "manifest.json"}


def test_both_formats_answer_as_the_trained_model_at_every_batch_size(bundle):
    checks = kf.export.verify(bundle)
    assert [check.format for check in checks] == ["saved_model", "onnx"]
    for check in checks:
        assert check.batch_sizes == [1, 2, 5, 32]
        assert set(check.kinds) >= {"samples", "random", "zeros", "large"}
        assert check.max_absolute_difference < 1e-5
        assert check.equal_decisions == 1


def test_the_onnx_file_is_tidy(bundle):
    proto = onnx.load(bundle / "model.onnx")
    assert [opset.version for opset in proto.opset_import if opset.domain == ""] == [18]
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("image", ["batch", 8, 8, 1])]
    assert [(y.name, y.shape) for y in session.get_outputs()] == [("probabilities", ["batch", 10])]


def test_raw_pixels_give_the_trained_models_answer_in_onnx(bundle, digits_run):
    samples = digits_run.samples
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    (answer,) = session.run(None, {"image": samples["x"].astype("float32")})
    assert np.allclose(answer, samples["answer"], atol=1e-5)


def test_exporting_again_is_the_next_version_and_leaves_the_first(tmp_path, digits_run):
    kf.export.bundle(digits_run, tmp_path, name="mine")
    before = tree(tmp_path / "mine" / "1")
    assert kf.export.bundle(digits_run, tmp_path, name="mine") == tmp_path / "mine" / "2"
    assert tree(tmp_path / "mine" / "1") == before
    assert kf.export.version_folder(tmp_path / "mine") == tmp_path / "mine" / "2"


@pytest.mark.parametrize("name", ["model.onnx", "saved_model.pb", "verification.npz", "variables/variables.index"])
def test_one_changed_byte_is_found_and_named(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} was changed"):
        kf.export.verify(bundle)


def test_a_missing_an_added_and_a_linked_file_are_named(bundle):
    (bundle / "extra").touch()
    with pytest.raises(UserError, match="extra is not in the manifest"):
        kf.export.verify(bundle)
    (bundle / "extra").unlink()
    (bundle / "link").symlink_to(bundle / "model.onnx")
    with pytest.raises(UserError, match="link is a link"):
        kf.export.verify(bundle)
    (bundle / "link").unlink()
    (bundle / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"model\.onnx is missing"):
        kf.export.verify(bundle)


def test_a_file_that_answers_otherwise_is_refused(bundle):
    """The proof is of the answers, not of the sums alone: weights of another seed do not pass."""
    proto = onnx.load(bundle / "model.onnx")
    weights = max(proto.graph.initializer, key=lambda w: len(w.raw_data))
    weights.raw_data = (np.frombuffer(weights.raw_data, "float32") * 1.01).astype("float32").tobytes()
    onnx.save(proto, bundle / "model.onnx")
    with pytest.raises(UserError, match="onnx answers otherwise than the trained model: probabilities"):
        verification.compare(
            "onnx",
            bundle / "model.onnx",
            manifest.read(bundle / "manifest.json"),
            verification.load_vectors(bundle),
            verification.TOLERANCE,
        )


def test_a_failed_export_leaves_the_repository_as_it_was(tmp_path, digits_run, monkeypatch):
    kf.export.bundle(digits_run, tmp_path)
    before = tree(tmp_path)

    def broken(*arguments):
        raise UserError("no ONNX form")

    monkeypatch.setattr(graphs, "onnx", broken)
    for name in ("mnist_cnn", "new"):
        with pytest.raises(UserError, match="no ONNX form"):
            kf.export.bundle(digits_run, tmp_path, name=name)
    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mnist_cnn"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 65, "name\n"])
def test_a_name_that_leaves_the_repository_is_refused(tmp_path, digits_run, name):
    with pytest.raises(UserError, match="--name"):
        kf.export.bundle(digits_run, tmp_path / "models", name=name or " ")
    assert not (tmp_path / "models").exists()


def test_a_repository_that_is_a_file_is_refused(tmp_path, digits_run):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(UserError, match="cannot be written to"):
        kf.export.bundle(digits_run, tmp_path / "models")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"schema_version": 99}', "\xff"])
def test_what_is_no_manifest_is_refused(bundle, content):
    (bundle / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="not a manifest"):
        kf.export.verify(bundle)


@pytest.mark.parametrize(("old", "new"), [('"7"', '"6"'), ('"high": 255', '"high": 155'), ("  ", " \t")])
def test_a_manifest_of_which_one_byte_was_changed_is_refused(bundle, old, new):
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=r"manifest\.json: was changed after its export"):
        kf.export.verify(bundle)


def test_a_manifest_of_a_later_schema_is_refused(bundle):
    later = msgspec.structs.replace(manifest.read(bundle / "manifest.json"), schema_version=2)
    manifest.write(later, bundle / "manifest.json")
    with pytest.raises(UserError, match="schema version 2, not 1"):
        kf.export.verify(bundle)
