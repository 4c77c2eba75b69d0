"""Texts as numbers of words: a tokenizer learned from the training texts, kept in one file that all readers share."""

from collections.abc import Iterable

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIAL = ["[PAD]", "[UNK]"]
"""The first two words: what fills up short texts, and what stands for unknown words."""
UNKNOWN = 1
"""The number of every word that is not in the vocabulary."""
MARKUP = Regex(r"<[^>]{1,80}>")
WORDS = Regex(r"\w+(?:'\w+)*|[^\w\s]")


def train_tokenizer(texts: np.ndarray, vocabulary: int, length: int) -> Tokenizer:
    """A tokenizer of lower-case words and single signs, with the most frequent ones as its vocabulary.

    Args:
        texts: of the training split.
        vocabulary: different words, at most, the two special ones among them.
        length: words of a text that are kept, the last ones: a review's verdict comes at its end.

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
    """The numbers of each text's words, `(texts, time)`, filled up with 0; a text without a word is an unknown one."""
    rows = [encoded.ids or [UNKNOWN] for encoded in tokenizer.encode_batch(list(texts))]
    ids = np.zeros((len(rows), max(map(len, rows))), "int32")
    for row, numbers in zip(ids, rows, strict=True):
        row[: len(numbers)] = numbers
    return ids
