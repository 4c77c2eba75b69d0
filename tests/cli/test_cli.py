"""The command line as a user sees it: processes, exit codes, one clear line for each error."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from kerasfound import cli, recipes
from kerasfound.data import SOURCES, TABLES, load
from kerasfound.training import Run

pytestmark = pytest.mark.slow


def error_line(finished):
    """The single line of the error message of a process with exit status 2."""
    assert finished.returncode == 2, finished.stderr
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert finished.stderr.startswith("kerasfound: ")
    return finished.stderr.removeprefix("kerasfound: ").strip()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runn"], 'Did you mean "run"'),
        (["run", "mnist_cn"], 'Did you mean "mnist_cnn"'),
        (["run", "mnist_cnn", "--epoch", "3"], "Did you mean --epochs"),
        (["run", "mnist_cnn", "--epochs", "many"], 'unable to convert "many" into int'),
        (["run", "mnist_cnn", "--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["run", "mnist_cnn", "--learning-rate", "-1"], "--learning-rate must be above 0, got -1.0"),
        (["run", "mnist_cnn", "--learning-rate", "nan"], "--learning-rate must be above 0, got nan"),
        (["run", "mnist_cnn", "--backend", "numpy"], "the backend must be tensorflow, jax, torch, got 'numpy'"),
        (["run", "mnist_cnn", "--config", "nowhere.yaml"], "--config nowhere.yaml: no such file"),
        (["evaluate", "nowhere"], "nowhere: no such folder"),
        (["predict", "nowhere", "x.png"], "nowhere: no such folder"),
        (["export", "nowhere"], "nowhere: no such folder"),
        (["verify", "nowhere"], "nowhere: no such folder"),
        (["serve", "nowhere"], "nowhere"),
        (["export", "runs/a", "runs/b"], "Unused Tokens: ['runs/b']"),
        (["serve", "models", "0.0.0.0"], "Unused Tokens: ['0.0.0.0']"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line(kerasfound, arguments, message):
    assert message in error_line(kerasfound(*arguments))


def test_an_unknown_data_set_creates_no_run_folder(kerasfound, tmp_path):
    finished = kerasfound("run", "mnist_cnn", "--data", "mnits", "--out", tmp_path / "run")
    assert 'no data set, file or folder "mnits". Did you mean "mnist"?' in error_line(finished)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "Did you mean --epochs"),
        ("epochs: many", 'unable to convert "many" into int'),
        ("epochs: [3", "cannot be read as YAML"),
        ("just words", "expected lines of `name: value`"),
    ],
)
def test_an_error_in_a_config_file_is_one_line(kerasfound, tmp_path, text, message):
    (tmp_path / "settings.yaml").write_text(text)
    assert message in error_line(kerasfound("run", "mnist_cnn", "--config", tmp_path / "settings.yaml"))


def test_flags_override_the_config_file_and_the_file_overrides_defaults(kerasfound, tmp_path):
    (tmp_path / "settings.yaml").write_text("epochs: 7\nshift: 1\n")
    printed = kerasfound("run", "mnist_cnn", "--config", tmp_path / "settings.yaml", "--epochs", 3, "--print-config")
    settings = dict(line.split(": ") for line in printed.stdout.splitlines())
    assert (settings["epochs"], settings["shift"], settings["width"]) == ("3", "1", "16")


def test_print_config_prints_a_valid_config_file(kerasfound, tmp_path):
    first = kerasfound("run", "mnist_cnn", "--seed", 5, "--print-config").stdout
    (tmp_path / "settings.yaml").write_text(first)
    assert kerasfound("run", "mnist_cnn", "--config", tmp_path / "settings.yaml", "--print-config").stdout == first


def test_list_shows_recipes_and_data(kerasfound):
    lines = kerasfound("list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        *(["recipe", name] for name in recipes.NAMES),
        *(["data", name] for name in [*SOURCES, *TABLES]),
    ]


def test_a_run_is_trained_evaluated_exported_and_verified(kerasfound, tmp_path):
    out, models = tmp_path / "run", tmp_path / "models"
    trained = kerasfound("run", "mnist_cnn", "--data", "digits", "--epochs", 2, "--out", out)
    assert trained.returncode == 0
    assert trained.stderr == ""
    assert re.search(r"epoch 2/2 .* validation accuracy \d", trained.stdout)
    recorded = json.loads((out / "results.json").read_text())["test"]

    evaluated = kerasfound("evaluate", out)
    assert json.loads(evaluated.stdout) == {"split": "test", **recorded}

    exported = kerasfound("export", out, "--to", models)
    assert exported.stderr == ""
    assert f"verified: {models}/mnist_cnn/1" in exported.stdout
    verified = kerasfound("verify", models / "mnist_cnn" / "1")
    assert exported.stdout == f"{verified.stdout}next: kerasfound serve {models}\n"


def test_a_run_on_jax_logs_nothing_to_stderr_and_can_be_exported(kerasfound, tmp_path):
    out, models = tmp_path / "run", tmp_path / "models"
    trained = kerasfound("run", "mnist_cnn", "--data", "digits", "--epochs", 2, "--backend", "jax", "--out", out)
    assert (trained.returncode, trained.stderr) == (0, "")
    assert json.loads((out / "environment.json").read_text())["backend"] == "jax"
    assert f"verified: {models}/mnist_cnn/1" in kerasfound("export", out, "--to", models).stdout


def test_an_invalid_backend_in_the_environment_is_an_error_where_a_backend_is_needed(kerasfound):
    assert kerasfound("--help", KERAS_BACKEND="numpy").returncode == 0
    assert "got 'numpy'; see --backend and KERAS_BACKEND" in error_line(
        kerasfound("run", "mnist_cnn", "--data", "digits", KERAS_BACKEND="numpy")
    )


def test_a_run_can_be_evaluated_on_the_validation_split(kerasfound, digits_run):
    metrics = json.loads(kerasfound("evaluate", digits_run.folder, "--split", "validation").stdout)
    rows = load("digits").validation
    correct = digits_run.load_model().predict(rows.x, verbose=0).argmax(axis=-1) == rows.y
    assert metrics["accuracy"] == pytest.approx(correct.mean(), abs=1e-4)


def test_predict_classifies_image_files(kerasfound, digits_run, tmp_path):
    samples = digits_run.samples
    files = []
    for i in range(3):
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(samples["x"][i, ..., 0]).save(files[i])
    predictions = [
        json.loads(line) for line in kerasfound("predict", digits_run.folder, *files, "--json").stdout.splitlines()
    ]
    assert [prediction["input"] for prediction in predictions] == [str(file) for file in files]
    assert [int(prediction["label"]) for prediction in predictions] == samples["prediction"][:3].argmax(-1).tolist()
    assert np.allclose([sum(prediction["probabilities"].values()) for prediction in predictions], 1, atol=1e-5)


@pytest.mark.parametrize("content", [b"not an image", b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_an_error_names_the_broken_image(kerasfound, digits_run, tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    assert "broken.png: not an image" in error_line(kerasfound("predict", digits_run.folder, tmp_path / "broken.png"))


def test_predict_without_a_file_is_an_error(kerasfound, digits_run):
    assert "no image given" in error_line(kerasfound("predict", digits_run.folder))


def test_a_killed_run_is_not_finished(kerasfound, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "kerasfound", "run", "mnist_cnn", "--data", "digits", "--epochs", "10000"]
    with subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout.readline().startswith("epoch 1/10000")
        training.send_signal(signal.SIGKILL)
    assert "was not finished" in error_line(kerasfound("evaluate", out))
    assert "was not finished" in error_line(kerasfound("export", out, "--to", tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_ctrl_c_prints_a_line_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "kerasfound", "run", "mnist_cnn", "--data", "digits", "--epochs", "10000"]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as training:
        training.stdout.readline()
        training.send_signal(signal.SIGINT)
        _, errors = training.communicate(timeout=60)
    assert training.returncode == 130
    assert errors == "kerasfound: stopped.\n"


def test_a_resumed_run_equals_an_uninterrupted_one(kerasfound, tmp_path):
    flags = ["--data", "digits", "--epochs", "6", "--out"]
    kerasfound("run", "mnist_cnn", *flags, tmp_path / "whole")
    command = [sys.executable, "-m", "kerasfound", "run", "mnist_cnn", *flags, str(tmp_path / "stopped")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as training:
        training.stdout.readline()
        training.send_signal(signal.SIGINT)
        output, _ = training.communicate(timeout=60)
    assert f"continue with: kerasfound resume {tmp_path / 'stopped'}" in output
    assert "kerasfound resume" in error_line(kerasfound("export", tmp_path / "stopped", "--to", tmp_path / "models"))

    assert kerasfound("resume", tmp_path / "stopped").returncode == 0
    whole, stopped = (Run.open(tmp_path / name) for name in ("whole", "stopped"))
    assert [row["loss"] for row in stopped.history] == [row["loss"] for row in whole.history]
    assert stopped.results["test"] == whole.results["test"]
    assert np.array_equal(stopped.samples["prediction"], whole.samples["prediction"])
    assert "this run is finished" in error_line(kerasfound("resume", tmp_path / "stopped"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--preset", "fastest"], "--preset fastest: no such preset; choose smoke"),
        (["--device", "gpu"], "--device gpu: tensorflow finds no GPU"),
        (["--ema", "0.9", "--patience", "2"], "--ema must be below 1, and excludes --patience"),
        (["--accumulate", "1"], "--accumulate must be at least 2, got 1."),
        (["--data", "digits", "--dropout", "1.5"], "--dropout must be below 1, got 1.5."),
    ],
)
def test_invalid_settings_are_rejected(kerasfound, flags, message):
    assert message in error_line(kerasfound("run", "mnist_cnn", *flags))


def test_the_config_file_and_flags_override_a_preset(kerasfound, tmp_path):
    (tmp_path / "settings.yaml").write_text("epochs: 3\nshift: 2\n")
    flags = ["--preset", "smoke", "--config", tmp_path / "settings.yaml", "--shift", "0"]
    shown = yaml.safe_load(kerasfound("run", "mnist_cnn", *flags, "--print-config").stdout)
    assert (shown["data"], shown["epochs"], shown["shift"]) == ("digits", 3, 0)


def test_the_error_for_a_missing_backend_has_the_install_command(kerasfound, tmp_path):
    (tmp_path / "jax.py").write_text("raise ModuleNotFoundError(\"No module named 'jax'\", name='jax')")
    finished = kerasfound("run", "mnist_cnn", "--data", "digits", "--backend", "jax", PYTHONPATH=str(tmp_path))
    assert finished.returncode == 2
    assert 'the Keras backend jax is not installed: pip install "kerasfound[jax]"' in finished.stderr


@pytest.fixture
def without_keras(tmp_path):
    """Environment variables that hide Keras."""
    (tmp_path / "keras.py").write_text("raise ModuleNotFoundError(\"No module named 'keras'\", name='keras')")
    return {"PYTHONPATH": str(tmp_path)}


def test_the_error_for_a_missing_keras_has_the_install_command(kerasfound, without_keras):
    message = 'Keras is not installed: pip install "kerasfound[tensorflow]"'
    assert message in error_line(kerasfound("run", "mnist_cnn", "--data", "digits", **without_keras))
    doctor = kerasfound("doctor", **without_keras)
    assert (doctor.returncode, doctor.stderr) == (0, "")
    assert re.search(r'-- +backend +Keras is not installed\n +pip install "kerasfound\[tensorflow\]"', doctor.stdout)


@pytest.mark.parametrize("used", ["layers", "load_model", "training.execute", "export.bundle"])
def test_a_package_without_keras_raises_an_import_error_with_the_install_command(used, without_keras):
    code = f"import kerasfound as kf\ntry:\n    kf.{used}\nexcept ImportError as error:\n    print(error)"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, env=os.environ | without_keras)
    assert printed == f'kerasfound.{used} needs Keras, which is not installed: pip install "kerasfound[tensorflow]"\n'


def test_doctor_shows_what_is_installed_and_how_to_fix_the_rest(kerasfound, tmp_path):
    doctor = kerasfound("doctor", TFDS_DATA_DIR=str(tmp_path / "nowhere"))
    assert doctor.returncode == 0
    assert doctor.stderr == ""
    assert re.search(r"ok +\[keras\] +keras \d", doctor.stdout)
    assert re.search(r"ok +backend +tensorflow on cpu", doctor.stdout)
    assert re.search(r"-- +TFDS_DATA_DIR .*no such folder", doctor.stdout)
    assert re.search(r"ok +data digits", doctor.stdout)


@pytest.fixture
def pictures(tmp_path):
    """A folder with two images, one of them in a sub-folder, and two other files."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "more/B.PNG"):
        Image.fromarray(np.zeros((8, 8), "uint8")).save(folder / name)
    (folder / "Thumbs.db").write_text("")
    (folder / ".hidden.png").write_text("")
    return folder


@pytest.mark.parametrize("name", ["p.csv", "p.json"])
def test_a_folder_is_predicted_into_a_file(kerasfound, digits_run, pictures, tmp_path, name):
    finished = kerasfound("predict", digits_run.folder, pictures, "--out", tmp_path / name)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == f"2 predictions: {tmp_path / name}\n"
    assert finished.stderr == f"{pictures}: left out Thumbs.db, which this run cannot read.\n"
    if name == "p.csv":
        rows = list(csv.DictReader((tmp_path / name).open()))
        probabilities = [[float(row[f"probability of {label}"]) for label in digits_run.schema.labels] for row in rows]
    else:
        rows = json.loads((tmp_path / name).read_text())
        probabilities = [list(row["probabilities"].values()) for row in rows]
    assert [row["input"] for row in rows] == [str(pictures / "a.png"), str(pictures / "more" / "B.PNG")]
    assert np.sum(probabilities, axis=1) == pytest.approx([1, 1], abs=1e-4)
    assert {row["label"] for row in rows} == {digits_run.schema.labels[np.argmax(probabilities[0])]}


@pytest.mark.parametrize(
    ("out", "message"),
    [("p.txt", "--out p.txt: must end in .csv or .json"), ("nowhere/p.csv", "the folder nowhere does not exist")],
)
def test_a_file_that_cannot_be_written_is_refused(kerasfound, digits_run, pictures, out, message):
    assert message in error_line(kerasfound("predict", digits_run.folder, pictures, "--out", out))


def test_a_damaged_image_of_a_folder_is_left_out_by_name(kerasfound, digits_run, pictures, tmp_path):
    (pictures / "c.png").write_bytes(b"damaged")
    finished = kerasfound("predict", digits_run.folder, pictures, "--out", tmp_path / "p.csv")
    assert finished.stdout == f"2 predictions: {tmp_path / 'p.csv'}\n"
    assert "1 of 3 files cannot be read and are left out. " in finished.stderr
    assert f"{pictures / 'c.png'}: not an image that can be read." in finished.stderr
    (pictures / "d.png").write_bytes(b"damaged")
    refused = kerasfound("predict", digits_run.folder, pictures)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("kerasfound: 2 of 4 files cannot be read")


def test_a_folder_without_readable_files_is_refused(kerasfound, digits_run, tmp_path):
    (tmp_path / "a.txt").write_text("no image")
    assert "no file in this folder ends in" in error_line(kerasfound("predict", digits_run.folder, tmp_path))


def test_latest_names_the_newest_finished_run_and_the_runs_are_listed(tmp_path, monkeypatch, digits_run, capsys):
    monkeypatch.chdir(tmp_path)
    folders = []
    for time in ("2026-01-01_00-00-00", "2026-01-02_00-00-00"):
        shutil.copytree(digits_run.folder, tmp_path / "runs" / "mnist_cnn" / time)
        settings = digits_run.settings | {"out": None}
        (tmp_path / "runs" / "mnist_cnn" / time / "config.yaml").write_text(yaml.safe_dump(settings))
        folders.append(Run.open(f"runs/mnist_cnn/{time}"))
        folders[-1].mark_latest()
    assert Run.open("runs/mnist_cnn/latest").folder == folders[1].folder
    with pytest.raises(SystemExit):
        cli.main(["list", "runs"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [str(run.folder) for run in folders]
    assert all("accuracy 0." in line and "without a model" in line for line in lines)


def test_a_missing_tensorboard_is_one_line(kerasfound, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'tensorboard' else find(name, *a)\n"
    )
    flags = ["--data", "digits", "--tensorboard", "--out", tmp_path / "run"]
    finished = kerasfound("run", "mnist_cnn", *flags, PYTHONPATH=str(tmp_path))
    assert 'which --tensorboard needs, is not installed: pip install "kerasfound[tensorboard]"' in error_line(finished)
    assert not (tmp_path / "run").exists()


def test_a_closed_output_pipe_is_no_error(digits_run):
    command = f"{sys.executable} -m kerasfound list | head -n 1"
    finished = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert finished.stderr == ""
    assert finished.stdout.startswith("recipe")


def test_generate_continues_the_prompt(kerasfound, tmp_path):
    flags = ["--preset", "smoke", "--epochs", 1, "--steps", 2, "--out", tmp_path / "run"]
    assert kerasfound("run", "mini_transformer", *flags).returncode == 0
    generated = kerasfound("generate", tmp_path / "run", "--prompt", "import ", "--length", 20, "--seed", 4)
    assert (generated.returncode, generated.stderr) == (0, "")
    assert generated.stdout.startswith("import ")
    assert len(generated.stdout) == len("import ") + 20 + 1
