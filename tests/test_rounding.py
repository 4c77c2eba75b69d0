"""Small and large numbers keep digits that say something."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kerasfound.rounding import format_number, round_significant
from kerasfound.training.task_metrics import regression_metrics


@given(st.floats(1e-30, 1e30) | st.floats(-1e30, -1e-30))
def test_a_shown_number_is_never_a_row_of_zeros(value):
    assert abs(float(format_number(value)) - value) <= 0.051 * abs(value)
    assert abs(round_significant(value) - value) <= 1e-6 * abs(value)


def test_the_error_of_a_target_near_1e_9_is_not_zero():
    metrics = regression_metrics(np.array([[1e-9], [4e-9]]), np.array([2e-9, 3e-9]))
    assert metrics["rmse"] == metrics["mae"] == 1e-9
    assert format_number(metrics["rmse"]) == "1e-09"
