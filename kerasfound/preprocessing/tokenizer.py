"""Texts as token ids: a tokenizer trained on the training texts, in one file for training, export and serving."""

from collections.abc import Iterable

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIAL = ["[PAD]", "[UNK]"]
"""The first two tokens: padding of short texts, and the token for unknown words."""
UNKNOWN = 1
"""The id of every word that is not in the vocabulary."""
SCRIPTS = (
    *("Han", "Hiragana", "Katakana", "Bopomofo", "Hangul", "Yi", "Nushu", "Tangut"),
    *("Thai", "Lao", "Khmer", "Myanmar", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Javanese", "Balinese"),
)
"""Scripts in which spaces do not separate words, and Korean, where a space comes after a word with all its endings."""
MARKUP = r"<[^>]{1,80}>"
INVISIBLE = r"[\p{Cf}\p{Variation_Selector}]"
"""Characters without a shape: zero-width spaces and joiners, byte-order marks, directions of writing, soft hyphens."""
APOSTROPHES = "\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}"
LETTER = "[" + "".join(rf"\p{{{script}}}" for script in SCRIPTS) + "\u3006\u3031-\u3035\u30a0\u30fc\uff70&&[^\\p{M}]]"
"""A letter that is a token: of the scripts above, or one that Japanese scripts share."""
LETTERS = rf"{LETTER}\p{{M}}*"
WORDS = r"\w+(?:'\w+)*|[^\w\s]\p{M}*"
"""Words, and any other character with its accents."""
UNICODE_FORMS = ("NFC", "NFKC")
"""How characters are composed: NFKC also reads the wide and narrow forms of a letter as the same."""
MANY_LETTERS = 0.1
"""Texts with a larger share of such letters are read in the form NFKC: wide and narrow forms are common there."""


def train_tokenizer(texts: np.ndarray, vocabulary: int, length: int) -> Tokenizer:
    """Train a tokenizer of lower-case words and punctuation characters, with the most frequent ones as vocabulary.

    In scripts without spaces between words, such as Chinese, Japanese and Thai, and in Korean, every letter is a token,
    with its accents and vowel signs.

    Args:
        texts: the training texts.
        vocabulary: the largest number of tokens, with the two special ones.
        length: the largest number of tokens of a text. Longer texts keep their last ones: a review often gives its
            verdict at the end.

    Example:
        >>> tokenizer = train_tokenizer(np.array(["a b b<br />", "b a!"]), vocabulary=5, length=3)
        >>> tokenizer.get_vocab_size(), encode_texts(tokenizer, ["A c", "b a b !"]).tolist()
        (5, [[3, 1, 0], [3, 2, 4]])
        >>> chinese = train_tokenizer(np.array(["好看", "难看"]), vocabulary=10, length=9)
        >>> chinese.encode("很难看").tokens
        ['[UNK]', '难', '看']
    """
    trained = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
    normalizer, pre_tokenizer = rules(UNICODE_FORMS[_letter_share(texts) > MANY_LETTERS])
    trained.normalizer, trained.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.WordLevelTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False)
    trained.train_from_iterator(texts, trainer)
    # the trainer makes a tokenizer that takes "[PAD]" in a text for padding; one with the same words does not
    tokenizer = Tokenizer(models.WordLevel(trained.get_vocab(), unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.enable_truncation(length, direction="left")
    return tokenizer


def rules(unicode_form: str) -> tuple[normalizers.Normalizer, pre_tokenizers.PreTokenizer]:
    """How a text is cut into tokens, before their ids are looked up.

    Args:
        unicode_form: one of `UNICODE_FORMS`.
    """
    cuts = [
        pre_tokenizers.Split(Regex(LETTERS), behavior="isolated"),
        pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
    ]
    normalizer = normalizers.Sequence([normalizers.Replace(Regex(MARKUP), " "), spelling(unicode_form)])
    return normalizer, pre_tokenizers.Sequence(cuts)


def spelling(unicode_form: str) -> normalizers.Normalizer:
    """Make equal what differs in case, in the form of an accent or an apostrophe, or in what cannot be seen."""
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(INVISIBLE), ""),
            getattr(normalizers, unicode_form)(),
            *(normalizers.Replace(character, "'") for character in APOSTROPHES),
            normalizers.Lowercase(),
        ]
    )


def encode_texts(tokenizer: Tokenizer, texts: Iterable[str]) -> np.ndarray:
    """Return the token ids of each text, `(texts, time)`, padded with 0. A text without words is one unknown word."""
    rows = [encoding.ids or [UNKNOWN] for encoding in tokenizer.encode_batch(list(texts))]
    ids = np.zeros((len(rows), max(map(len, rows))), "int32")
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = row
    return ids


def _letter_share(texts: np.ndarray) -> float:
    """The share of letters that are a token each, in the first texts."""
    sample = "".join(texts[:1000])
    letters = pre_tokenizers.Split(Regex(LETTER), behavior="removed", invert=True)
    return len(letters.pre_tokenize_str(sample)) / max(len(sample), 1)
