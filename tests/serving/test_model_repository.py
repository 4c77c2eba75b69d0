"""What a folder of bundles must be to be served, how they come and go, and what is said of those refused."""

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
def opened(tmp_path_factory):
    """`opened(folder, ...)`: a repository, and with `log` a list of what it says."""

    def opened(folder, versions="latest", log=None, away=None):
        away = away or tmp_path_factory.mktemp("away")
        return Repository(folder, Limits(), THREADS, away, versions, log.append if log is not None else lambda _: None)

    return opened


@pytest.fixture
def broken(opened):
    """`broken(folder, *parts)`: nothing there can be served, which one line says that holds `parts`."""

    def broken(folder, *parts):
        with pytest.raises(UserError) as raised:
            opened(folder)
        line = str(raised.value)
        assert "\n" not in line
        for part in (str(folder), *parts):
            assert part in line

    return broken


def seal(path, *files):
    """Makes the manifest promise these files as they are now."""
    promised = manifest.read(path / "manifest.json")
    for file in files or ["model.onnx"]:
        promised.files[file] = hashlib.sha256((path / file).read_bytes()).hexdigest()
    manifest.write(promised, path / "manifest.json")


def seal_as(path, **changes):
    manifest.write(msgspec.structs.replace(manifest.read(path / "manifest.json"), **changes), path / "manifest.json")


def prove(path, wrong=0.0, asked="image"):
    """Records one question with its answer, and one that is `wrong` by so much."""
    image = np.ones((2, 2, 3), "float32")
    answer = onnxruntime.InferenceSession(path / "model.onnx").run(None, {"image": image})[0]
    questions = [
        recorded_cases.RecordedCase(kind, {asked: image}, {"probabilities": answer + extra})
        for kind, extra in (("samples", 0.0), ("others", wrong))
    ]
    recorded_cases.save(path, questions)
    seal(path, "verification.npz")
    return path


def rules(folder, **settings):
    (folder / "serving.json").write_text(json.dumps(settings))


def served(found, name="scores"):
    return list(found.models[name].versions) if name in found.models else []


def states(found):
    return {(state.name, state.version): state for state in found.index()}


# ------------------------------------------------------------------------------------------------------ at the start


def test_the_newest_version_is_served_or_all_or_those_that_are_named(repository, opened):
    newest = opened(repository)
    assert newest.get("scores").version == 12
    assert str(newest).endswith("scores (version 12), words (version 1)")
    with pytest.raises(ClientError, match="no version '1'; served: 12"):
        newest.get("scores", "1")
    every = opened(repository, "all")
    assert every.get("scores").version == 12
    assert every.get("scores", "1").version == 1
    assert served(every) == [12, 1]
    assert "scores (versions 1, 12)" in str(every)
    named = opened(repository, [1, 5])
    assert named.get("scores").version == 1
    assert served(named) == [1]


@pytest.mark.parametrize("version", ["13", "01", "0", "-1", "1.0", "", "1" * 30, "\u0661"])
def test_versions_that_are_not_there(repository, opened, version):
    with pytest.raises(ClientError) as raised:
        opened(repository, "all").get("scores", version)
    assert raised.value.status == 404


def test_a_folder_that_is_missing_empty_or_a_file(tmp_path, broken):
    broken(tmp_path / "missing", "No such file", "kerasfound export RUN --to models/")
    broken(tmp_path, "no bundle; expected <name>/<version>/", "kerasfound export RUN --to models/")
    (tmp_path / "file").write_text("")
    broken(tmp_path / "file", "Not a directory")


def test_a_model_given_for_the_folder_of_all_is_told_where_that_is(tmp_path, bundle, broken):
    version = bundle(tmp_path, "scores", 1)
    for folder in (version, version.parent):
        broken(folder, f"no bundle; this folder is one model, serve {tmp_path} instead;")


def test_half_written_exports_and_other_folders_are_not_bundles(tmp_path, bundle, broken):
    shutil.move(bundle(tmp_path, "scores", 1), tmp_path / "scores" / ".1.partial")
    (tmp_path / "scores" / "assets").mkdir()
    (tmp_path / "notes.txt").write_text("")
    broken(tmp_path, "no bundle")


def test_one_byte_changed(tmp_path, bundle, broken):
    file = bundle(tmp_path, "scores", 1) / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    broken(tmp_path, str(file), "not the file that was verified", "sha256")


def test_weights_beside_the_model_are_checked_too(tmp_path, bundle, broken):
    path = bundle(tmp_path, "scores", 1)
    promised = manifest.read(path / "manifest.json")
    promised.files["model.onnx.data"] = "0" * 64
    manifest.write(promised, path / "manifest.json")
    broken(tmp_path, "model.onnx.data", "No such file")


def test_files_missing_or_not_promised(tmp_path, bundle, broken):
    path = bundle(tmp_path, "scores", 1, files={})
    broken(tmp_path, "model.onnx", "no sha256")
    (path / "model.onnx").unlink()
    broken(tmp_path, "model.onnx", "No such file")
    (path / "manifest.json").unlink()
    broken(tmp_path, "manifest.json", "No such file")
    (path / "manifest.json").write_text("{")
    broken(tmp_path, "manifest.json", "not a manifest")


def test_a_file_that_onnx_runtime_cannot_open(tmp_path, bundle, broken):
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
        ({"preprocessing": [manifest.ProcessingStep("tokenizer", "../words.json")]}, ["'../words.json'", "outside"]),
        ({"preprocessing": [manifest.ProcessingStep("tokenizer", "/etc/passwd")]}, ["'/etc/passwd'", "outside"]),
        ({"preprocessing": [manifest.ProcessingStep("tokenizer", "words.json")]}, ["words.json", "No such file"]),
    ],
)
def test_a_manifest_that_promises_something_else(tmp_path, bundle, broken, changes, parts):
    bundle(tmp_path, "scores", 1, **changes)
    broken(tmp_path, *parts)


def test_an_output_whose_shape_only_the_answer_shows(tmp_path, bundle, opened):
    path = bundle(tmp_path, "logarithm", 1, outputs=[manifest.Tensor("y", "float32", ["batch"])])
    model = onnx.load(path / "model.onnx")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path / "model.onnx")
    seal(path)
    assert opened(tmp_path).get("logarithm").version == 1


def test_an_output_that_has_not_a_row_for_each_that_is_asked(tmp_path, bundle, broken):
    path = bundle(tmp_path, "scores", 1)
    model = onnx.load(path / "model.onnx")
    model.graph.node[-1].output[0] = "each"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "axis"))
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["each", "axis"], ["probabilities"], keepdims=1))
    onnx.save(model, path / "model.onnx")
    seal(path)
    broken(tmp_path, "'probabilities'", "for 2 rows", "(1, 4), expected (batch, 4)")


def test_answers_other_than_those_recorded(tmp_path, bundle, broken, opened):
    path = prove(bundle(tmp_path, "scores", 1))
    assert opened(tmp_path).get("scores").version == 1
    prove(path, wrong=0.01)
    broken(tmp_path, "the output differs from the trained model", "probabilities")
    prove(path, asked="picture")
    broken(tmp_path, str(path), "have other tensors than the manifest: 'picture'")


def test_the_good_are_served_and_the_broken_told_and_listed(tmp_path, bundle, opened):
    bundle(tmp_path, "scores", 1)
    bundle(tmp_path, "scores", 2, files={})
    log = []
    found = opened(tmp_path, "all", log)
    assert served(found) == [1]
    assert len(log) == 1
    assert str(tmp_path / "scores" / "2") in log[0]
    assert states(found)["scores", "1"] == VersionStatus("scores", "1", True, "")
    assert "no sha256" in states(found)["scores", "2"].reason


def test_all_broken_is_an_error_that_names_each(tmp_path, bundle, broken):
    bundle(tmp_path, "scores", 1, files={})
    bundle(tmp_path, "pair", 3, files={})
    broken(tmp_path, str(tmp_path / "scores" / "1"), str(tmp_path / "pair" / "3"))


def test_none_of_the_versions_that_are_asked_for(tmp_path, bundle, opened):
    bundle(tmp_path, "scores", 2)
    with pytest.raises(UserError, match="has no version 3, 4, but 2"):
        opened(tmp_path, [3, 4])


# -------------------------------------------------------------------------------------------------- what comes and goes


def test_a_new_version_takes_over_and_what_was_before_is_freed(tmp_path, bundle, opened):
    bundle(tmp_path, "scores", 1)
    log = []
    found = opened(tmp_path, log=log)
    before = weakref.ref(found.get("scores"))
    found.refresh()
    assert before() is found.get("scores")
    bundle(tmp_path, "scores", 2)
    gc.disable()  # nobody waits for the garbage collector: a server may not call it for hours
    try:
        found.refresh()
        assert found.get("scores").version == 2
        assert before() is None
    finally:
        gc.enable()
    assert log == ["serves scores version 2", "no longer serves scores version 1"]


@pytest.mark.parametrize(
    "breaking",
    [
        lambda path: (path / "model.onnx").write_bytes(b"not onnx"),
        lambda path: [(path / "model.onnx").write_bytes(b"not onnx"), seal(path)],
        lambda path: prove(path, wrong=0.01),
        lambda path: prove(path, asked="picture"),
        lambda path: (path / "manifest.json").write_text("{"),
        lambda path: (path / "model.onnx").unlink(),
        lambda path: shutil.copy(path.parent / "1" / "manifest.json", path),
        lambda path: [(path / "verification.npz").write_bytes(b"PK"), seal(path, "verification.npz")],
    ],
    ids=["bytes", "not ONNX", "answers", "questions", "manifest", "no model", "another's manifest", "vector"],
)
def test_a_broken_version_is_refused_and_told_once_and_the_old_one_goes_on(tmp_path, bundle, opened, breaking):
    bundle(tmp_path, "scores", 1)
    bundle(tmp_path, "pair", 1)
    log = []
    found = opened(tmp_path, log=log)
    before = found.get("scores")
    path = bundle(tmp_path, "scores", 2)
    breaking(path)
    bundle(tmp_path, "pair", 2)
    for _ in range(3):
        found.refresh()
    assert found.get("scores") is before
    assert found.get("pair").version == 2  # whatever is wrong with one hinders no other
    assert [line for line in log if "pair" not in line] == [f"refused: {states(found)['scores', '2'].reason}"]
    assert str(path) in log[0] + log[1]
    shutil.rmtree(path)
    found.refresh()
    assert ("scores", "2") not in states(found)


def test_a_version_that_is_overwritten_with_a_broken_one_answers_as_before(tmp_path, bundle, opened):
    path = bundle(tmp_path, "scores", 1)
    found = opened(tmp_path)
    before = found.get("scores")
    (path / "model.onnx").write_bytes(b"not onnx")
    found.refresh()
    assert found.get("scores") is before
    assert states(found)["scores", "1"].ready
    assert "not the file that was verified" in states(found)["scores", "1"].reason
    assert states(found)["scores", "1"].reason.endswith("The previously loaded version stays in service.")
    shutil.rmtree(path)
    bundle(tmp_path, "scores", 1)
    found.refresh()
    assert found.get("scores") is not before
    assert states(found)["scores", "1"] == VersionStatus("scores", "1", True, "")


def test_a_version_that_is_copied_file_by_file_is_served_when_it_is_whole(tmp_path, bundle, opened):
    whole = bundle(tmp_path / "elsewhere", "scores", 2)
    (whole / "assets").mkdir()
    (whole / "assets" / "words.txt").write_text("a b c")
    seal(whole, "model.onnx", "assets/words.txt")
    bundle(tmp_path / "models", "scores", 1)
    log = []
    found = opened(tmp_path / "models", log=log)
    path = tmp_path / "models" / "scores" / "2"
    (path / "assets").mkdir(parents=True)
    content = (whole / "model.onnx").read_bytes()
    for end in (0, 10, 20, len(content)):
        (path / "model.onnx").write_bytes(content[:end])
        found.refresh()
    shutil.copy(whole / "manifest.json", path)
    found.refresh()
    assert found.get("scores").version == 1
    assert len(log) == 2  # no manifest; no words
    shutil.copy(whole / "assets" / "words.txt", path / "assets")
    found.refresh()
    assert found.get("scores").version == 2


def test_a_version_that_leaves_is_followed_by_the_one_before_it_and_a_model_without_any_is_gone(
    tmp_path, bundle, opened
):
    for version in (1, 2):
        bundle(tmp_path, "scores", version)
    bundle(tmp_path, "pair", 1)
    found = opened(tmp_path)
    shutil.rmtree(tmp_path / "scores" / "2")
    found.refresh()
    assert served(found) == [1]
    shutil.rmtree(tmp_path / "scores")
    found.refresh()
    with pytest.raises(ClientError, match="no model 'scores'; served: 'pair'"):
        found.get("scores")
    shutil.rmtree(tmp_path / "pair")
    found.refresh()
    with pytest.raises(ClientError, match="served: none"):
        found.get("pair")


def test_a_folder_that_vanishes_takes_no_model_with_it(tmp_path, bundle, opened):
    folder = tmp_path / "models"
    bundle(folder, "scores", 1)
    log = []
    found = opened(folder, log=log)
    before = found.get("scores")
    folder.rename(tmp_path / "away")
    for _ in range(3):
        found.refresh()
    assert found.get("scores") is before
    assert len(log) == 1
    assert "No such file" in states(found)["", ""].reason
    bundle(tmp_path / "away", "scores", 2)
    (tmp_path / "away").rename(folder)
    found.refresh()
    assert found.get("scores").version == 2
    assert ("", "") not in states(found)


def test_a_model_that_cannot_be_read_for_a_moment_goes_on_and_so_do_the_others(tmp_path, bundle, opened, monkeypatch):
    for name in ("scores", "pair"):
        bundle(tmp_path, name, 1)
    found = opened(tmp_path)
    before = found.get("scores")
    bundle(tmp_path, "pair", 2)
    list_folder = Path.iterdir

    def iterdir(path):
        if path == tmp_path / "scores":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return list_folder(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", iterdir)
        found.refresh()
    assert found.get("scores") is before
    assert found.get("pair").version == 2
    assert "Too many open files" in states(found)["scores", ""].reason
    found.refresh()
    assert found.get("scores") is before


def test_links_are_followed_and_noticed_when_they_lead_elsewhere(tmp_path, bundle, opened):
    store = tmp_path / "store"
    first, second = bundle(store / "a", "scores", 1), bundle(store / "b", "scores", 1)
    (tmp_path / "models" / "scores").mkdir(parents=True)
    link = tmp_path / "models" / "scores" / "1"
    link.symlink_to(first)
    (link.parent / "2").symlink_to(tmp_path / "nowhere")
    (link.parent / "3").symlink_to(link.parent / "3")
    found = opened(tmp_path / "models")
    before = found.get("scores")
    link.unlink()
    link.symlink_to(second)
    found.refresh()
    assert found.get("scores") is not before
    assert served(found) == [1]


# --------------------------------------------------------------------------------------------------------- serving.json


def test_a_models_own_rules_say_which_versions_are_served(tmp_path, bundle, opened):
    for version in (1, 2, 3):
        bundle(tmp_path, "scores", version)
    found = opened(tmp_path)
    for settings, expected in (
        ({"versions": "all"}, [3, 2, 1]),
        ({"versions": [1, 2]}, [2, 1]),
        ({"labels": {"old": 1}}, [3, 1]),
        ({"versions": [2], "labels": {"stable": 1}}, [2, 1]),
    ):
        rules(tmp_path / "scores", **settings)
        found.refresh()
        assert served(found) == expected
    (tmp_path / "scores" / "serving.json").unlink()
    found.refresh()
    assert served(found) == [3]


def test_a_canary_answers_its_share_of_those_that_name_no_version(tmp_path, bundle, opened):
    for version in (1, 2, 3):
        bundle(tmp_path, "scores", version)
    rules(tmp_path / "scores", labels={"stable": 1, "canary": 2}, canary_share=0.1)
    found = opened(tmp_path, "all")
    asked = [found.get("scores").version for _ in range(10000)]
    assert set(asked) == {1, 2}
    assert 850 < asked.count(2) < 1150  # five standard deviations
    assert {found.get("scores", label="canary").version for _ in range(20)} == {2}
    assert {found.get("scores", "3").version for _ in range(20)} == {3}
    rules(tmp_path / "scores", labels={"stable": 1, "canary": 2})
    found.refresh()
    assert {found.get("scores").version for _ in range(100)} == {1}
    with pytest.raises(ClientError, match="no label 'next'; served: stable, canary"):
        found.get("scores", label="next")


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
def test_rules_that_cannot_be_followed_are_refused_and_those_before_them_go_on(tmp_path, bundle, opened, text, part):
    for version in (1, 2):
        bundle(tmp_path, "scores", version)
    bundle(tmp_path, "scores", 3, files={})
    rules(tmp_path / "scores", labels={"stable": 1})
    log = []
    found = opened(tmp_path, log=log)
    before = found.models
    log.clear()
    (tmp_path / "scores" / "serving.json").write_text(text, encoding="latin-1")
    for _ in range(2):
        found.refresh()
    assert found.get("scores").version == 1
    assert found.models == before
    assert len(log) == 1
    assert part.lower() in states(found)["scores", ""].reason.lower()
    assert part.lower() in log[0].lower()
    assert "\n" not in log[0]


def test_rules_are_taken_when_the_version_that_they_wait_for_comes(tmp_path, bundle, opened):
    bundle(tmp_path, "scores", 1)
    found = opened(tmp_path)
    rules(tmp_path / "scores", labels={"stable": 1, "canary": 2}, canary_share=1)
    found.refresh()
    assert found.get("scores").version == 1
    bundle(tmp_path, "scores", 2)
    found.refresh()
    assert found.get("scores").version == 2
    assert found.get("scores", label="stable").version == 1
    shutil.rmtree(tmp_path / "scores" / "2")
    found.refresh()
    assert found.get("scores").version == 1
    with pytest.raises(ClientError, match="no label 'canary'; served: stable"):
        found.get("scores", label="canary")


def test_rules_that_are_wrong_from_the_start_are_told_and_followed_as_far_as_they_can(tmp_path, bundle, opened):
    for version in (1, 2):
        bundle(tmp_path, "scores", version)
    rules(tmp_path / "scores", labels={"stable": 1, "canary": 3}, canary_share=1)
    found = opened(tmp_path)
    assert found.get("scores").version == 1
    assert "names version 3" in states(found)["scores", ""].reason
    shutil.rmtree(tmp_path / "scores" / "2")
    rules(tmp_path / "scores", versions=[1, 2])
    found = opened(tmp_path)
    assert served(found) == [1]
    shutil.move(tmp_path / "scores" / "1", tmp_path / "scores" / "4")  # neither rules fit any more
    seal_as(tmp_path / "scores" / "4", version=4)
    rules(tmp_path / "scores", versions=[4, 5])
    found.refresh()
    assert served(found) == [4]
    shutil.rmtree(tmp_path / "scores" / "4")
    bundle(tmp_path, "scores", 1)
    (tmp_path / "scores" / "serving.json").write_text("[]")
    found = opened(tmp_path)
    assert served(found) == [1]
    assert found.models["scores"].policy == VersionPolicy()
    assert "serving.json" in states(found)["scores", ""].reason


# ------------------------------------------------------------------------------------------------------ load and unload


def test_a_model_that_was_put_away_stays_away_until_it_is_loaded(tmp_path, bundle, opened):
    for name in ("scores", "pair"):
        bundle(tmp_path, name, 1)
    found = opened(tmp_path)
    found.unload("scores")
    bundle(tmp_path, "scores", 2)
    found.refresh()
    assert served(found) == []
    assert states(found)["scores", ""] == VersionStatus("scores", "", False, "unloaded")
    with pytest.raises(ClientError, match="no model 'scores'"):
        found.unload("scores")
    found.load("scores")
    assert served(found) == [2]
    for name in ("nothing", "..", "", "a/b"):
        with pytest.raises(ClientError, match="no model"):
            found.load(name)


def test_what_one_process_puts_away_the_others_do_not_serve(tmp_path, bundle, opened):
    bundle(tmp_path / "models", "scores", 1)
    (tmp_path / "away").mkdir()
    first, second = (opened(tmp_path / "models", away=tmp_path / "away") for _ in range(2))
    first.unload("scores")
    second.refresh()
    assert served(second) == []
    second.load("scores")
    first.refresh()
    assert served(first) == [1]


def test_a_refused_version_is_tried_again_when_it_is_loaded(tmp_path, bundle, opened, monkeypatch):
    path = bundle(tmp_path, "scores", 1)
    bundle(tmp_path, "pair", 1)
    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "a bad disk")))
        with pytest.raises(UserError, match="a bad disk"):
            opened(tmp_path)
    found = opened(tmp_path)
    (path / "model.onnx").rename(path / "model")
    found.unload("scores")
    with pytest.raises(ClientError, match="No such file"):
        found.load("scores")
    (path / "model").rename(path / "model.onnx")
    found.load("scores")
    assert served(found) == [1]


def test_whatever_happens_at_once_nobody_sees_a_half_changed_repository(tmp_path, bundle, opened):
    """Threads that look, load, put away, ask and list, while versions come and go."""
    bundle(tmp_path / "models", "scores", 1)
    bundle(tmp_path / "models", "pair", 1)
    spare = bundle(tmp_path / "spare", "scores", 2)
    found = opened(tmp_path / "models", "all")
    over, failed = threading.Event(), []

    def again_and_again(action):
        while not over.is_set():
            try:
                action()
            except ClientError as error:
                if error.status not in (400, 404):
                    failed.append(error)
            except Exception as error:
                failed.append(error)

    def ask():
        assert found.get("scores").version in (1, 2)
        found.get("pair")

    actions = [ask, found.index, found.refresh, lambda: found.load("pair"), lambda: found.unload("pair")]
    threads = [threading.Thread(target=again_and_again, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for _ in range(20):
        shutil.copytree(spare, tmp_path / "models" / "scores" / "2")
        found.refresh()
        shutil.rmtree(tmp_path / "models" / "scores" / "2")
    over.set()
    for thread in threads:
        thread.join()
    assert failed == []
