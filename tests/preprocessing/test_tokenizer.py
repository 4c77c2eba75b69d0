"""Texts as token ids."""

import numpy as np

from kerasfound.preprocessing.tokenizer import encode_texts, train_tokenizer


def test_the_vocabulary_has_the_most_frequent_words_and_long_texts_keep_their_end():
    tokenizer = train_tokenizer(np.array(["the the the film<br />film, Isn't"], "T"), 5, length=4)
    assert tokenizer.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "the": 2, "film": 3, ",": 4}
    assert encode_texts(tokenizer, ["The film , the", "a film , the film", "<br />", ""]).tolist() == [
        [2, 3, 4, 2],
        [3, 4, 2, 3],
        [1, 0, 0, 0],
        [1, 0, 0, 0],
    ]


def test_a_word_with_a_straight_or_a_curly_apostrophe_is_the_same_token():
    tokenizer = train_tokenizer(np.array(["isn't it"], "T"), 10, length=4)
    straight, curly = encode_texts(tokenizer, ["Isn't it", "isn\N{RIGHT SINGLE QUOTATION MARK}t it"])
    assert straight.tolist() == curly.tolist()
    assert len(straight) == 2
