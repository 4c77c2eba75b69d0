"""Intervals decide findings, findings decide the verdict, and a result is readable as text, JSON and figure."""

import json
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from kerasfound.labs.evidence import Evidence, Result, limit, predicts, untestable
from kerasfound.labs.figure import Figure
from kerasfound.labs.measured import Measured, all_of
from kerasfound.labs.panels import Panel, Series

FIGURE = Figure((Panel("Loss", "step", "loss (nats)", {"Adam": Series([0, 1], [2.0, 0.5])}),))
numbers = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)


def verdict(*findings):
    return str(Evidence({}, findings, FIGURE).verdict)


def test_the_interval_is_that_of_student():
    scipy_stats = pytest.importorskip("scipy.stats")
    values = [1.0, 2.0, 4.0, 8.0]
    low, high = scipy_stats.t.interval(0.95, 3, loc=3.75, scale=scipy_stats.sem(values))
    measured = Measured.over(values)
    assert (measured.low, measured.high) == pytest.approx((low, high), rel=1e-3)


@given(numbers, numbers)
def test_above_and_below_mirror_each_other(a, b):
    a, b = Measured.over(a), Measured.over(b)
    if len(a.values) != len(b.values):
        assert a.above(b) == (b.below(a))
    assert not (a.above(b) is True and b.above(a) is True)


def test_numbers_of_the_same_seeds_are_compared_seed_by_seed():
    good, better = Measured.over([0.1, 0.5, 0.9]), Measured.over([0.2, 0.6, 1.0])
    assert better.above(good) is True
    assert Measured.over([0.2, 0.6]).above(good) is None


def test_a_diverged_value_is_larger_than_every_number():
    assert Measured.over([math.inf, math.inf]).above(1e9) is True
    assert Measured.over([1.0, math.inf]).above(0.5) is True
    assert Measured.over([1.0, math.nan]).above(0.5) is None


def test_the_four_verdicts():
    right = predicts("a", True, "b")
    assert verdict(right) == "holds"
    assert verdict(right, limit("c", True, "x is small")) == "holds if x is small"
    assert verdict(right, limit("c", False, "x is small")) == "holds"
    assert verdict(predicts("a", False, "b"), limit("c", None, "d")) == "false as stated: b"
    assert verdict(right, predicts("c", None, "d")) == "not testable here: undecided: c"
    assert verdict(right, untestable("e", "it needs photographs")).startswith("not testable here")


def test_all_of_is_undecided_only_if_nothing_is_false():
    assert [all_of(True, True), all_of(True, None), all_of(None, False)] == [True, None, False]


def test_a_result_is_written_with_its_figure_and_its_data(tmp_path):
    evidence = Evidence({"loss": Measured.over([0.5, math.inf])}, (predicts("a", True, "b"),), FIGURE)
    result = Result("example", "Adam descends", "introductions", {"seeds": 2}, "jax", 1.0, evidence)
    data = json.loads(result.save(tmp_path).read_text())
    assert data["numbers"]["loss"]["high"] == "inf"
    assert data["figure"][0]["series"]["Adam"] == {"x": [0, 1], "y": [2.0, 0.5]}
    assert {file.name for file in tmp_path.iterdir()} == {"example.json", "example.png", "example.svg"}
    assert "from 2 at 0 to 0.5 at 1" in data["alt_text"]
    assert "verdict: holds" in str(result)
    assert "data:image/png" in result._repr_markdown_()
