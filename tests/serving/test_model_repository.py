"""The model folder: valid and refused bundles, versions that appear and disappear, policies, load and unload."""

import errno
import gc
import hashlib
import json
import os
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest

from kerasfound.bundle import manifest, recorded_cases
from kerasfound.errors import UserError
from kerasfound.serving.client_error import ClientError
from kerasfound.serving.limits import Limits
from kerasfound.serving.model_repository import Repository, VersionPolicy, VersionStatus

THREADS = ThreadPoolExecutor(1)


@pytest.fixture
def open_repository(tmp_path_factory):
    """`open_repository(folder, ...)`: a repository; `log` is a list that collects its log lines."""

    def open_repository(folder, versions="latest", log=None, unloaded=None, precision="float32"):
        unloaded = unloaded or tmp_path_factory.mktemp("unloaded")
        log = log.append if log is not None else lambda _: None
        return Repository(folder, Limits(), THREADS, unloaded, versions, log, precision)

    return open_repository


@pytest.fixture
def assert_refused(open_repository):
    """`assert_refused(folder, *parts)`: no model can be served, and the one-line error contains `parts`."""

    def assert_refused(folder, *parts):
        with pytest.raises(UserError) as raised:
            open_repository(folder)
        line = str(raised.value)
        assert "\n" not in line
        for part in (str(folder), *parts):
            assert part in line

    return assert_refused


def update_checksums(path, *files):
    """Writes the current checksums of these files into the manifest."""
    updated = manifest.read(path / "manifest.json")
    for file in files or ["model.onnx"]:
        updated.files[file] = hashlib.sha256((path / file).read_bytes()).hexdigest()
    manifest.write(updated, path / "manifest.json")


def change_manifest(path, **changes):
    manifest.write(msgspec.structs.replace(manifest.read(path / "manifest.json"), **changes), path / "manifest.json")


def record_cases(path, error_size=0.0, input_name="image"):
    """Records two test cases; the expected outputs of the second differ from the model's by `error_size`."""
    image = np.ones((2, 2, 3), "float32")
    outputs = onnxruntime.InferenceSession(path / "model.onnx").run(None, {"image": image})[0]
    cases = [
        recorded_cases.RecordedCase(kind, {input_name: image}, {"probabilities": outputs + error})
        for kind, error in (("samples", 0.0), ("others", error_size))
    ]
    recorded_cases.save(path, cases)
    update_checksums(path, "verification.npz")
    return path


def write_policy(folder, **settings):
    (folder / "serving.json").write_text(json.dumps(settings))


def served_versions(repo, name="scores"):
    return list(repo.models[name].versions) if name in repo.models else []


def statuses(repo):
    return {(state.name, state.version): state for state in repo.index()}


# ---------------------------------------------------------------------------------------------------------------- start


def test_the_newest_version_all_versions_or_given_versions_are_served(repository, open_repository):
    newest = open_repository(repository)
    assert newest.get("scores").version == 12
    assert str(newest).endswith("scores (version 12), words (version 1)")
    with pytest.raises(ClientError, match="no version '1'; served: 12"):
        newest.get("scores", "1")
    every = open_repository(repository, "all")
    assert every.get("scores").version == 12
    assert every.get("scores", "1").version == 1
    assert served_versions(every) == [12, 1]
    assert "scores (versions 1, 12)" in str(every)
    named = open_repository(repository, [1, 5])
    assert named.get("scores").version == 1
    assert served_versions(named) == [1]


@pytest.mark.parametrize("version", ["13", "01", "0", "-1", "1.0", "", "1" * 30, "\u0661"])
def test_unknown_versions_are_404(repository, open_repository, version):
    with pytest.raises(ClientError) as raised:
        open_repository(repository, "all").get("scores", version)
    assert raised.value.status == 404


def test_a_folder_that_is_missing_empty_or_a_file(tmp_path, assert_refused):
    assert_refused(tmp_path / "missing", "No such file", "kerasfound export RUN --to models/")
    assert_refused(tmp_path, "no bundle; expected <name>/<version>/", "kerasfound export RUN --to models/")
    (tmp_path / "file").write_text("")
    assert_refused(tmp_path / "file", "Not a directory")


def test_the_folder_of_one_model_is_an_error_that_names_its_parent(tmp_path, bundle, assert_refused):
    version = bundle(tmp_path, "scores", 1)
    for folder in (version, version.parent):
        assert_refused(folder, f"no bundle; this folder is one model, serve {tmp_path} instead;")


def test_incomplete_exports_and_other_folders_are_not_bundles(tmp_path, bundle, assert_refused):
    shutil.move(bundle(tmp_path, "scores", 1), tmp_path / "scores" / ".1.partial")
    (tmp_path / "scores" / "assets").mkdir()
    (tmp_path / "notes.txt").write_text("")
    assert_refused(tmp_path, "no bundle")


def test_one_changed_byte_is_detected(tmp_path, bundle, assert_refused):
    file = bundle(tmp_path, "scores", 1) / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert_refused(tmp_path, str(file), "not the file that was verified", "sha256")


def test_external_weights_are_verified_too(tmp_path, bundle, assert_refused):
    path = bundle(tmp_path, "scores", 1)
    updated = manifest.read(path / "manifest.json")
    updated.files["model.onnx.data"] = "0" * 64
    manifest.write(updated, path / "manifest.json")
    assert_refused(tmp_path, "model.onnx.data", "No such file")


def test_files_that_are_missing_or_without_a_checksum(tmp_path, bundle, assert_refused):
    path = bundle(tmp_path, "scores", 1, files={})
    assert_refused(tmp_path, "model.onnx", "no sha256")
    (path / "model.onnx").unlink()
    assert_refused(tmp_path, "model.onnx", "No such file")
    (path / "manifest.json").unlink()
    assert_refused(tmp_path, "manifest.json", "No such file")
    (path / "manifest.json").write_text("{")
    assert_refused(tmp_path, "manifest.json", "not a manifest")


def test_a_file_that_onnx_runtime_cannot_open(tmp_path, bundle, assert_refused):
    path = bundle(tmp_path, "scores", 1)
    (path / "model.onnx").write_bytes(b"not onnx")
    update_checksums(path)
    assert_refused(tmp_path, "ONNX Runtime cannot open it")


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
        ({"preprocessing": [manifest.ProcessingStep("tokenizer", "../words.json")]}, ["'../words.json'", "outside"]),
        ({"preprocessing": [manifest.ProcessingStep("tokenizer", "/etc/passwd")]}, ["'/etc/passwd'", "outside"]),
        ({"preprocessing": [manifest.ProcessingStep("tokenizer", "words.json")]}, ["words.json", "No such file"]),
    ],
)
def test_a_manifest_that_contradicts_the_model(tmp_path, bundle, assert_refused, changes, parts):
    bundle(tmp_path, "scores", 1, **changes)
    assert_refused(tmp_path, *parts)


def test_an_output_without_a_shape_in_the_onnx_file(tmp_path, bundle, open_repository):
    path = bundle(tmp_path, "logarithm", 1, outputs=[manifest.Tensor("y", "float32", ["batch"])])
    model = onnx.load(path / "model.onnx")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path / "model.onnx")
    update_checksums(path)
    assert open_repository(tmp_path).get("logarithm").version == 1


def test_an_output_without_one_row_per_input_row(tmp_path, bundle, assert_refused):
    path = bundle(tmp_path, "scores", 1)
    model = onnx.load(path / "model.onnx")
    model.graph.node[-1].output[0] = "each"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "axis"))
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["each", "axis"], ["probabilities"], keepdims=1))
    onnx.save(model, path / "model.onnx")
    update_checksums(path)
    assert_refused(tmp_path, "'probabilities'", "for 2 rows", "(1, 4), expected (batch, 4)")


def test_outputs_that_differ_from_the_recorded_ones(tmp_path, bundle, assert_refused, open_repository):
    path = record_cases(bundle(tmp_path, "scores", 1))
    assert open_repository(tmp_path).get("scores").version == 1
    record_cases(path, error_size=0.01)
    assert_refused(tmp_path, "the output differs from the trained model", "probabilities")
    record_cases(path, input_name="picture")
    assert_refused(tmp_path, str(path), "have other tensors than the manifest: 'picture'")


def test_valid_versions_are_served_and_broken_ones_are_logged_and_listed(tmp_path, bundle, open_repository):
    bundle(tmp_path, "scores", 1)
    bundle(tmp_path, "scores", 2, files={})
    log = []
    repo = open_repository(tmp_path, "all", log)
    assert served_versions(repo) == [1]
    assert len(log) == 1
    assert str(tmp_path / "scores" / "2") in log[0]
    assert statuses(repo)["scores", "1"] == VersionStatus("scores", "1", True, "")
    assert "no sha256" in statuses(repo)["scores", "2"].reason


def test_if_all_bundles_are_broken_the_error_names_each(tmp_path, bundle, assert_refused):
    bundle(tmp_path, "scores", 1, files={})
    bundle(tmp_path, "pair", 3, files={})
    assert_refused(tmp_path, str(tmp_path / "scores" / "1"), str(tmp_path / "pair" / "3"))


def test_none_of_the_given_versions_exists(tmp_path, bundle, open_repository):
    bundle(tmp_path, "scores", 2)
    with pytest.raises(UserError, match="has no version 3, 4, but 2"):
        open_repository(tmp_path, [3, 4])


# --------------------------------------------------------------------------------------------- new and removed versions


def test_a_new_version_replaces_the_old_one_which_is_freed(tmp_path, bundle, open_repository):
    bundle(tmp_path, "scores", 1)
    log = []
    repo = open_repository(tmp_path, log=log)
    before = weakref.ref(repo.get("scores"))
    repo.refresh()
    assert before() is repo.get("scores")
    bundle(tmp_path, "scores", 2)
    gc.disable()  # the model must be freed without the garbage collector: a server may not run it for hours
    try:
        repo.refresh()
        assert repo.get("scores").version == 2
        assert before() is None
    finally:
        gc.enable()
    assert log == ["serves scores version 2", "no longer serves scores version 1"]


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda path: (path / "model.onnx").write_bytes(b"not onnx"),
        lambda path: [(path / "model.onnx").write_bytes(b"not onnx"), update_checksums(path)],
        lambda path: record_cases(path, error_size=0.01),
        lambda path: record_cases(path, input_name="picture"),
        lambda path: (path / "manifest.json").write_text("{"),
        lambda path: (path / "model.onnx").unlink(),
        lambda path: shutil.copy(path.parent / "1" / "manifest.json", path),
        lambda path: [(path / "verification.npz").write_bytes(b"PK"), update_checksums(path, "verification.npz")],
    ],
    ids=[
        "bytes",
        "not ONNX",
        "outputs",
        "inputs",
        "manifest",
        "no model",
        "manifest of another version",
        "recorded cases",
    ],
)
def test_a_broken_version_is_refused_and_logged_once_and_the_old_one_stays(tmp_path, bundle, open_repository, corrupt):
    bundle(tmp_path, "scores", 1)
    bundle(tmp_path, "pair", 1)
    log = []
    repo = open_repository(tmp_path, log=log)
    before = repo.get("scores")
    path = bundle(tmp_path, "scores", 2)
    corrupt(path)
    bundle(tmp_path, "pair", 2)
    for _ in range(3):
        repo.refresh()
    assert repo.get("scores") is before
    assert repo.get("pair").version == 2  # a broken model does not affect the others
    assert [line for line in log if "pair" not in line] == [f"refused: {statuses(repo)['scores', '2'].reason}"]
    assert str(path) in log[0] + log[1]
    shutil.rmtree(path)
    repo.refresh()
    assert ("scores", "2") not in statuses(repo)


def test_a_loaded_version_stays_if_its_files_are_overwritten_with_broken_ones(tmp_path, bundle, open_repository):
    path = bundle(tmp_path, "scores", 1)
    repo = open_repository(tmp_path)
    before = repo.get("scores")
    (path / "model.onnx").write_bytes(b"not onnx")
    repo.refresh()
    assert repo.get("scores") is before
    assert statuses(repo)["scores", "1"].ready
    assert "not the file that was verified" in statuses(repo)["scores", "1"].reason
    assert statuses(repo)["scores", "1"].reason.endswith("The previously loaded version stays in service.")
    shutil.rmtree(path)
    bundle(tmp_path, "scores", 1)
    repo.refresh()
    assert repo.get("scores") is not before
    assert statuses(repo)["scores", "1"] == VersionStatus("scores", "1", True, "")


def test_a_version_that_is_copied_file_by_file_is_served_once_it_is_complete(tmp_path, bundle, open_repository):
    whole = bundle(tmp_path / "elsewhere", "scores", 2)
    (whole / "assets").mkdir()
    (whole / "assets" / "words.txt").write_text("a b c")
    update_checksums(whole, "model.onnx", "assets/words.txt")
    bundle(tmp_path / "models", "scores", 1)
    log = []
    repo = open_repository(tmp_path / "models", log=log)
    path = tmp_path / "models" / "scores" / "2"
    (path / "assets").mkdir(parents=True)
    content = (whole / "model.onnx").read_bytes()
    for end in (0, 10, 20, len(content)):
        (path / "model.onnx").write_bytes(content[:end])
        repo.refresh()
    shutil.copy(whole / "manifest.json", path)
    repo.refresh()
    assert repo.get("scores").version == 1
    assert len(log) == 2  # first without the manifest, then without the asset
    shutil.copy(whole / "assets" / "words.txt", path / "assets")
    repo.refresh()
    assert repo.get("scores").version == 2


def test_if_a_version_is_removed_the_previous_one_is_served_and_without_versions_none(
    tmp_path, bundle, open_repository
):
    for version in (1, 2):
        bundle(tmp_path, "scores", version)
    bundle(tmp_path, "pair", 1)
    repo = open_repository(tmp_path)
    shutil.rmtree(tmp_path / "scores" / "2")
    repo.refresh()
    assert served_versions(repo) == [1]
    shutil.rmtree(tmp_path / "scores")
    repo.refresh()
    with pytest.raises(ClientError, match="no model 'scores'; served: 'pair'"):
        repo.get("scores")
    shutil.rmtree(tmp_path / "pair")
    repo.refresh()
    with pytest.raises(ClientError, match="served: none"):
        repo.get("pair")


def test_models_stay_loaded_if_the_folder_disappears(tmp_path, bundle, open_repository):
    folder = tmp_path / "models"
    bundle(folder, "scores", 1)
    log = []
    repo = open_repository(folder, log=log)
    before = repo.get("scores")
    folder.rename(tmp_path / "moved")
    for _ in range(3):
        repo.refresh()
    assert repo.get("scores") is before
    assert len(log) == 1
    assert "No such file" in statuses(repo)["", ""].reason
    bundle(tmp_path / "moved", "scores", 2)
    (tmp_path / "moved").rename(folder)
    repo.refresh()
    assert repo.get("scores").version == 2
    assert ("", "") not in statuses(repo)


def test_a_model_folder_that_is_unreadable_for_a_moment_changes_nothing(tmp_path, bundle, open_repository, monkeypatch):
    for name in ("scores", "pair"):
        bundle(tmp_path, name, 1)
    repo = open_repository(tmp_path)
    before = repo.get("scores")
    bundle(tmp_path, "pair", 2)
    list_folder = Path.iterdir

    def iterdir(path):
        if path == tmp_path / "scores":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return list_folder(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", iterdir)
        repo.refresh()
    assert repo.get("scores") is before
    assert repo.get("pair").version == 2
    assert "Too many open files" in statuses(repo)["scores", ""].reason
    repo.refresh()
    assert repo.get("scores") is before


def test_links_are_followed_and_changed_links_are_noticed(tmp_path, bundle, open_repository):
    store = tmp_path / "store"
    first, second = bundle(store / "a", "scores", 1), bundle(store / "b", "scores", 1)
    (tmp_path / "models" / "scores").mkdir(parents=True)
    link = tmp_path / "models" / "scores" / "1"
    link.symlink_to(first)
    (link.parent / "2").symlink_to(tmp_path / "nowhere")
    (link.parent / "3").symlink_to(link.parent / "3")
    repo = open_repository(tmp_path / "models")
    before = repo.get("scores")
    link.unlink()
    link.symlink_to(second)
    repo.refresh()
    assert repo.get("scores") is not before
    assert served_versions(repo) == [1]


# --------------------------------------------------------------------------------------------------------- serving.json


def test_a_policy_file_selects_the_served_versions(tmp_path, bundle, open_repository):
    for version in (1, 2, 3):
        bundle(tmp_path, "scores", version)
    repo = open_repository(tmp_path)
    for settings, expected in (
        ({"versions": "all"}, [3, 2, 1]),
        ({"versions": [1, 2]}, [2, 1]),
        ({"labels": {"old": 1}}, [3, 1]),
        ({"versions": [2], "labels": {"stable": 1}}, [2, 1]),
    ):
        write_policy(tmp_path / "scores", **settings)
        repo.refresh()
        assert served_versions(repo) == expected
    (tmp_path / "scores" / "serving.json").unlink()
    repo.refresh()
    assert served_versions(repo) == [3]


def test_a_canary_gets_its_share_of_the_requests_without_a_version(tmp_path, bundle, open_repository):
    for version in (1, 2, 3):
        bundle(tmp_path, "scores", version)
    write_policy(tmp_path / "scores", labels={"stable": 1, "canary": 2}, canary_share=0.1)
    repo = open_repository(tmp_path, "all")
    versions = [repo.get("scores").version for _ in range(10000)]
    assert set(versions) == {1, 2}
    assert 850 < versions.count(2) < 1150  # five standard deviations
    assert {repo.get("scores", label="canary").version for _ in range(20)} == {2}
    assert {repo.get("scores", "3").version for _ in range(20)} == {3}
    write_policy(tmp_path / "scores", labels={"stable": 1, "canary": 2})
    repo.refresh()
    assert {repo.get("scores").version for _ in range(100)} == {1}
    with pytest.raises(ClientError, match="no label 'next'; served: stable, canary"):
        repo.get("scores", label="next")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "truncated"),
        ("\xff", "malformed"),
        ('{"version": "all"}', "version"),
        ('{"versions": "newest"}', "newest"),
        ('{"versions": []}', "versions"),
        ('{"labels": {"stable": "2"}}', "labels"),
        ('{"canary_share": 2}', "canary_share"),
        ('{"canary_share": 0.5}', "needs a label 'canary'"),
        ('{"labels": {"canary": 2}}', "needs a label 'stable'"),
        ('{"labels": {"stable": 2, "canary": 7}, "canary_share": 1}', "names version 7"),
        ('{"labels": {"stable": 9}}', "names version 9"),
        ('{"labels": {"stable": 3}}', "names version 3"),
        ('{"versions": [2, -1]}', "names version -1"),
    ],
)
def test_an_invalid_policy_is_refused_and_the_previous_one_stays(tmp_path, bundle, open_repository, text, part):
    for version in (1, 2):
        bundle(tmp_path, "scores", version)
    bundle(tmp_path, "scores", 3, files={})
    write_policy(tmp_path / "scores", labels={"stable": 1})
    log = []
    repo = open_repository(tmp_path, log=log)
    before = repo.models
    log.clear()
    (tmp_path / "scores" / "serving.json").write_text(text, encoding="latin-1")
    for _ in range(2):
        repo.refresh()
    assert repo.get("scores").version == 1
    assert repo.models == before
    assert len(log) == 1
    assert part.lower() in statuses(repo)["scores", ""].reason.lower()
    assert part.lower() in log[0].lower()
    assert "\n" not in log[0]


def test_a_policy_takes_effect_once_its_versions_exist(tmp_path, bundle, open_repository):
    bundle(tmp_path, "scores", 1)
    repo = open_repository(tmp_path)
    write_policy(tmp_path / "scores", labels={"stable": 1, "canary": 2}, canary_share=1)
    repo.refresh()
    assert repo.get("scores").version == 1
    bundle(tmp_path, "scores", 2)
    repo.refresh()
    assert repo.get("scores").version == 2
    assert repo.get("scores", label="stable").version == 1
    shutil.rmtree(tmp_path / "scores" / "2")
    repo.refresh()
    assert repo.get("scores").version == 1
    with pytest.raises(ClientError, match="no label 'canary'; served: stable"):
        repo.get("scores", label="canary")


def test_an_invalid_policy_at_the_start_is_reported_and_applied_as_far_as_possible(tmp_path, bundle, open_repository):
    for version in (1, 2):
        bundle(tmp_path, "scores", version)
    write_policy(tmp_path / "scores", labels={"stable": 1, "canary": 3}, canary_share=1)
    repo = open_repository(tmp_path)
    assert repo.get("scores").version == 1
    assert "names version 3" in statuses(repo)["scores", ""].reason
    shutil.rmtree(tmp_path / "scores" / "2")
    write_policy(tmp_path / "scores", versions=[1, 2])
    repo = open_repository(tmp_path)
    assert served_versions(repo) == [1]
    shutil.move(tmp_path / "scores" / "1", tmp_path / "scores" / "4")  # no policy matches the versions now
    change_manifest(tmp_path / "scores" / "4", version=4)
    write_policy(tmp_path / "scores", versions=[4, 5])
    repo.refresh()
    assert served_versions(repo) == [4]
    shutil.rmtree(tmp_path / "scores" / "4")
    bundle(tmp_path, "scores", 1)
    (tmp_path / "scores" / "serving.json").write_text("[]")
    repo = open_repository(tmp_path)
    assert served_versions(repo) == [1]
    assert repo.models["scores"].policy == VersionPolicy()
    assert "serving.json" in statuses(repo)["scores", ""].reason


# ------------------------------------------------------------------------------------------------------ load and unload


def test_an_unloaded_model_stays_unloaded_until_it_is_loaded(tmp_path, bundle, open_repository):
    for name in ("scores", "pair"):
        bundle(tmp_path, name, 1)
    repo = open_repository(tmp_path)
    repo.unload("scores")
    bundle(tmp_path, "scores", 2)
    repo.refresh()
    assert served_versions(repo) == []
    assert statuses(repo)["scores", ""] == VersionStatus("scores", "", False, "unloaded")
    with pytest.raises(ClientError, match="no model 'scores'"):
        repo.unload("scores")
    repo.load("scores")
    assert served_versions(repo) == [2]
    for name in ("nothing", "..", "", "a/b"):
        with pytest.raises(ClientError, match="no model"):
            repo.load(name)


def test_a_model_unloaded_in_one_process_is_unloaded_in_all(tmp_path, bundle, open_repository):
    bundle(tmp_path / "models", "scores", 1)
    (tmp_path / "unloaded").mkdir()
    first, second = (open_repository(tmp_path / "models", unloaded=tmp_path / "unloaded") for _ in range(2))
    first.unload("scores")
    second.refresh()
    assert served_versions(second) == []
    second.load("scores")
    first.refresh()
    assert served_versions(first) == [1]


def test_load_tries_a_refused_version_again(tmp_path, bundle, open_repository, monkeypatch):
    path = bundle(tmp_path, "scores", 1)
    bundle(tmp_path, "pair", 1)
    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "a bad disk")))
        with pytest.raises(UserError, match="a bad disk"):
            open_repository(tmp_path)
    repo = open_repository(tmp_path)
    (path / "model.onnx").rename(path / "model")
    repo.unload("scores")
    with pytest.raises(ClientError, match="No such file"):
        repo.load("scores")
    (path / "model").rename(path / "model.onnx")
    repo.load("scores")
    assert served_versions(repo) == [1]


def test_concurrent_changes_never_show_an_inconsistent_repository(tmp_path, bundle, open_repository):
    """Threads refresh, load, unload, get and list models while versions appear and disappear."""
    bundle(tmp_path / "models", "scores", 1)
    bundle(tmp_path / "models", "pair", 1)
    spare = bundle(tmp_path / "spare", "scores", 2)
    repo = open_repository(tmp_path / "models", "all")
    stop, errors = threading.Event(), []

    def repeat(action):
        while not stop.is_set():
            try:
                action()
            except ClientError as error:
                if error.status not in (400, 404):
                    errors.append(error)
            except Exception as error:
                errors.append(error)

    def get_models():
        assert repo.get("scores").version in (1, 2)
        repo.get("pair")

    actions = [get_models, repo.index, repo.refresh, lambda: repo.load("pair"), lambda: repo.unload("pair")]
    threads = [threading.Thread(target=repeat, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for _ in range(20):
        shutil.copytree(spare, tmp_path / "models" / "scores" / "2")
        repo.refresh()
        shutil.rmtree(tmp_path / "models" / "scores" / "2")
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_bundle_without_8_bit_weights_is_not_served_as_int8(tmp_path, bundle, open_repository):
    bundle(tmp_path, "scores", 1)
    with pytest.raises(UserError, match=r"no model\.int8\.onnx; export the run with --quantize int8, or serve float32"):
        open_repository(tmp_path, precision="int8")
