"""The labs on the neuron, with small settings."""

import pytest

import kerasfound as kf


def ascending_adam(patch):
    """Adam that steps up the gradient."""
    right = kf.optimizers.Adam.update_step
    patch.setattr(kf.optimizers.Adam, "update_step", lambda self, g, w, rate: right(self, -g, w, rate))


CASES = {"xor": ({"seeds": 4, "steps": 200}, "holds if", ascending_adam)}


@pytest.mark.slow
def test_the_verdict(case):
    case.check()


@pytest.mark.slow
def test_a_wrong_block_turns_the_verdict(case, monkeypatch):
    case.check_mutant(monkeypatch)
