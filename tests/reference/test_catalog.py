"""The catalog: every block has a docstring with all sections, and every argument is explained."""

import inspect
import re

import pytest

from kerasfound.reference.catalog import HEADINGS, blocks
from kerasfound.reference.explanation import equation

BLOCKS = pytest.mark.parametrize("block", blocks(), ids=lambda block: f"{block.kind}-{block.name}")


@BLOCKS
def test_every_block_has_all_sections(block):
    sections = block.sections
    assert block.summary
    assert block.formula
    assert {"Args", "Example", "In practice", "Source"} <= set(sections)
    assert all(sections.values()), "an empty section"
    assert re.search(r"\b(?:1[7-9]|20)\d\d\b", sections["Source"]), "a source without a year"
    assert block.kind != "optimizer" or equation(block.object)[0].code.startswith("def update_step")


@BLOCKS
def test_no_section_contains_the_heading_of_another(block):
    names = "|".join(HEADINGS)
    for body in block.sections.values():
        assert not re.search(rf"^(?:{names}|Arguments|Note|Notes|References|Warning|Yields):", body, re.MULTILINE)
    headings = re.findall(rf"^(?:{names}):", inspect.cleandoc(block.object.__doc__), re.MULTILINE)
    assert len(headings) == len(block.sections) - 1, "a heading twice"


@BLOCKS
def test_every_argument_is_explained(block):
    function = block.object.__init__ if inspect.isclass(block.object) else inspect.unwrap(block.object)
    expected = set(inspect.signature(function).parameters) - {"self", "args", "kwargs"}
    if "__init__" not in vars(block.object) and inspect.isclass(block.object):
        return  # Keras's own arguments
    explained = set(re.findall(r"`?\*{0,2}(\w+)`?(?=[,:])", re.sub(r":.*", ":", block.sections["Args"])))
    assert expected <= explained | ({"name", "dtype", "activity_regularizer"} if "kwargs" in explained else set())


def test_list_blocks_prints_one_line_for_each_block(kerasfound):
    lines = kerasfound("list", "blocks").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[block.kind, block.name] for block in blocks()]
    assert all(line.endswith(block.summary.replace("$", "")) for line, block in zip(lines, blocks(), strict=True))
