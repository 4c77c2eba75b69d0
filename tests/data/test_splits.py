"""Splits: every row is in one split, and each class has the same share in all of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kerasfound.data.splits import stratified_split


@given(st.integers(10, 300), st.integers(1, 5), st.integers(0, 3), st.integers(0, 1000))
def test_a_split_shares_no_row_loses_none_and_has_its_share_of_each_class(count, classes, test, seed):
    y = np.random.default_rng(seed).integers(0, classes, count)
    splits = stratified_split(y, seed, test=test)
    assert sorted(np.concatenate(splits).tolist()) == list(range(count))
    if not test:
        for rows, share in zip(splits, (0.7, 0.1, 0.2), strict=True):
            for c in range(classes):
                assert abs((y[rows] == c).sum() - share * (y == c).sum()) <= 2


def test_a_reserved_test_split_stays_at_the_end():
    train, validation, test = stratified_split(np.zeros(30), seed=0, test=10)
    assert (len(train), len(validation), test.tolist()) == (18, 2, list(range(20, 30)))


def test_numbers_are_split_without_their_order():
    y = np.arange(100.0)
    train, validation, test = stratified_split(y, seed=0, stratify=False)
    assert (len(train), len(validation), len(test)) == (70, 10, 20)
    assert 20 < y[test].mean() < 80
