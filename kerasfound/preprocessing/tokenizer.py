"""Texts as token ids: a tokenizer trained on the training texts, in one file for training, export and serving."""

from collections.abc import Iterable

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIAL = ["[PAD]", "[UNK]"]
"""The first two tokens: padding of short texts, and the token for unknown words."""
UNKNOWN = 1
"""The id of every word that is not in the vocabulary."""
MARKUP = Regex(r"<[^>]{1,80}>")
WORDS = Regex(r"\w+(?:'\w+)*|[^\w\s]")


def train_tokenizer(texts: np.ndarray, vocabulary: int, length: int) -> Tokenizer:
    """Train a tokenizer of lower-case words and punctuation characters, with the most frequent ones as vocabulary.

    Args:
        texts: the training texts.
        vocabulary: the largest number of tokens, with the two special ones.
        length: the largest number of tokens of a text. Longer texts keep their last ones: a review often gives its
            verdict at the end.

    Example:
        >>> tokenizer = train_tokenizer(np.array(["a b b<br />", "b a!"]), vocabulary=5, length=3)
        >>> tokenizer.get_vocab_size(), encode_texts(tokenizer, ["A c", "b a b !"]).tolist()
        (5, [[3, 1, 0], [3, 2, 4]])
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(MARKUP, " "),
            normalizers.Replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(WORDS, behavior="removed", invert=True)
    trainer = trainers.WordLevelTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.enable_truncation(length, direction="left")
    return tokenizer


def encode_texts(tokenizer: Tokenizer, texts: Iterable[str]) -> np.ndarray:
    """Return the token ids of each text, `(texts, time)`, padded with 0. A text without words is one unknown word."""
    rows = [encoding.ids or [UNKNOWN] for encoding in tokenizer.encode_batch(list(texts))]
    ids = np.zeros((len(rows), max(map(len, rows))), "int32")
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = row
    return ids
