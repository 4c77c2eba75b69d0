"""`kerasfound interpret`: pages and pictures of runs and of models alone, and errors on one line."""

import keras
import numpy as np
import pytest
from PIL import Image

from kerasfound.cli import main


@pytest.fixture(scope="module")
def model_file(digits_model, tmp_path_factory):
    file = tmp_path_factory.mktemp("models") / "digits.keras"
    digits_model.save(file)
    return file


@pytest.fixture(scope="module")
def image_file(digits, tmp_path_factory):
    file = tmp_path_factory.mktemp("images") / "three.png"
    Image.fromarray((digits[0][3, ..., 0] * 255).astype("uint8")).save(file)
    return file


def interpret(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["interpret", *map(str, arguments), "--backend", keras.config.backend()])
    return end.value.code


def test_a_page_of_an_image_stands_alone_and_has_words_for_its_figures(model_file, image_file, tmp_path, capsys):
    out = tmp_path / "why.html"
    assert interpret(model_file, image_file, "--out", out) == 0, capsys.readouterr().err
    page = out.read_text()
    assert "data:image/svg+xml;base64" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "integrated gradients: strongest at the" in page  # the alt text
    assert "Grad-CAM" in page


def test_a_picture_of_one_method(model_file, image_file, tmp_path):
    out = tmp_path / "why.png"
    assert interpret(model_file, image_file, "--method", "saliency", "--target", "3", "--out", out) == 0
    with Image.open(out) as picture:
        assert min(picture.size) > 300


def test_rows_of_the_input_come_from_an_array_file(model_file, digits, tmp_path):
    np.save(tmp_path / "x.npy", digits[0][:2])
    out = tmp_path / "why.html"
    assert interpret(model_file, tmp_path / "x.npy", "--method", "saliency", "--out", out) == 0
    assert "x.npy:2" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "gradcam"], "--method gradcam: no such method for image classification; choose saliency"),
        (["--method", "grad_cam", "--layer", "secnd"], "some of its layers: second"),
        (["--target", "eleven"], "--target eleven: the model has no such class; give the number of an output"),
        (["--target", "11"], "--target 11: no such output; the model has 10"),
        (["--out", "why.pdf"], "--out why.pdf: must end in .html"),
        (["--text", "hello"], "a model alone reads images"),
    ],
)
def test_an_error_is_one_line_and_exit_status_2(model_file, image_file, arguments, message, capsys):
    assert interpret(model_file, image_file, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_rows_of_another_shape_are_refused(model_file, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((2, 9, 9, 1)))
    assert interpret(model_file, tmp_path / "x.npy") == 2
    assert "the model's input has the shape (rows, 8, 8, 1), got (2, 9, 9, 1)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_explains_its_first_test_rows(digits_run, capsys):
    assert interpret(digits_run.folder, "--method", "integrated_gradients") == 0, capsys.readouterr().err
    page = (digits_run.folder / "interpretability.html").read_text()
    assert "test row 1" in page
    assert "has the probability" in page
