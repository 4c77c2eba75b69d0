"""The difference between two outputs is measured by the scale of the output."""

import numpy as np
import pytest

from kerasfound.bundle.comparison import TOLERANCE, compare, output_scale


@pytest.mark.parametrize(
    ("expected", "actual", "max_scaled"),
    [
        ([[2.0, 4.0]], [[2.0, 4.4]], 0.1),
        ([[2.0, np.nan]], [[2.0, np.nan]], 0),
        ([[2.0, np.inf]], [[2.0, np.nan]], 0),
        ([[2.0, np.nan]], [[2.0, 2.0]], np.inf),
        ([[1.0, 2.0]], [[1.0, np.nan]], np.inf),
        ([2.0, 4.0], [2.0, 4.4], 0.1),
        (4.0, 4.4, 0.1),
        (4e30, 4.4e30, 0.1),
        ([0.0, 0.0], [0.0, 0.1], 0.1),
        ([0.0, 0.0, 3.0], [0.3, 0.0, 3.0], 0.1),
        ([1, 2], [1, 3], np.inf),
        ([True], [True], 0),
        (["a"], ["b"], np.inf),
        ([[1.0]], [1.0], np.inf),
        (np.zeros((0, 2)), np.zeros((0, 2)), 0),
    ],
)
def test_a_difference_is_divided_by_the_size_of_the_number_or_of_the_output(expected, actual, max_scaled):
    assert compare(np.array(expected), np.array(actual)).max_scaled == pytest.approx(max_scaled)


RNG = np.random.default_rng(0)
SMALL = {
    "rates": RNG.uniform(1e-7, 1e-6, (50, 3)),
    "lengths in metres, of micrometres": 1e-6 * RNG.normal(size=(50, 3)),
    "probabilities of a rare class": np.stack([1 - 1e-6 * np.arange(1, 51), 1e-6 * np.arange(1, 51)], axis=1),
    "columns of different units": RNG.normal(size=(50, 2)) * [1e4, 1e-5],
}


@pytest.mark.parametrize("name", SMALL)
def test_small_outputs_are_compared_by_their_own_size(name):
    expected = SMALL[name]
    wrong = expected.copy()
    wrong[:, -1] = RNG.permutation(wrong[:, -1])
    assert compare(expected, wrong).max_scaled > 0.1
    assert compare(expected, (1 + 1e-6) * expected).max_scaled < TOLERANCE


def test_numbers_that_cancel_out_are_compared_by_the_size_of_their_column():
    """A sum near 0 has the rounding errors of its terms."""
    expected = RNG.normal(size=(100, 4))
    expected[0] = 1e-9
    assert compare(expected, expected + 1e-7).max_scaled < TOLERANCE


def test_a_column_that_is_always_zero_has_the_scale_of_the_whole_output():
    expected = RNG.normal(size=(100, 2)) * [1, 0]
    assert compare(expected, expected + 1e-7).max_scaled < TOLERANCE


def test_a_few_large_numbers_do_not_hide_differences_of_the_others():
    expected = np.exp(5 * RNG.normal(size=(500, 1)))
    assert output_scale([expected]) < 2
    assert expected.max() > 1e5
    assert compare(expected, expected + 0.01).max_scaled > 100 * TOLERANCE


def test_any_output_is_right_where_the_scale_is_infinite():
    scale = np.array([1.0, np.inf])
    assert compare(np.array([1.0, 2.0]), np.array([1.0, 5.0]), scale).max_scaled == 0
    assert compare(np.array([1.0, np.nan]), np.array([1.0, 5.0]), scale).max_scaled == 0
    assert compare(np.array([1, 2]), np.array([1, 5]), scale).max_scaled == 0


def test_decisions_are_equal_where_the_largest_number_is_in_the_same_place():
    expected, actual = np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([[0.2, 0.8], [0.4, 0.6]])
    assert compare(expected, actual).equal_decisions == [True, False]


def test_within_the_tolerance_only_equal_numbers_decide_otherwise():
    """Whatever the scale, another decision means a difference of half the distance between the two numbers."""
    for size in (1e-9, 1.0, 1e9):
        expected = size * RNG.uniform(0.4, 0.6, (1000, 2))
        actual = expected * (1 + RNG.uniform(-TOLERANCE, TOLERANCE, expected.shape))
        compared = compare(expected, actual)
        assert compared.max_scaled <= TOLERANCE
        distance = np.abs(np.diff(expected)[:, 0])
        assert np.all(distance[~np.array(compared.equal_decisions)] <= 2 * TOLERANCE * size)
