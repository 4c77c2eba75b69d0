"""Raw texts as inputs of a SavedModel: the tokenizer and the alphabet of a language model as TensorFlow operations.

ONNX has no operation that splits a text by a rule, so the ONNX file takes token ids.
"""

import functools
import itertools
import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from kerasfound.bundle.manifest import Tensor
from kerasfound.errors import UserError
from kerasfound.preprocessing.tokenizer import (
    LETTER,
    MARKUP,
    SPECIAL,
    UNICODE_FORMS,
    UNKNOWN,
    rules,
    spelling,
)

from ..saved_model_writer import SavedModelSignature, lookup_table

NAME = "text"
INPUT = Tensor(NAME, "string", ["batch"])
PROBABILITIES = "probabilities"
NO_WORDS = SPECIAL[UNKNOWN]
"""Replaces a text without words. The tokenizer never produces it from a text, because brackets are separate words."""
UNCHANGED = "\ufffe"
"""Stands for a character without another spelling. No text has it: Unicode reserves it."""
SYLLABLE = "[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?"
"""A Korean syllable, decomposed."""
EDGE_CASES = (
    "A <br /><br />GREAT film -- isn't it?! 10/10.",
    "It\N{RIGHT SINGLE QUOTATION MARK}s cr\u00e8me br\u00fbl\u00e9e\N{NO-BREAK SPACE}\u2026 na\u00efve_one \u00bd",
    "\u039f\u0394\u039f\u03a3 \u0130stanbul \u6620\u753b \U0001f600 x\u00b2 \u24b6",
    "''' <not closed, O'Neill's 'quoted' <" + "long " * 30 + ">",
    "",
    " \t\n",
    "\u3053\u306e\u6620\u753b\u3092\uff35\uff33\uff22\u3067\uff76\uff9e\u30ac\u30fc \uc601\ud654 \u1112\u1161\u11ab",
    "\u0e40\u0e23\u0e37\u0e48\u0e2d\u0e07\u0e19\u0e35\u0e49 \u1781\u17d2\u179f\u17c2",
    "\u0645\u06cc\u200c\u062e\u0648 \u0937\u0915\u094d",
    "vi\u00ea\u0323t cre\u0300me \u2764\ufe0f\U0001f468\u200d\U0001f467 \ufeffa\u200bb co\u00adop \u2260",
    "[PAD] [UNK] nul\x00nul",
)
"""Texts that test the rules of the tokenizer."""


def tokenizer_signature(tokenizer: Tokenizer) -> SavedModelSignature:
    """Return a signature that takes raw texts, for a model that takes the token ids of this tokenizer.

    The token ids equal those of the library `tokenizers`.

    Args:
        tokenizer: from `train_tokenizer`.
    """
    encode, tables = tensorflow_encoder(tokenizer)
    return SavedModelSignature([INPUT], lambda function: lambda text: function(encode(text)), tables)


def tensorflow_encoder(tokenizer: Tokenizer) -> tuple[Callable[[tf.Tensor], tf.Tensor], list]:
    """Rebuild a tokenizer in TensorFlow: a function from texts to ids `(texts, time)`, and its lookup tables.

    TensorFlow cannot compose an accent with its letter, so here texts and vocabulary are decomposed: `é` is `e` and
    an accent.

    Raises:
        UserError: if the rules of the tokenizer are not those of `train_tokenizer`.
    """
    unicode_form, length = _read_rules(tokenizer)
    decompose = normalizers.NFD().normalize_str
    vocabulary = lookup_table({decompose(word): i for word, i in tokenizer.get_vocab().items()}, UNKNOWN)
    spellings = lookup_table(_spellings(unicode_form), UNCHANGED)
    classes = lookup_table({c: unicodedata.combining(c) for c in _all_characters() if unicodedata.combining(c)}, 0)
    token = _token_pattern()

    def encode(texts: tf.Tensor) -> tf.Tensor:
        characters = tf.strings.unicode_split(tf.strings.regex_replace(texts, MARKUP, " "), "UTF-8")
        spelled = spellings.lookup(characters.flat_values)
        spelled = tf.where(spelled == UNCHANGED, characters.flat_values, spelled)
        texts = _sort_accents(tf.strings.reduce_join(characters.with_flat_values(spelled), axis=1), classes)
        texts = tf.strings.strip(tf.strings.regex_replace(texts, token, r"\0 "))
        texts = tf.where(texts == "", NO_WORDS, texts)
        return vocabulary.lookup(tf.strings.split(texts)[:, -length:]).to_tensor(0)

    return encode, [vocabulary, spellings, classes]


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


def _read_rules(tokenizer: Tokenizer) -> tuple[str, int]:
    """The Unicode form and the length of the texts, if the tokenizer has the rules of `train_tokenizer`."""
    written = json.loads(tokenizer.to_str())
    for form in UNICODE_FORMS:
        expected = Tokenizer(models.WordLevel())
        expected.normalizer, expected.pre_tokenizer = rules(form)
        if all(written[part] == json.loads(expected.to_str())[part] for part in ("normalizer", "pre_tokenizer")):
            return form, written["truncation"]["max_length"]
    raise UserError(
        "the tokenizer has other rules than kerasfound's, so the SavedModel cannot take texts; "
        "use a tokenizer from kerasfound.preprocessing.train_tokenizer."
    )


def _sort_accents(texts: tf.Tensor, classes: tf.lookup.StaticHashTable) -> tf.Tensor:
    """Put the accents of each letter into Unicode's canonical order: in ascending order of their combining class."""
    characters = tf.strings.unicode_split(texts, "UTF-8")
    accent = classes.lookup(characters.flat_values)
    letter = characters.value_rowids() + tf.cumsum(tf.cast(accent == 0, tf.int64))
    order = tf.argsort(letter * 256 + tf.cast(accent, tf.int64), stable=True)
    return tf.strings.reduce_join(characters.with_flat_values(tf.gather(characters.flat_values, order)), axis=1)


def _spellings(unicode_form: str) -> dict[str, str]:
    """Each character that the tokenizer spells in another way or that can be decomposed; all spaces are alike."""
    spaces = _matches(r"\s")
    others = [c for c in _all_characters() if c not in spaces]
    spelled = normalizers.NFD().normalize_str(spelling(unicode_form).normalize_str("\n".join(others))).split("\n")
    return dict.fromkeys(spaces, " ") | {c: new for c, new in zip(others, spelled, strict=True) if c != new}


def _token_pattern() -> str:
    """The tokens of a decomposed text for RE2, which knows other scripts and other words than `tokenizers`."""
    letters, words, accents = _matches(LETTER), _matches(r"\w"), _matches(r"\p{M}")
    letter, word, accent = (f"[{_ranges(characters)}]" for characters in (letters, words - letters, accents))
    other = f"[^{_ranges(words | letters)} ]"
    return f"(?:{SYLLABLE}|{letter}){accent}*|{word}+(?:'{word}+)*|{other}{accent}*"


@functools.cache
def _all_characters() -> str:
    """The planes of Unicode that have characters, without surrogates."""
    return "".join(map(chr, (*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xF0000))))


@functools.cache
def _matches(pattern: str) -> frozenset[str]:
    """The characters that a pattern for one character matches in `tokenizers`."""
    split = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    return frozenset(character for character, _ in split.pre_tokenize_str(_all_characters()))


def _ranges(characters: Iterable[str]) -> str:
    """The characters as ranges for RE2."""
    parts = []
    for _, run in itertools.groupby(enumerate(sorted(map(ord, characters))), key=lambda item: item[1] - item[0]):
        consecutive = [number for _, number in run]
        parts.append(f"\\x{{{consecutive[0]:x}}}-\\x{{{consecutive[-1]:x}}}")
    return "".join(parts)
