"""Raw texts as inputs of a SavedModel: the tokenizer and the alphabet of a language model as TensorFlow operations.

ONNX has no operation that splits a text by a rule, so the ONNX file takes token ids.
"""

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tokenizers import Regex, Tokenizer, pre_tokenizers

from kerasfound.bundle.manifest import Tensor
from kerasfound.errors import UserError
from kerasfound.preprocessing.tokenizer import SPECIAL, UNKNOWN

from ..saved_model_writer import SavedModelSignature, lookup_table

NAME = "text"
INPUT = Tensor(NAME, "string", ["batch"])
PROBABILITIES = "probabilities"
SPACES = r"[\s\x0b\x{85}\p{Z}]+"
"""The characters that `\\s` matches in `tokenizers`; in RE2 it matches ASCII only."""
NO_WORDS = SPECIAL[UNKNOWN]
"""Replaces a text without words. The tokenizer never produces it from a text, because brackets are separate words."""
EDGE_CASES = (
    "A <br /><br />GREAT film -- isn't it?! 10/10.",
    "It\N{RIGHT SINGLE QUOTATION MARK}s cr\u00e8me br\u00fbl\u00e9e\N{NO-BREAK SPACE}\u2026 na\u00efve_one \u00bd",
    "\u039f\u0394\u039f\u03a3 \u0130stanbul \u6620\u753b \U0001f600 x\u00b2 \u24b6",
    "''' <not closed, O'Neill's 'quoted' <" + "long " * 30 + ">",
    "",
    " \t\n",
)
"""Texts that test the rules of the tokenizer."""


def tokenizer_signature(tokenizer: Tokenizer) -> SavedModelSignature:
    """Return a signature that takes raw texts, for a model that takes the token ids of this tokenizer.

    The token ids equal those of the library `tokenizers`, with three exceptions: texts that are not in the Unicode
    normal form NFC, which TensorFlow cannot compute; letters of scripts that are newer than TensorFlow's Unicode, which
    it does not convert to lower case; texts with `[PAD]` or `[UNK]`, which `tokenizers` reads as special tokens.

    Args:
        tokenizer: from `train_tokenizer`.
    """
    encode, vocabulary = tensorflow_encoder(tokenizer)
    return SavedModelSignature([INPUT], lambda function: lambda text: function(encode(text)), [vocabulary])


def tensorflow_encoder(tokenizer: Tokenizer) -> tuple[Callable[[tf.Tensor], tf.Tensor], tf.lookup.StaticHashTable]:
    """Rebuild a tokenizer in TensorFlow: a function from texts to ids `(texts, time)`, and its lookup table.

    Raises:
        UserError: if the rules of the tokenizer are not those of `train_tokenizer`.
    """
    rules = _read_rules(tokenizer)
    vocabulary = lookup_table(tokenizer.get_vocab(), UNKNOWN)

    def encode(texts: tf.Tensor) -> tf.Tensor:
        for pattern, replacement in rules.replacements:
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        # TensorFlow has another lower case for a capital sigma at the end of a word, `tokenizers` has not
        texts = tf.strings.lower(tf.strings.regex_replace(texts, "\u03a3", "\u03c3"), encoding="utf-8")
        texts = tf.strings.regex_replace(tf.strings.regex_replace(texts, SPACES, " "), rules.word, r"\0 ")
        texts = tf.strings.strip(texts)
        texts = tf.where(texts == "", NO_WORDS, texts)
        return vocabulary.lookup(tf.strings.split(texts)[:, -rules.length :]).to_tensor(0)

    return encode, vocabulary


def next_character_signature(labels: Sequence[str], window: int) -> SavedModelSignature:
    """Return a signature that takes raw texts and returns the probabilities of the next character.

    It raises an error for an empty text and for a character that is not in `labels`.

    Args:
        labels: the characters, in the order of their ids.
        window: how many characters the model sees, the last ones of a text.
    """
    vocabulary = lookup_table({character: i for i, character in enumerate(labels)}, -1)

    def wrap(function: Callable) -> Callable:
        def next_character(texts: tf.Tensor) -> dict[str, tf.Tensor]:
            ids = vocabulary.lookup(tf.strings.unicode_split(texts, "UTF-8")[:, -window:])
            lengths = ids.row_lengths()
            checks = [
                tf.debugging.assert_non_negative(ids.values, "a text holds a character that the model has never seen"),
                tf.debugging.assert_positive(lengths, "a text is empty"),
            ]
            with tf.control_dependencies(checks):
                # padding at the end is safe: no character depends on later ones
                (logits,) = function(ids.to_tensor(0)).values()
            return {PROBABILITIES: tf.nn.softmax(tf.gather(logits, lengths - 1, axis=1, batch_dims=1))}

        return next_character

    return SavedModelSignature([INPUT], wrap, [vocabulary])


def review_texts(tokenizer: Tokenizer, ids: np.ndarray) -> list[str]:
    """Return the edge cases, and texts that have these token ids except for unknown words."""
    words = {i: word for word, i in tokenizer.get_vocab().items()} | {UNKNOWN: "\ue000", 0: ""}
    return [*EDGE_CASES, *(" ".join(words[i] for i in row).strip() for row in ids.tolist())]


def passage_texts(labels: Sequence[str], ids: np.ndarray, window: int) -> list[str]:
    """Return passages of the text with these character ids, some shorter and some longer than the window."""
    text = "".join(labels[i] for i in ids.ravel())
    return [text[start : start + 1 + 7 * start % (2 * window)] for start in range(min(len(text) - 1, 64))]


class _Rules(NamedTuple):
    """The rules that `train_tokenizer` writes to a tokenizer file, with regular expressions for RE2."""

    replacements: list[tuple[str, str]]
    word: str
    length: int


def _read_rules(tokenizer: Tokenizer) -> _Rules:
    file = json.loads(tokenizer.to_str())
    try:
        unicode_form, markup, quote, lower = file["normalizer"]["normalizers"]
        split = file["pre_tokenizer"]["pattern"]["Regex"]
        replacements = [(markup["pattern"]["Regex"], markup["content"]), (quote["pattern"]["String"], quote["content"])]
        length = file["truncation"]["max_length"]
    except (KeyError, TypeError, ValueError):
        unicode_form, lower = {}, {}
    if (unicode_form.get("type"), lower.get("type")) != ("NFC", "Lowercase"):
        raise UserError(
            "the tokenizer has other rules than kerasfound's, so the SavedModel cannot take texts; "
            "use a tokenizer from kerasfound.preprocessing.train_tokenizer."
        )
    letters = _word_characters()
    word = split.replace(r"[^\w\s]", f"[^{letters} ]").replace(r"\w", f"[{letters}]")
    return _Rules(replacements, word, length)


@functools.cache
def _word_characters() -> str:
    r"""Return the characters that `\w` matches in `tokenizers`, as ranges for RE2, where `\w` matches other ones."""
    all_characters = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    matches = pre_tokenizers.Split(Regex(r"\w"), behavior="removed", invert=True).pre_tokenize_str(all_characters)
    return "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in _ranges(ord(c) for c, _ in matches))


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last number of each run of consecutive numbers."""
    for _, run in itertools.groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        consecutive = [number for _, number in run]
        yield consecutive[0], consecutive[-1]
