"""MNIST-1D: the published rows, and what its parts mean."""

import numpy as np
import pytest

from kerasfound.data import mnist1d
from kerasfound.errors import UserError


def test_the_rows_are_the_published_ones():
    """The numbers were computed with the author's package mnist1d 0.0.2."""
    train, test = mnist1d.load()
    assert train.x.shape == (4000, 40)
    assert test.x.shape == (1000, 40)
    np.testing.assert_allclose(train.x[0, :4], [-0.33200567, -0.47191037, -0.77869708, -1.00974083], atol=1e-6)
    np.testing.assert_allclose(test.x[-1, -4:], [0.44723289, 0.65987565, 0.87773435, 1.19315184], atol=1e-6)
    assert train.y[:10].tolist() == [2, 6, 4, 5, 6, 6, 6, 0, 3, 1]
    assert test.y.sum() == 4482
    x = np.concatenate([train.x, test.x])
    assert abs(x.mean()) < 1e-6
    assert x.std() == pytest.approx(1)


def test_shuffled_rows_have_the_same_pixels_in_another_order():
    plain, shuffled = mnist1d.load(100)[0], mnist1d.load(100, shuffled=True)[0]
    order = [int(np.flatnonzero((plain.x == column[:, None]).all(0))[0]) for column in shuffled.x.T]
    assert sorted(order) == list(range(40))
    assert order != list(range(40))
    assert (plain.y == shuffled.y).all()


def test_classes_are_equally_frequent_and_another_seed_gives_other_rows():
    first, second = (np.concatenate([split.y for split in mnist1d.load(200, seed)]) for seed in (0, 1))
    assert np.bincount(first).tolist() == [20] * 10
    assert (first != second).any()


@pytest.mark.parametrize("samples", [40, 105])
def test_a_number_of_rows_without_equal_classes_is_an_error(samples):
    with pytest.raises(UserError, match="multiple of 10 of at least 50"):
        mnist1d.load(samples)
