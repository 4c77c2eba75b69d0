"""User errors: the library names arguments, the command line names flags."""

import pytest

from kerasfound.bundle import Schema
from kerasfound.cli import main
from kerasfound.errors import UserError


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


def test_the_command_line_prints_an_error_on_one_line(capsys, monkeypatch):
    def fail(arguments, **options):
        raise UserError("`data_dir` x: no such folder;\ngive a folder of prepared TFDS data.")

    monkeypatch.setattr("kerasfound.cli.commands.app", fail)
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert capsys.readouterr().err == (
        "kerasfound: --data-dir x: no such folder; give a folder of prepared TFDS data.\n"
    )
