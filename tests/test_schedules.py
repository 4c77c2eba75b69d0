"""Schedules: first, largest and last rate, and the same rates as Keras where Keras has the schedule."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasfound import schedules
from kerasfound.schedules import (
    CosineDecay,
    ExponentialDecay,
    LinearDecay,
    OneCycle,
    PiecewiseConstantDecay,
    StepDecay,
)

EXAMPLES = {
    "StepDecay": lambda: StepDecay(0.1, 10),
    "PiecewiseConstantDecay": lambda: PiecewiseConstantDecay([10, 20], [0.1, 0.05, 0.01]),
    "ExponentialDecay": lambda: ExponentialDecay(0.1, 10, 0.9),
    "CosineDecay": lambda: CosineDecay(0.1, 10),
    "CosineDecay warm-up": lambda: CosineDecay(0.0, 10, 0.1, warmup_target=0.1, warmup_steps=5),
    "OneCycle": lambda: OneCycle(0.1, 100),
    "OneCycle linear": lambda: OneCycle(0.1, 100, 0.2, 10, 100, anneal="linear"),
    "LinearDecay": lambda: LinearDecay(0.1, 100),
}
IN_KERAS = {
    "PiecewiseConstantDecay": [{"boundaries": [3, 7], "values": [0.1, 0.05, 0.01]}],
    "ExponentialDecay": [
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": staircase}
        for staircase in (False, True)
    ],
    "CosineDecay": [
        {"initial_learning_rate": 0.1, "decay_steps": 15},
        {"initial_learning_rate": 0.1, "decay_steps": 15, "alpha": 0.2},
        {"initial_learning_rate": 0.01, "decay_steps": 9, "alpha": 0.1, "warmup_target": 0.3, "warmup_steps": 5},
        {"initial_learning_rate": 0.01, "decay_steps": 9, "warmup_target": 0.3},
    ],
}
STEPS = (0, 1, 3, 4, 5, 7, 8, 14, 20, 1000)


def rates(schedule, steps):
    return [float(schedule(t)) for t in steps]


@pytest.mark.parametrize(("name", "arguments"), [(name, a) for name, cases in IN_KERAS.items() for a in cases])
def test_rate_is_the_one_of_keras(name, arguments):
    theirs = getattr(keras.optimizers.schedules, name)(**arguments)
    np.testing.assert_allclose(
        rates(getattr(schedules, name)(**arguments), STEPS), rates(theirs, STEPS), rtol=1e-6, atol=1e-7
    )


def test_step_decay_is_exponential_decay_in_stairs():
    stairs = keras.optimizers.schedules.ExponentialDecay(0.1, 7, 0.5, staircase=True)
    np.testing.assert_allclose(rates(StepDecay(0.1, 7, 0.5), STEPS), rates(stairs, STEPS), rtol=1e-6)


@pytest.mark.parametrize("anneal", ["cosine", "linear"])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_one_cycle_climbs_to_the_peak_and_falls_to_the_end(anneal, fraction):
    schedule = OneCycle(0.2, 200, fraction, 20, 1000, anneal)
    alpha = rates(schedule, range(201))
    top = round(200 * fraction)
    assert alpha[top] == pytest.approx(0.2, rel=1e-6)
    assert alpha[:top] == sorted(alpha[:top])
    assert alpha[top:] == sorted(alpha[top:], reverse=True)
    if fraction > 0:
        assert alpha[0] == pytest.approx(0.2 / 20, rel=1e-6)
    if fraction < 1:
        assert rates(schedule, (200, 300)) == pytest.approx([0.2 / 1000] * 2, rel=1e-4)


def test_one_cycle_is_straight_on_the_way_up_and_half_a_wave_on_the_way_down():
    alpha = np.array(rates(OneCycle(1.0, 100, 0.3, 25, 1e4), range(101)))
    np.testing.assert_allclose(np.diff(alpha[:31]), (1 - 1 / 25) / 30, rtol=1e-5)
    wave = 1e-4 + (1 - 1e-4) * (1 + np.cos(np.pi * np.arange(71) / 70)) / 2
    np.testing.assert_allclose(alpha[30:], wave, atol=1e-6)


@given(
    peak=st.floats(1e-6, 10),
    total=st.integers(1, 10**6),
    fraction=st.floats(0, 1),
    step=st.integers(0, 2 * 10**6),
    anneal=st.sampled_from(["cosine", "linear"]),
)
def test_one_cycle_stays_between_its_end_and_its_peak(peak, total, fraction, step, anneal):
    rate = float(OneCycle(peak, total, fraction, anneal=anneal)(step))
    assert peak / 1e4 * (1 - 1e-3) <= rate <= peak * (1 + 1e-6)


def test_linear_decay_is_a_line_to_zero_and_then_zero():
    alpha = np.array(rates(LinearDecay(0.3, 30), range(40)))
    np.testing.assert_allclose(np.diff(alpha[:31]), -0.01, rtol=1e-4)
    assert not alpha[30:].any()


@pytest.mark.parametrize("name", EXAMPLES)
def test_schedule_sets_the_rate_of_an_optimizer_and_config_restores_it(name):
    schedule = EXAMPLES[name]()
    optimizer = keras.optimizers.SGD.from_config(keras.optimizers.SGD(schedule).get_config())
    w = keras.Variable(0.0)
    optimizer.build([w])
    for t in range(3):
        before = float(w.value)
        optimizer.apply([keras.ops.ones(())])
        assert before - float(w.value) == pytest.approx(float(schedule(t)), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("decay_steps", lambda: StepDecay(0.1, 0)),
        ("decay_rate", lambda: StepDecay(0.1, 10, 0)),
        ("initial_learning_rate", lambda: StepDecay("0.1", 10)),
        ("values", lambda: PiecewiseConstantDecay([1, 2], [0.1])),
        ("values", lambda: PiecewiseConstantDecay([1], [0.1, None])),
        ("boundaries", lambda: PiecewiseConstantDecay([2, 1], [1, 2, 3])),
        ("boundaries", lambda: PiecewiseConstantDecay(["a"], [1, 2])),
        ("values", lambda: PiecewiseConstantDecay([1], 0.1)),
        ("decay_steps", lambda: ExponentialDecay(0.1, -1, 0.9)),
        ("staircase", lambda: ExponentialDecay(0.1, 1, 0.9, staircase="no")),
        ("alpha", lambda: CosineDecay(0.1, 10, 1.5)),
        ("warmup_target", lambda: CosineDecay(0.1, 10, warmup_target="1", warmup_steps=5)),
        ("warmup_steps", lambda: CosineDecay(0.1, 10, warmup_target=1.0, warmup_steps=-5)),
        ("peak", lambda: OneCycle(float("nan"), 10)),
        ("total_steps", lambda: OneCycle(0.1, 0)),
        ("warmup_fraction", lambda: OneCycle(0.1, 10, 1.2)),
        ("end_divisor", lambda: OneCycle(0.1, 10, end_divisor=0)),
        ("anneal", lambda: OneCycle(0.1, 10, anneal="cos")),
        ("total_steps", lambda: LinearDecay(0.1, None)),
    ],
)
def test_bad_argument_is_named(argument, make):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        make()
