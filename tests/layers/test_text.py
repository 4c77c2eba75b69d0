"""Hashed n-grams: one bucket for each n-gram, none for padding. Sorted lookup: the position of each key."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound.layers.text import HashedNGrams, SortedLookup

WORDS = st.lists(st.integers(1, 40_000), min_size=1, max_size=12)
MANY = 2**30
"""So many buckets that collisions are rare."""


def buckets(words, orders, padding=0):
    y = HashedNGrams(orders, MANY)(np.array([words + [0] * padding], "int32"))
    return ops.convert_to_numpy(y)[0]


def lookup_of(keys):
    lookup = SortedLookup(len(keys))
    lookup.set_weights([np.array(keys, "int32")])
    return lookup


EXAMPLES = {
    "HashedNGrams": lambda: (HashedNGrams(3, 50), np.array([[3, 21_000, 3, 2, 0], [30_000, 7, 0, 0, 0]], "int32")),
    "SortedLookup": lambda: (SortedLookup(5), np.array([[3, 9, 5, 1, 0], [-7, 6, 2, 4, 2**31 - 1]], "int32")),
}


@given(WORDS, st.integers(1, 4))
def test_there_is_one_bucket_for_each_different_ngram(words, orders):
    different = {tuple(words[i : i + n]) for n in range(1, orders + 1) for i in range(len(words) - n + 1)}
    y = buckets(words, orders)
    assert len(y) == orders * len(words)
    assert np.count_nonzero(y) == len(np.unique(y[y > 0])) == len(different)


@given(WORDS, st.integers(1, 30))
def test_padding_adds_no_bucket(words, padding):
    y, padded = (buckets(words, 3, n) for n in (0, padding))
    assert y[y > 0].tolist() == padded[padded > 0].tolist()


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=20), st.integers(2, 100))
def test_buckets_are_within_their_bound(words, bound):
    y = ops.convert_to_numpy(HashedNGrams(3, bound)(np.array([words], "int32")))
    assert y.min() >= 0
    assert y.max() < bound


def test_the_hash_is_the_formula():
    word, other, p = 21_000, 7, 1_000_003
    pair = (word * p + other + 2**31) % 2**32 - 2**31  # as 32-bit integers overflow
    expected = sorted(1 + h % (1000 - 1) for h in (word, other, pair))
    y = HashedNGrams(2, 1000)(np.array([[word, other]]))
    assert [b for b in ops.convert_to_numpy(y)[0].tolist() if b] == expected


INTEGERS = st.integers(-(2**31), 2**31 - 1)


@given(st.sets(INTEGERS, min_size=1, max_size=40), st.lists(INTEGERS, max_size=20))
def test_keys_are_found_and_no_other_numbers(known, unknown):
    known = sorted(known)
    x = np.array([*known, *unknown], "int32")
    place = {number: 1 + i for i, number in enumerate(known)}
    assert ops.convert_to_numpy(lookup_of(known)(x)).tolist() == [place.get(int(number), 0) for number in x]


def test_the_lookup_is_that_of_keras():
    known, x = [10, 20, 30, 45], np.array([[45, 10, 11], [0, 30, 20]], "int32")
    theirs = keras.layers.IntegerLookup(vocabulary=known, num_oov_indices=1)
    assert np.array_equal(ops.convert_to_numpy(lookup_of(known)(x)), ops.convert_to_numpy(theirs(x)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SortedLookup(0), "`size` must be an integer of at least 1, got 0"),
        (lambda: SortedLookup(2.5), "`size` must be an integer of at least 1, got 2.5"),
        (lambda: HashedNGrams(0, 10), "`orders` must be an integer of at least 1, got 0"),
        (lambda: HashedNGrams(2, 1), "`buckets` must be an integer of at least 2, got 1"),
        (lambda: HashedNGrams(1, 10)(np.zeros((2, 3, 4), "int32")), r"must be \(batch, time\)"),
    ],
)
def test_bad_arguments_and_inputs_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
