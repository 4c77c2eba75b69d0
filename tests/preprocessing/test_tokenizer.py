"""Texts as token ids."""

import unicodedata

import numpy as np
import pytest
from tokenizers import Tokenizer

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


@pytest.mark.parametrize(
    ("texts", "new", "tokens"),
    [
        (["这部电影非常好看", "那个演员非常难看"], "这个演员好看", list("这个演员好看")),
        (["この映画は面白い", "あの俳優は退屈だ"], "この俳優は面白い", list("この俳優は面白い")),
        (["หนังเรื่องนี้ดี", "เพลงนี้แย่"], "เพลงนี้ดี", ["เ", "พ", "ล", "ง", "นี้", "ดี"]),
        (["ຮູບເງົານີ້ດີ"], "ນີ້ດີ", ["ນີ້", "ດີ"]),
        (["ខ្សែភាពយន្តនេះល្អ"], "នេះល្អ", ["នេះ", "ល្", "អ"]),
        (["ဒီရုပ်ရှင်ကောင်းတယ်"], "ကောင်းတယ်", ["ကော", "င်း", "တ", "ယ်"]),
        (["이 영화는 재미있다", "그 배우가 지루하다"], "이 배우는 재미있다", list("이배우는재미있다")),
        (["यह फिल्म अच्छी है"], "फिल्म अच्छी", ["फिल्म", "अच्छी"]),
        (["我用iPhone拍了3张"], "3张iphone", ["3", "张", "iphone"]),
    ],
    ids=["Chinese", "Japanese", "Thai", "Lao", "Khmer", "Burmese", "Korean", "Hindi", "mixed"],
)
def test_a_new_text_of_known_parts_has_known_tokens_in_any_script(texts, new, tokens):
    tokenizer = train_tokenizer(np.array(texts, "T"), vocabulary=100, length=50)
    assert tokenizer.encode(new).tokens == tokens
    assert (encode_texts(tokenizer, [new]) > 1).all()


@pytest.mark.parametrize(
    ("known", "same"),
    [
        ("crème tiếng", unicodedata.normalize("NFD", "crème tiếng")),
        ("việt", "vi\u00ea\u0323t"),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("ガンダム", "ｶﾞﾝﾀﾞﾑ"),
        ("面白い good 1 !", "面白い \uff27\uff2f\uff2f\uff24 \uff11 \uff01"),
        ("don't п'ять", "Don\u2019t п\u02bcять"),
        ("cooperate film", "\ufeffco\u00adoperate fi\u200blm\u200f"),
        ("❤ 👍", "❤\ufe0f 👍"),
        ("می‌خواهم", "میخواهم"),
        ("ΣΊΣΥΦΟΣ", "Σίσυφοσ"),
    ],
)
def test_two_spellings_of_a_word_are_the_same_token(known, same):
    tokenizer = train_tokenizer(np.array([known], "T"), 50, length=20)
    expected, ids = encode_texts(tokenizer, [known, same]).tolist()
    assert ids == expected
    assert 1 not in ids


def test_a_text_cannot_name_a_special_token():
    tokenizer = train_tokenizer(np.array(["[PAD] pad [UNK] unk"], "T"), 50, length=20)
    assert tokenizer.encode("[PAD][UNK]").tokens == ["[", "pad", "]", "[", "unk", "]"]


def test_the_file_of_a_tokenizer_holds_all_its_rules():
    tokenizer = train_tokenizer(np.array(["这部电影 ｶﾞ crème isn't <b>"], "T"), 50, length=20)
    text = "这ガ cre\u0300me isn\u2019t </b> \x00 \u200b"
    assert Tokenizer.from_str(tokenizer.to_str()).encode(text).ids == tokenizer.encode(text).ids


@pytest.mark.parametrize(
    "text", ["", " ", "a", "\x00", "\u200b", "x" * 100_000, "好" * 100_000, "no " * 50_000, "<" * 50_000]
)
def test_any_text_has_between_one_token_and_the_largest_number(text):
    tokenizer = train_tokenizer(np.array(["a good 好 film"], "T"), 50, length=20)
    (ids,) = encode_texts(tokenizer, [text])
    assert 1 <= len(ids) <= 20
    assert (ids > 0).all()
