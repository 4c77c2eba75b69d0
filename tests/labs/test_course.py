"""The list of labs, their knobs, and the command line."""

import inspect
import re
import typing

import pytest

from kerasfound import cli, labs
from kerasfound.errors import UserError
from kerasfound.labs.experiment import Between


@pytest.mark.parametrize("name", labs.CHAPTERS)
def test_every_lab_says_what_it_claims_and_what_to_try(name):
    lab = labs.find(name)
    assert lab.name == name
    assert lab.claim[0].isupper()
    assert not lab.claim.endswith(".")
    text = inspect.cleandoc(lab.__doc__)
    assert "\n\nSource: " in text
    tried = re.findall(r"`--([\w-]+)", text.partition("\nTry: ")[2])
    parameters = inspect.signature(lab.function).parameters
    assert tried
    assert {knob.replace("-", "_") for knob in tried} <= set(parameters)
    arguments = re.findall(r"^    (\w+): ", text.partition("\nArgs:\n")[2], re.MULTILINE)
    assert arguments == list(parameters)


@pytest.mark.parametrize("name", labs.CHAPTERS)
def test_every_number_of_a_lab_has_bounds(name):
    hints = typing.get_type_hints(labs.find(name).function, include_extras=True)
    for knob, hint in hints.items():
        if knob != "return" and typing.get_origin(hint) is not typing.Literal:
            assert any(isinstance(bounds, Between) for bounds in hint.__metadata__), knob


def test_a_knob_out_of_range_or_unknown_is_an_error():
    with pytest.raises(UserError, match="`hidden` must be between 1 and 64, got 0"):
        labs.xor(hidden=0)
    with pytest.raises(UserError, match="Did you mean `seeds`"):
        labs.xor(seed=3)
    with pytest.raises(UserError, match="Did you mean xor"):
        labs.find("xro")


def test_the_command_line_lists_the_labs(capsys):
    with pytest.raises(SystemExit):
        cli.main(["lab", "list"])
    output = capsys.readouterr().out
    assert all(name.replace("_", "-") in output for name in labs.CHAPTERS)


@pytest.mark.slow
def test_the_command_line_writes_a_page(capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        cli.main(["lab", "xor", "--seeds", "2", "--steps", "5", "--out", str(tmp_path)])
    assert end.value.code == 0
    assert "verdict: " in capsys.readouterr().out
    assert (tmp_path / "xor.svg").is_file()
