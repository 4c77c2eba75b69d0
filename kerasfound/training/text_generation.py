"""Text generation with a trained language model, character by character, with a key-value cache."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kerasfound.bundle import Task
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
    """Continue a prompt.

    If the text becomes longer than the window of the training, the older half of the window is dropped.

    Args:
        run: an opened run folder of a language model.
        prompt: the text to continue, at least one character.
        length: number of characters to generate.
        temperature: divides the logits. Below 1 the text is more predictable, above 1 more random; 0 always takes the
            most probable character.
        top_k: sample from this many most probable characters only.
        top_p: sample from the smallest set of most probable characters with at least this total probability.
        seed: seed of the sampling.
        cache: keep the keys and values of earlier characters. Without it, each step computes the whole window again.

    Returns:
        An iterator over the characters, one at a time.

    Raises:
        UserError: if the run is not a language model, a setting is out of range, or the prompt is empty or has a
            character that is not in the training text.
    """
    if run.schema.task != Task.TEXT_GENERATION:
        raise UserError(f"{run.folder}: a run for {run.schema.task}; generate needs a run of mini_transformer.")
    if not prompt:
        raise UserError("`prompt` is empty; give at least one character.")
    _check_range(length=(length, 1, math.inf), temperature=(temperature, 0, math.inf), seed=(seed, 0, math.inf))
    _check_range(top_k=(top_k, 1, math.inf), top_p=(top_p, 0, 1))
    characters = run.schema.labels
    ids = encode_characters(prompt, "".join(characters)).tolist()
    model, window = run.load_model(), run.settings["block_size"]
    next_logits = with_cache(model, window) if cache else without_cache(model, window)
    rng = np.random.default_rng(seed)
    generated = generate_tokens(
        next_logits, ids, window, lambda logits: sample_token(logits, temperature, top_k, top_p, rng)
    )
    return (characters[i] for i in itertools.islice(generated, length))


class DecodeStep(keras.Model):
    """A language model that takes new characters, the position of the first one, and the cache of each block."""

    def __init__(self, model: keras.Model):
        super().__init__()
        self.stack = model.layers[1:]  # without the input layer

    def call(self, inputs: list[Any]) -> list[Any]:
        x, start, *caches = inputs
        new_caches: list[Any] = []
        for layer in self.stack:
            if isinstance(layer, CausalTransformerBlock):
                x, cache = layer(x, cache=caches[len(new_caches)], start=start[0])
                new_caches.append(cache)
            else:
                x = layer(x)
        return [x, *new_caches]


def with_cache(model: keras.Model, window: int) -> NextLogits:
    """A function for the logits of the next character. It reads only new characters and caches keys and values."""
    step = DecodeStep(model)
    width = model.get_layer("embedding").output.shape[-1]
    heads = [layer.num_heads for layer in model.layers if isinstance(layer, CausalTransformerBlock)]
    caches = [np.zeros((1, 2, window, h, width // h), "float32") for h in heads]

    def next_logits(ids: list[int], num_cached: int) -> np.ndarray:
        new = ids[num_cached:] if num_cached else _padded(ids, window)
        x, start = np.array([new], "int32"), np.array([num_cached], "int32")
        logits, *caches[:] = step.predict_on_batch([x, start, *caches])
        return logits[0, len(ids) - num_cached - 1]

    return next_logits


def without_cache(model: keras.Model, window: int) -> NextLogits:
    """A function for the logits of the next character. It reads the whole window each time."""

    def next_logits(ids: list[int], num_cached: int) -> np.ndarray:
        return model.predict_on_batch(np.array([_padded(ids, window)], "int32"))[0, len(ids) - 1]

    return next_logits


def _padded(ids: list[int], window: int) -> list[int]:
    """Token ids padded to the window, so that the model is compiled once. Causal attention ignores the padding."""
    return ids + [0] * (window - len(ids))


def _check_range(**settings: tuple[float | None, float, float]) -> None:
    for name, (value, low, high) in settings.items():
        if value is not None and not low <= value <= high:
            bound = f"in [{low}, {high}]" if high < math.inf else f"at least {low}"
            raise UserError(f"`{name}` must be {bound}, got {value}.")
