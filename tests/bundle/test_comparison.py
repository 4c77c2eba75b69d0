"""The difference between two outputs."""

import numpy as np
import pytest

from kerasfound.bundle.comparison import compare


@pytest.mark.parametrize(
    ("expected", "actual", "max_scaled"),
    [
        ([[1.0, 3.0]], [[1.0, 3.4]], 0.1),
        ([[1.0, np.nan]], [[1.0, np.nan]], 0),
        ([[1.0, np.inf]], [[1.0, np.nan]], 0),
        ([[1.0, np.nan]], [[1.0, 2.0]], np.inf),
        ([[1.0, 2.0]], [[1.0, np.nan]], np.inf),
        ([1.0, 2.0], [1.0, 2.3], 0.1),
        (3.0, 3.4, 0.1),
        ([1, 2], [1, 3], np.inf),
        ([True], [True], 0),
        (["a"], ["b"], np.inf),
        ([[1.0]], [1.0], np.inf),
        (np.zeros((0, 2)), np.zeros((0, 2)), 0),
    ],
)
def test_a_difference_is_scaled_by_the_largest_number_of_its_row(expected, actual, max_scaled):
    assert compare(np.array(expected), np.array(actual)).max_scaled == pytest.approx(max_scaled)


def test_decisions_are_equal_where_the_largest_number_is_in_the_same_place():
    expected, actual = np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([[0.2, 0.8], [0.4, 0.6]])
    assert compare(expected, actual).equal_decisions == [True, False]
