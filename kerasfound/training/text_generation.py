"""Text from a trained language model, character by character, each computed from what was kept of the ones before."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kerasfound.errors import UserError
from kerasfound.layers import CausalTransformerBlock
from kerasfound.preprocessing import encode_characters
from kerasfound.sampling import NextLogits, generate_tokens, sample_token

from .run import Run


def generate(
    run: Run,
    prompt: str,
    length: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    cache: bool = True,
) -> Iterator[str]:
    """Continue a text.

    When the text outgrows the window that the model was trained on, the older half of the window is forgotten.

    Args:
        run: an opened run folder of a language model.
        prompt: what to go on from, at least one character.
        length: characters to add.
        temperature: the logits are divided by it: below 1 safer, above 1 wilder, 0 always the likeliest.
        top_k: draw from this many of the likeliest characters only.
        top_p: draw from the likeliest characters only that together have at least this probability.
        seed: of the draws.
        cache: keep the keys and values of the text so far; without it each step computes the whole window anew.

    Returns:
        An iterator over the characters, one at a time.

    Raises:
        UserError: if the run is not of a language model, a setting is out of range, or the prompt is empty or has a
            character that the model has never seen.
    """
    if run.schema.task != "text_generation":
        raise UserError(f"{run.folder}: a run for {run.schema.task}; generate needs a run of mini_transformer.")
    if not prompt:
        raise UserError("--prompt is empty; give at least one character to go on from.")
    _within(length=(length, 1, math.inf), temperature=(temperature, 0, math.inf), seed=(seed, 0, math.inf))
    _within(top_k=(top_k, 1, math.inf), top_p=(top_p, 0, 1))
    characters = run.schema.labels
    known = encode_characters(prompt, "".join(characters)).tolist()
    model, window = run.load_model(), run.settings["block_size"]
    answer = remembering(model, window) if cache else recomputing(model, window)
    rng = np.random.default_rng(seed)
    drawn = generate_tokens(answer, known, window, lambda logits: sample_token(logits, temperature, top_k, top_p, rng))
    return (characters[i] for i in itertools.islice(drawn, length))


class DecodeStep(keras.Model):
    """A language model that takes the new characters, the place of the first, and each block's cache so far."""

    def __init__(self, model: keras.Model):
        super().__init__()
        self.stack = model.layers[1:]  # the first is the input

    def call(self, inputs: list[Any]) -> list[Any]:
        x, start, *caches = inputs
        after: list[Any] = []
        for layer in self.stack:
            if isinstance(layer, CausalTransformerBlock):
                x, cache = layer(x, cache=caches[len(after)], start=start[0])
                after.append(cache)
            else:
                x = layer(x)
        return [x, *after]


def remembering(model: keras.Model, window: int) -> NextLogits:
    """Logits from the new characters alone: the keys and values of the others are kept, block by block."""
    step = DecodeStep(model)
    width = model.get_layer("embedding").output.shape[-1]
    heads = [layer.num_heads for layer in model.layers if isinstance(layer, CausalTransformerBlock)]
    caches = [np.zeros((1, 2, window, h, width // h), "float32") for h in heads]

    def answer(known: list[int], seen: int) -> np.ndarray:
        new = known[seen:] if seen else _padded(known, window)
        logits, *caches[:] = step.predict_on_batch([np.array([new], "int32"), np.array([seen], "int32"), *caches])
        return logits[0, len(known) - seen - 1]

    return answer


def recomputing(model: keras.Model, window: int) -> NextLogits:
    """Logits from the whole window, each time."""

    def answer(known: list[int], seen: int) -> np.ndarray:
        return model.predict_on_batch(np.array([_padded(known, window)], "int32"))[0, len(known) - 1]

    return answer


def _padded(known: list[int], window: int) -> list[int]:
    """One length for every text, so that nothing is compiled twice; no character sees the ones after it."""
    return known + [0] * (window - len(known))


def _within(**settings: tuple[float | None, float, float]) -> None:
    for name, (value, low, high) in settings.items():
        if value is not None and not low <= value <= high:
            bound = f"in [{low}, {high}]" if high < math.inf else f"at least {low}"
            raise UserError(f"--{name.replace('_', '-')} must be {bound}, got {value}.")
