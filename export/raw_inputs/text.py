"""Raw texts into a SavedModel: the tokenizer's steps, and a language model's alphabet, in TensorFlow's own operations.

ONNX has no operation that splits a text by a rule, so its file stays on numbers.
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

from ..saved_model_writer import Endpoint, table

NAME = "text"
INPUT = Tensor(NAME, "string", ["batch"])
PROBABILITIES = "probabilities"
SPACES = r"[\s\x0b\x{85}\p{Z}]+"
"""What `\\s` is for `tokenizers`; RE2's own is that of ASCII."""
NOTHING = SPECIAL[UNKNOWN]
"""Stands for a text without a word. No text yields it: brackets are words of their own."""
TRICKY = (
    "A <br /><br />GREAT film -- isn't it?! 10/10.",
    "It\N{RIGHT SINGLE QUOTATION MARK}s cr\u00e8me br\u00fbl\u00e9e\N{NO-BREAK SPACE}\u2026 na\u00efve_one \u00bd",
    "\u039f\u0394\u039f\u03a3 \u0130stanbul \u6620\u753b \U0001f600 x\u00b2 \u24b6",
    "''' <not closed, O'Neill's 'quoted' <" + "long " * 30 + ">",
    "",
    " \t\n",
)
"""Texts at the edges of the tokenizer's rules."""


def words(tokenizer: Tokenizer) -> Endpoint:
    """A signature that takes raw texts and answers as the model does to the tokenizer's numbers of them.

    The numbers are those of `tokenizers` but for: texts that are not in Unicode's normal form NFC, which TensorFlow
    cannot make; letters of scripts younger than TensorFlow's Unicode, which it does not lower; and texts that hold
    `[PAD]` or `[UNK]`, which `tokenizers` takes for its own.

    Args:
        tokenizer: as `train_tokenizer` makes them.
    """
    numbers, known = encoder(tokenizer)
    return Endpoint([INPUT], lambda answer: lambda text: answer(numbers(text)), [known])


def encoder(tokenizer: Tokenizer) -> tuple[Callable[[tf.Tensor], tf.Tensor], tf.lookup.StaticHashTable]:
    """A tokenizer in TensorFlow: a function of texts to numbers, `(texts, time)`, and the table that it reads.

    Raises:
        UserError: if the tokenizer has other rules than those of `train_tokenizer`.
    """
    rules = _rules(tokenizer)
    known = table(tokenizer.get_vocab(), UNKNOWN)

    def numbers(texts: tf.Tensor) -> tf.Tensor:
        for pattern, instead in rules.replaced:
            texts = tf.strings.regex_replace(texts, pattern, instead)
        # lowered by itself: as the last letter of a word TensorFlow makes another one of it, `tokenizers` does not
        texts = tf.strings.lower(tf.strings.regex_replace(texts, "\u03a3", "\u03c3"), encoding="utf-8")
        texts = tf.strings.regex_replace(tf.strings.regex_replace(texts, SPACES, " "), rules.word, r"\0 ")
        texts = tf.strings.strip(texts)
        texts = tf.where(texts == "", NOTHING, texts)
        return known.lookup(tf.strings.split(texts)[:, -rules.length :]).to_tensor(0)

    return numbers, known


def characters(labels: Sequence[str], window: int) -> Endpoint:
    """A signature that takes raw texts and answers with the probabilities of the character that follows each.

    A text that is empty, or holds a character that the model has never seen, is refused.

    Args:
        labels: the characters, in the order of their numbers.
        window: characters that the model sees, the last ones of a text.
    """
    known = table({character: number for number, character in enumerate(labels)}, -1)

    def around(answer: Callable) -> Callable:
        def follow(texts: tf.Tensor) -> dict[str, tf.Tensor]:
            ids = known.lookup(tf.strings.unicode_split(texts, "UTF-8")[:, -window:])
            lengths = ids.row_lengths()
            checks = [
                tf.debugging.assert_non_negative(ids.values, "a text holds a character that the model has never seen"),
                tf.debugging.assert_positive(lengths, "a text is empty"),
            ]
            with tf.control_dependencies(checks):
                (logits,) = answer(ids.to_tensor(0)).values()  # no character sees those after it
            return {PROBABILITIES: tf.nn.softmax(tf.gather(logits, lengths - 1, axis=1, batch_dims=1))}

        return follow

    return Endpoint([INPUT], around, [known])


def reviews(tokenizer: Tokenizer, ids: np.ndarray) -> list[str]:
    """Texts of which a tokenizer makes these numbers, for all but unknown words, and tricky ones."""
    vocabulary = {number: word for word, number in tokenizer.get_vocab().items()} | {UNKNOWN: "\ue000", 0: ""}
    return [*TRICKY, *(" ".join(vocabulary[number] for number in row).strip() for row in ids.tolist())]


def passages(labels: Sequence[str], ids: np.ndarray, window: int) -> list[str]:
    """Texts of these characters' numbers: shorter ones than the window, and longer ones."""
    whole = "".join(labels[number] for number in ids.ravel())
    return [whole[start : start + 1 + 7 * start % (2 * window)] for start in range(min(len(whole) - 1, 64))]


class _Rules(NamedTuple):
    """What `train_tokenizer` wrote into a tokenizer's file, as RE2 reads it."""

    replaced: list[tuple[str, str]]
    word: str
    length: int


def _rules(tokenizer: Tokenizer) -> _Rules:
    file = json.loads(tokenizer.to_str())
    try:
        composed, markup, quote, lower = file["normalizer"]["normalizers"]
        split = file["pre_tokenizer"]["pattern"]["Regex"]
        replaced = [(markup["pattern"]["Regex"], markup["content"]), (quote["pattern"]["String"], quote["content"])]
        length = file["truncation"]["max_length"]
    except (KeyError, TypeError, ValueError):
        composed, lower = {}, {}
    if (composed.get("type"), lower.get("type")) != ("NFC", "Lowercase"):
        raise UserError("the tokenizer has other rules than those of kerasfound; no SavedModel was made of its texts.")
    members = _letters()
    return _Rules(replaced, split.replace(r"[^\w\s]", f"[^{members} ]").replace(r"\w", f"[{members}]"), length)


@functools.cache
def _letters() -> str:
    r"""The characters that are `\w` for `tokenizers`, as ranges of RE2: each library draws that line elsewhere."""
    everything = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    found = pre_tokenizers.Split(Regex(r"\w"), behavior="removed", invert=True).pre_tokenize_str(everything)
    return "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in _ranges(ord(c) for c, _ in found))


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    for _, run in itertools.groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        ends = [number for _, number in run]
        yield ends[0], ends[-1]
