"""User errors: the library names arguments, the command line names flags."""

import keras
import numpy as np
import pytest

from kerasfound.bundle import Schema
from kerasfound.cli import main
from kerasfound.errors import UserError, one_line


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`data_dir` x: no such folder.", "--data-dir x: no such folder."),
        ("name the column with `target`, or set `top_k`.", "name the column with --target, or set --top-k."),
        ("no data set \"a\". See `kerasfound list data`.", "no data set \"a\". See `kerasfound list data`."),
        ("`model.onnx` and `name: value` are not arguments.", "`model.onnx` and `name: value` are not arguments."),
    ],
)  # fmt: skip
def test_the_command_line_shows_flags_in_place_of_arguments(message, expected):
    assert UserError(message).with_flags() == expected


def test_the_text_of_another_library_names_no_flags(tmp_path):
    (tmp_path / "schema.json").write_text("[]")
    with pytest.raises(UserError, match="Expected 'object', got 'array'") as raised:
        Schema.load(tmp_path / "schema.json")
    assert raised.value.with_flags() == str(raised.value)


def test_an_error_of_keras_is_shown_without_the_codes_of_its_colors():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Flatten()])
    with pytest.raises(Exception, match=r"\x1b\[1m") as raised:  # bold
        model(np.zeros((2, 4, 5)))
    shown = one_line(raised.value)
    assert "\x1b" not in shown
    assert "[1m" not in shown
    assert "(2, 4, 5)" in shown
    assert one_line("\x1b[1;31mred\x1b[0m \x1b[38;5;2mgreen\x1b[K") == "red green"
    assert one_line("x[1m]") == "x[1m]"


def test_the_command_line_prints_an_error_on_one_line(capsys, monkeypatch):
    def fail(arguments, **options):
        raise UserError("`data_dir` x: no such folder;\ngive a folder of prepared TFDS data.")

    monkeypatch.setattr("kerasfound.cli.commands.app", fail)
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert capsys.readouterr().err == (
        "kerasfound: --data-dir x: no such folder; give a folder of prepared TFDS data.\n"
    )
