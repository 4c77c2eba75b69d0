"""`kerasfound explain IDEA`: every idea names labs and blocks that exist, and is found without importing Keras."""

import subprocess
import sys

import pytest

import kerasfound as kf
from kerasfound import cli, labs
from kerasfound.errors import UserError
from kerasfound.reference import ideas
from kerasfound.reference.names import block_names, is_block


def test_the_names_of_blocks_are_those_of_their_modules():
    assert len({name for names in block_names().values() for name in names}) > 90
    assert not is_block("overfitting")
    assert is_block("leaky relu")


def test_every_lab_belongs_to_an_idea_and_every_idea_names_labs_that_exist():
    assert {lab for idea in ideas.ideas() for lab in idea.labs} == set(labs.CHAPTERS)


@pytest.mark.parametrize("idea", ideas.ideas(), ids=lambda idea: idea.name)
def test_an_idea_is_complete(idea):
    assert not [name for name in (idea.name, *idea.also) if is_block(name)], "a block hides the idea"
    assert all(is_block(block) for block in idea.blocks)
    assert idea.labs
    assert idea.reading
    assert 100 < len(idea.text) < 500


@pytest.mark.parametrize(
    ("name", "idea"),
    [
        ("xor", "xor problem"),
        ("overfitting", "overfitting"),
        ("Vanishing-Gradients", "vanishing gradient"),
        ("cross-entropy", "loss function"),
        ("step_size", "learning rate"),
    ],
)
def test_an_idea_is_found_by_each_of_its_names(name, idea):
    assert kf.explain(name).name == idea


def test_a_misspelled_idea_is_suggested():
    with pytest.raises(UserError, match=r'no block or idea "overfiting".* Did you mean "overfitting"'):
        kf.explain("overfiting")


def test_an_idea_prints_its_labs_and_blocks(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["explain", "vanishing gradient"])
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert "kerasfound lab signal-variance" in output
    assert "kerasfound explain LSTM" in output


def test_an_idea_is_found_without_keras():
    code = (
        "import sys\nfrom kerasfound.cli import main\n"
        "try:\n    main(['explain', 'overfitting'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'keras', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
