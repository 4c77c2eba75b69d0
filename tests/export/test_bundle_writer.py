"""A bundle appears complete and verified, or not at all. It can be verified again later."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import keras
import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest

import kerasfound as kf
from kerasfound.bundle import layout, manifest, recorded_cases
from kerasfound.errors import UserError
from kerasfound.export.converter import convert
from kerasfound.export.staging import staging_folder
from kerasfound.export.verification import verify
from kerasfound.serving.limits import Limits
from kerasfound.serving.model_repository import Repository

pytestmark = pytest.mark.slow
layers = keras.layers


@pytest.fixture(scope="module")
def models(tmp_path_factory, digits_run):
    folder = tmp_path_factory.mktemp("models")
    kf.export.bundle(digits_run, folder)
    return folder


@pytest.fixture
def bundle(models, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(models / "mnist_cnn" / "1", tmp_path / "mnist_cnn" / "1")


def read_files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_repository_has_the_files_of_all_engines(models):
    names = read_files(models)
    assert {"mnist_cnn/config.pbtxt", "mnist_cnn/1/model.onnx", "mnist_cnn/1/manifest.json"} <= set(names)
    assert {"mnist_cnn/1/saved_model.pb", "mnist_cnn/1/variables/variables.index"} <= set(names)


def test_the_manifest_agrees_with_the_run(bundle, digits_run):
    read = manifest.read(bundle / "manifest.json")
    assert (read.name, read.version, read.task) == ("mnist_cnn", 1, "image_classification")
    assert read.inputs == [manifest.Tensor("image", "float32", ["batch", 8, 8, 1])]
    assert read.outputs == [manifest.Tensor("probabilities", "float32", ["batch", 10])]
    assert read.labels == list("0123456789")
    assert read.metrics == digits_run.results["test"]
    assert read.measured_on.sha256 == digits_run.environment["data"]["sha256"]
    assert set(read.files) == {path for path in read_files(bundle) if path != "manifest.json"}


def test_both_formats_agree_with_the_trained_model_at_all_batch_sizes(bundle):
    records = kf.export.verify(bundle)
    assert [record.format for record in records] == ["saved_model", "onnx"]
    for record in records:
        assert record.batch_sizes == [1, 2, 5, 32]
        assert set(record.input_kinds) >= {"samples", "random", "zeros", "large"}
        assert record.max_scaled_difference <= record.tolerance == 1e-5
        assert record.equal_decisions == 1


def test_the_onnx_file_has_the_default_opset_and_the_declared_tensors(bundle):
    proto = onnx.load(bundle / "model.onnx")
    assert [opset.version for opset in proto.opset_import if opset.domain == ""] == [18]
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("image", ["batch", 8, 8, 1])]
    assert [(y.name, y.shape) for y in session.get_outputs()] == [("probabilities", ["batch", 10])]


def test_raw_pixels_are_valid_inputs_of_the_onnx_file(bundle, digits_run):
    samples = digits_run.samples
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    (output,) = session.run(None, {"image": samples["x"].astype("float32")})
    assert np.allclose(output, samples["prediction"], atol=1e-5)


def test_a_second_export_is_version_2_and_does_not_change_version_1(tmp_path, digits_run):
    kf.export.bundle(digits_run, tmp_path, name="mine")
    before = read_files(tmp_path / "mine" / "1")
    assert kf.export.bundle(digits_run, tmp_path, name="mine") == tmp_path / "mine" / "2"
    assert read_files(tmp_path / "mine" / "1") == before
    assert kf.bundle.version_folder(tmp_path / "mine") == tmp_path / "mine" / "2"


@pytest.mark.parametrize("name", ["model.onnx", "saved_model.pb", "verification.npz", "variables/variables.index"])
def test_a_changed_byte_raises_an_error_that_names_the_file(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} was changed"):
        kf.export.verify(bundle)


def test_a_missing_file_an_added_file_and_a_link_raise_errors_that_name_them(bundle):
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


def test_a_file_with_other_weights_raises_an_error(bundle):
    """Verification compares outputs, not only checksums."""
    proto = onnx.load(bundle / "model.onnx")
    weights = max(proto.graph.initializer, key=lambda w: len(w.raw_data))
    weights.raw_data = (np.frombuffer(weights.raw_data, "float32") * 1.01).astype("float32").tobytes()
    onnx.save(proto, bundle / "model.onnx")
    read = manifest.read(bundle / "manifest.json")
    expected = verify.ExpectedOutputs("it", read, recorded_cases.load(bundle), 1e-5)
    with pytest.raises(UserError, match="onnx: output probabilities differs from the trained model's"):
        verify.compare_file("onnx", bundle / "model.onnx", expected)


def test_a_failed_export_does_not_change_the_repository(tmp_path, digits_run, monkeypatch):
    kf.export.bundle(digits_run, tmp_path)
    before = read_files(tmp_path)

    def fail(*arguments, **options):
        raise UserError("cannot be exported")

    monkeypatch.setattr(convert, "save_onnx", fail)
    for name in ("mnist_cnn", "new"):
        with pytest.raises(UserError, match="cannot be exported"):
            kf.export.bundle(digits_run, tmp_path, name=name)
    assert read_files(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mnist_cnn"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 65, "name\n"])
def test_an_invalid_name_raises_an_error(tmp_path, digits_run, name):
    with pytest.raises(UserError, match=r"`name` .*: use 1 to 64 letters"):
        kf.export.bundle(digits_run, tmp_path / "models", name=name or " ")
    assert not (tmp_path / "models").exists()


def test_a_repository_that_is_a_file_raises_an_error(tmp_path, digits_run):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(UserError, match="cannot be written to"):
        kf.export.bundle(digits_run, tmp_path / "models")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"schema_version": 99}', "\xff"])
def test_an_invalid_manifest_raises_an_error(bundle, content):
    (bundle / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="not a manifest"):
        kf.export.verify(bundle)


@pytest.mark.parametrize(("old", "new"), [('"7"', '"6"'), ('"high": 255', '"high": 155'), ("  ", " \t")])
def test_a_manifest_with_a_changed_byte_raises_an_error(bundle, old, new):
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=r"manifest\.json: was changed after its export"):
        kf.export.verify(bundle)


def test_a_manifest_with_a_newer_schema_version_raises_an_error(bundle):
    later = msgspec.structs.replace(manifest.read(bundle / "manifest.json"), schema_version=2)
    manifest.write(later, bundle / "manifest.json")
    with pytest.raises(UserError, match="schema version 2, not 1"):
        kf.export.verify(bundle)


def two_and_two():
    """A model with two inputs and two outputs of three dtypes."""
    row, ids = keras.Input((3,), name="row"), keras.Input((None,), dtype="int32", name="ids")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(7, 3)(ids))
    total = layers.Add(name="total")([row, mean])
    return keras.Model([row, ids], [total, keras.ops.any(total > 0, axis=-1)], name="both")


def small():
    return keras.Sequential([keras.Input((4,), name="x"), layers.Dense(3, name="y")], name="small")


def open_repository(folder):
    """Open a folder of bundles as our server does."""
    (folder / ".away").mkdir()
    return Repository(folder, Limits(), ThreadPoolExecutor(1), folder / ".away")


def is_empty(folder):
    return not folder.exists() or not any(folder.iterdir())


def test_an_input_takes_missing_values_if_the_model_does(tmp_path):
    filled, passed_on = keras.Input((3,), name="filled"), keras.Input((3,), name="passed_on")
    outputs = layers.Dense(2, name="y")(kf.layers.Imputation([1.0, 2.0, 3.0])(filled) + passed_on)
    folder = kf.export.bundle(keras.Model([filled, passed_on], outputs, name="fills"), tmp_path)
    assert {x.name: x.nullable for x in manifest.read(folder / "manifest.json").inputs} == {
        "filled": True,
        "passed_on": False,
    }
    assert "missing" in {case.kind for case in recorded_cases.load(folder)}


def test_a_model_with_several_inputs_and_outputs_is_exported_and_served(tmp_path):
    model = two_and_two()
    folder = kf.export.bundle(model, tmp_path)
    read = manifest.read(folder / "manifest.json")
    assert (read.name, read.task, read.labels, read.postprocessing) == ("both", "tensors", [], [])
    assert [(x.dtype, x.shape) for x in read.inputs] == [("float32", ["batch", 3]), ("int32", ["batch", "time"])]
    assert [(y.dtype, y.shape) for y in read.outputs] == [("float32", ["batch", 3]), ("bool", ["batch"])]
    assert [x.num_ids for x in read.inputs] == [None, 7]  # the embedding looks up the ids without changes
    assert [record.dynamic_sizes for record in kf.export.verify(tmp_path / "both")] == [{"time": [1, 2, 7, 16]}] * 2
    feeds = {"row": np.ones((2, 3), "float32"), "ids": np.ones((2, 5), "int32")}
    outputs = asyncio.run(open_repository(tmp_path).get("both").predict(feeds))
    for expected, output in zip(model([feeds["row"], feeds["ids"]]), outputs.values(), strict=True):
        np.testing.assert_allclose(output, expected, atol=1e-6)


def test_num_ids_is_known_only_if_an_embedding_looks_up_the_input_without_changes(tmp_path):
    ids = keras.Input((3,), dtype="int32", name="ids")
    table = layers.Embedding(7, 2)
    shifted = kf.export.bundle(keras.Model(ids, table(ids + 1), name="shifted"), tmp_path)
    twice = keras.Model(ids, [table(ids), layers.Embedding(5, 2)(ids)], name="twice")
    assert manifest.read(shifted / "manifest.json").inputs[0].num_ids is None
    assert manifest.read(kf.export.bundle(twice, tmp_path) / "manifest.json").inputs[0].num_ids == 5


def test_the_model_card_has_training_metrics_tensors_and_verification(bundle, digits_run):
    card = (bundle / "README.md").read_text()
    read = manifest.read(bundle / "manifest.json")
    assert "Trained on `digits`" in card
    assert str(digits_run.folder) not in card
    assert f"- epochs: {digits_run.settings['epochs']}" in card
    assert f"| accuracy | {read.metrics['accuracy']:.4f} |" in card
    assert "| input | `image` | float32 | batch, 8, 8, 1 |" in card
    assert "returns one of its labels for any image" in card
    for record in read.verification:
        assert f"| {record.format} | {record.num_inputs} |" in card


@pytest.mark.slow
def test_the_command_line_exports_a_keras_file_with_labels(kerasfound, tmp_path):
    small().save(tmp_path / "tiny.keras")
    (tmp_path / "labels.txt").write_text("cat\ndog\n\nbird\n")
    process = kerasfound(
        "export", tmp_path / "tiny.keras", "--to", tmp_path / "models", "--labels", tmp_path / "labels.txt"
    )
    assert process.returncode == 0, process.stderr
    assert f"verified: {tmp_path}/models/tiny/1" in process.stdout
    read = manifest.read(tmp_path / "models/tiny/1/manifest.json")
    assert (read.task, read.labels) == ("classification", ["cat", "dog", "bird"])
    process = kerasfound("verify", tmp_path / "models/tiny/1/model.onnx", "--model", tmp_path / "tiny.keras")
    assert process.returncode == 0, process.stderr


def test_labels_that_do_not_fit_raise_an_error(tmp_path):
    with pytest.raises(UserError, match="`labels`: 2 for an output of size 3"):
        kf.export.bundle(small(), tmp_path / "models", labels=["a", "b"])
    with pytest.raises(UserError, match="`labels`: 2 for an output of size 3, batch"):
        kf.export.bundle(two_and_two(), tmp_path / "models", labels=["a", "b"])
    with pytest.raises(UserError, match="`labels`: 2 of them are 'a'; give each class its own name"):
        kf.export.bundle(small(), tmp_path / "models", labels=["a", "b", "a"])
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("export", [kf.export.bundle, kf.export.onnx, kf.export.saved_model])
def test_a_value_that_is_no_model_raises_an_error(tmp_path, export):
    with pytest.raises(UserError, match="int is not a Keras model"):
        export(3, tmp_path / "model")


def test_a_version_of_a_parallel_export_is_not_overwritten(tmp_path, monkeypatch):
    kf.export.bundle(small(), tmp_path)
    before, versions = read_files(tmp_path / "small" / "1"), iter([[], [1]])
    monkeypatch.setattr(layout, "versions_in", lambda folder: next(versions))
    assert kf.export.bundle(small(), tmp_path) == tmp_path / "small" / "2"
    assert read_files(tmp_path / "small" / "1") == before
    assert manifest.read(tmp_path / "small/2/manifest.json").version == 2


def test_a_file_with_the_name_of_the_model_raises_an_error(tmp_path):
    (tmp_path / "small").write_text("a file")
    with pytest.raises(UserError, match="is a file, expected the folder"):
        kf.export.bundle(small(), tmp_path)
    assert read_files(tmp_path) == {"small": b"a file"}


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to")
def test_a_read_only_folder_raises_an_error():
    for export, path in ((kf.export.bundle, "/proc/models"), (kf.export.onnx, "/proc/m.onnx")):
        with pytest.raises(UserError, match=r"/proc.*cannot be written to"):
            export(small(), path)


def test_a_folder_as_the_path_of_an_onnx_file_raises_an_error(tmp_path):
    with pytest.raises(UserError, match="is a folder; name a file"):
        kf.export.onnx(small(), tmp_path)


class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x


def malicious_file(folder, kind):
    """Write a damaged or malicious `.keras` file."""
    file = folder / "model.keras"
    x = keras.Input((4,), name="x")
    layer = {"lambda": layers.Lambda(lambda x: x + 1), "class": Unregistered()}.get(kind, layers.Dense(2))
    keras.Model(x, layer(x)).save(file)
    if kind in ("lambda", "class"):
        return file
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    changes = {
        "bomb": {"config.json": b"0" * (200 << 20)},
        "traversal": {"../../evil": b"x"},
        "json": {"config.json": b"{"},
        "deep": {"config.json": b"[" * 100_000},
        "module": {
            "config.json": json.dumps(
                {"module": "os", "class_name": "system", "config": {"command": "touch evil"}, "registered_name": None}
            ).encode()
        },
        "weights": {"model.weights.h5": b"not HDF5"},
        "missing": {},
    }
    if kind == "missing":
        entries.pop("config.json")
    if kind == "text":
        file.write_text("a text")
        return file
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (entries | changes[kind]).items():
            archive.writestr(name, content)
    return file


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("lambda", "it holds code"),
        ("class", "it holds the class .*, which is unknown here; load it in Python where it is defined"),
        ("bomb", r"holds 'config\.json', which expands from .* to 209,715,200 bytes"),
        ("traversal", r"holds the path '\.\./\.\./evil', which leads outside the file"),
        ("json", "cannot be loaded"),
        ("deep", "cannot be loaded"),
        ("module", "cannot be loaded"),
        ("weights", "cannot be loaded"),
        ("missing", "cannot be loaded"),
        ("text", "cannot be loaded"),
    ],
)
def test_a_malicious_file_is_not_run_and_raises_one_clear_error(tmp_path, kind, reason, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = malicious_file(tmp_path, kind)
    with pytest.raises(UserError, match=reason) as raised:
        kf.export.bundle(file, tmp_path / "models")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.slow
def test_the_command_line_reports_a_malicious_file_in_one_line(kerasfound, tmp_path):
    file = malicious_file(tmp_path, "lambda")
    for arguments in (["export", file, "--to", tmp_path / "models"], ["export", file, "--name", "../up"]):
        process = kerasfound(*arguments)
        assert (process.returncode, process.stderr.count("\n")) == (2, 1), process.stderr
    assert not (tmp_path / "models").exists()
    missing = kerasfound("export", tmp_path / "missing.keras")
    assert (missing.returncode, "missing.keras: no such file;" in missing.stderr) == (2, True), missing.stderr
    (tmp_path / "alone.onnx").touch()
    alone = kerasfound("verify", tmp_path / "alone.onnx")
    assert (alone.returncode, "give --model as well" in alone.stderr) == (2, True), alone.stderr


def test_the_folder_of_a_running_export_stays_and_that_of_a_killed_export_is_removed(tmp_path):
    with staging_folder(tmp_path) as first:
        (first / "half").touch()
        with staging_folder(tmp_path) as second:
            assert first.is_dir()
        assert not second.exists()
        assert (first / "half").exists()
        copy = shutil.copytree(first, tmp_path / ".export-dead")  # no process has locked its lock file
    with staging_folder(tmp_path):
        assert not copy.exists()
    assert is_empty(tmp_path)


def test_a_failed_export_removes_the_folders_that_it_created(tmp_path):
    with pytest.raises(UserError, match="a reason"), staging_folder(tmp_path / "a" / "b"):
        raise UserError("a reason")
    assert is_empty(tmp_path)


EXPORT = """
import sys
import keras
import kerasfound as kf
{before}
model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3000, name="y")], name="small")
try:
    kf.export.bundle(model, sys.argv[1])
except kf.errors.UserError as error:
    sys.exit(f"refused: {{error}}")
"""


def process(folder, before=""):
    command = [sys.executable, "-c", EXPORT.format(before=before), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_export_is_not_served_and_the_next_export_removes_its_folder(tmp_path):
    kf.export.bundle(small(), tmp_path)
    before = read_files(tmp_path)
    with process(tmp_path) as killed:
        while not list(tmp_path.glob(".export-*/small/made/saved_model.pb")):
            assert killed.poll() is None, killed.stderr.read()
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    visible = {name: content for name, content in read_files(tmp_path).items() if not name.startswith(".export-")}
    assert visible == before
    assert len(list(tmp_path.glob(".export-*"))) == 1
    assert [*open_repository(tmp_path).get_versions("small").versions] == [1]
    kf.export.bundle(small(), tmp_path)
    assert not list(tmp_path.glob(".export-*"))
    assert layout.versions_in(tmp_path / "small") == [1, 2]


def test_a_full_disk_raises_one_clear_error_and_leaves_no_files(tmp_path):
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    with process(tmp_path / "models", limit) as stopped:
        _, errors = stopped.communicate(timeout=120)
    assert stopped.returncode == 1
    assert "refused: " in errors
    assert is_empty(tmp_path)
