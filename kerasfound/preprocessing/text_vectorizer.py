"""What `keras.layers.TextVectorization` computes, without TensorFlow: texts to token ids or to rows of counts."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from kerasfound.errors import UserError, one_line
from kerasfound.wording import counted

PUNCTUATION = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
"""The characters that Keras removes."""
MAX_FILE_BYTES = 64 << 20
MAX_VALUES = 1 << 22
"""In the array of one call."""
MAX_NGRAM_BYTES = 4 << 20
"""In all n-grams of one call."""


class TextVectorizer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The settings of a `TextVectorization` layer, with the same meaning, and its vocabulary.

    Upper case and whitespace are those of ASCII, as in Keras: `"Ä"` stays as it is.

    Args:
        vocabulary: the tokens by id, with the padding token `""` and the token for unknown words, as
            `TextVectorization.get_vocabulary` returns them.
        output_mode: `"int"` for ids; `"multi_hot"`, `"count"` or `"tf_idf"` for one number for each id.
        standardize: what is done to a text before it is split.
        split: how a text becomes tokens. `None` keeps it as one token.
        ngrams: the lengths of the n-grams of tokens. Empty for the tokens themselves.
        length: the number of ids of each text. By default the largest number of tokens in the call.
        size: the numbers of a row, if the output are not ids.
        idf_weights: a factor for each id, for `"tf_idf"`.

    Example:
        >>> vectorizer = TextVectorizer(["", "[UNK]", "a", "film"], "int")
        >>> vectorizer.encode(["A film, a FILM!", "good"]).tolist()
        [[2, 3, 2, 3], [1, 0, 0, 0]]
    """

    vocabulary: list[str]
    output_mode: Literal["int", "multi_hot", "count", "tf_idf"]
    standardize: Literal["lower", "strip_punctuation", "lower_and_strip_punctuation"] | None = (
        "lower_and_strip_punctuation"
    )
    split: Literal["whitespace", "character"] | None = "whitespace"
    ngrams: list[int] = []
    length: int | None = None
    size: int = 0
    idf_weights: list[float] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return ids `(texts, time)` or rows `(texts, size)`.

        Raises:
            UserError: if the n-grams or the array would be larger than a call may have.
        """
        encoded = [text.encode() for text in texts]
        if (num_bytes := sum(map(len, encoded)) * sum(self.ngrams)) > MAX_NGRAM_BYTES:
            raise UserError(f"the n-grams of the texts have {num_bytes:,} bytes; expected at most {MAX_NGRAM_BYTES:,}.")
        unknown = 1 if self.output_mode == "int" else 0
        rows = [[self._ids.get(token, unknown) for token in self._tokens(text)] for text in encoded]
        return self._padded(rows) if self.output_mode == "int" else self._counted(rows)

    def save(self, file: Path) -> None:
        """Write the settings as JSON.

        Raises:
            UserError: if the vocabulary is too large.
        """
        text = msgspec.json.encode(self)
        if len(text) > MAX_FILE_BYTES:
            raise UserError(
                f"{file.name}: the vocabulary needs {len(text):,} bytes, expected at most {MAX_FILE_BYTES:,}; "
                "set `max_tokens` of the TextVectorization layer."
            )
        file.write_bytes(text)

    @property
    def dtype(self) -> str:
        """Of the array that `encode` returns."""
        return "int64" if self.output_mode == "int" else "float32"

    @functools.cached_property
    def _ids(self) -> dict[bytes, int]:
        return {word.encode(): i for i, word in enumerate(self.vocabulary)}

    def _tokens(self, text: bytes) -> Iterator[bytes]:
        if self.standardize in ("lower", "lower_and_strip_punctuation"):
            text = text.lower()
        if self.standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
            text = text.translate(None, PUNCTUATION)
        if self.split == "whitespace":
            tokens = text.split()
        elif self.split == "character":
            tokens = [character.encode() for character in text.decode()]
        else:
            tokens = [text] if text or self.output_mode == "int" else []  # padding is not counted
        if not self.ngrams:
            yield from tokens
        for n in self.ngrams:
            for start in range(len(tokens) - n + 1):
                yield b" ".join(tokens[start : start + n])

    def _padded(self, rows: list[list[int]]) -> np.ndarray:
        length = max(map(len, rows), default=0) if self.length is None else self.length
        padded = _zeros(len(rows), length, self.dtype)
        for row, values in zip(padded, rows, strict=True):
            row[: len(values)] = values[:length]
        return padded

    def _counted(self, rows: list[list[int]]) -> np.ndarray:
        counts = _zeros(len(rows), self.size, self.dtype)
        for row, values in zip(counts, rows, strict=True):
            np.add.at(row, values, 1)
        if self.output_mode == "multi_hot":
            return np.minimum(counts, 1)
        return counts * np.array(self.idf_weights, "float32") if self.output_mode == "tf_idf" else counts


def load_vectorizer(file: Path) -> TextVectorizer:
    """Read the settings that `save` wrote.

    Raises:
        UserError: if the file cannot be read or its settings contradict each other.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise UserError(f"{file}: larger than {MAX_FILE_BYTES:,} bytes, so not a vocabulary.")
        vectorizer = msgspec.json.decode(text, type=TextVectorizer)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as a text vectorizer ({one_line(error)}).") from error
    is_row = vectorizer.output_mode != "int"
    weights = vectorizer.size if vectorizer.output_mode == "tf_idf" else 0
    if (
        (is_row and not len(vectorizer.vocabulary) <= vectorizer.size <= MAX_VALUES)
        or len(vectorizer.idf_weights) != weights
        or min([*vectorizer.ngrams, 1]) < 1
        or not 0 <= (vectorizer.length or 0) <= MAX_VALUES
    ):
        raise UserError(f"{file}: its sizes contradict each other; export the model again.")
    return vectorizer


def _zeros(rows: int, columns: int, dtype: str) -> np.ndarray:
    if rows * columns > MAX_VALUES:
        raise UserError(
            f"{counted(rows, 'text')} of {columns:,} numbers each; expected at most {MAX_VALUES:,} in all, "
            "send fewer texts."
        )
    return np.zeros((rows, columns), dtype)
