"""Text generation with a language model: one character per call, with cached attention keys and values."""

import math
from collections.abc import Iterator
from typing import Annotated

import msgspec
import numpy as np
import onnxruntime

from kerasfound.bundle.manifest import Manifest
from kerasfound.errors import UserError
from kerasfound.preprocessing import characters
from kerasfound.sampling import generate_tokens, sample_token

from .client_error import ClientError
from .raw_inputs import MAX_TEXT_BYTES


class SamplingParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to sample the generated text; `null` means no limit."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 200
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.8
    top_k: Annotated[int, msgspec.Meta(ge=1)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


class TextGenerator:
    """Generates text with the step graph of a language model.

    Args:
        manifest: names the tensors of the graph.
        session: the open graph.
    """

    def __init__(self, manifest: Manifest, session: onnxruntime.InferenceSession):
        assert manifest.text_generation
        self._settings = manifest.text_generation
        self.alphabet = "".join(manifest.labels)
        (step,) = [x for x in manifest.extra_signatures if f"{x.name}.onnx" == self._settings.file]
        self._session = session
        self._outputs = [self._settings.logits, *self._settings.cache]
        shapes = {tensor.name: tensor.shape for tensor in step.inputs}
        self._empty_cache = {
            name: np.zeros([size if isinstance(size, int) else 1 for size in shapes[name]], "float32")
            for name in self._settings.cache.values()
        }

    def generate(self, prompt: str, sampling: SamplingParameters) -> Iterator[str]:
        """Yield the characters that follow the prompt, one at a time.

        Raises:
            ClientError: if the prompt is empty, or has a character outside the model's alphabet.
        """
        if not 0 < len(prompt) <= MAX_TEXT_BYTES:
            reason = f"the prompt has {len(prompt)} characters; expected 1 to {MAX_TEXT_BYTES}"
            raise ClientError(400, reason)
        if not math.isfinite(sampling.temperature):
            raise ClientError(400, f"temperature is {sampling.temperature}, expected a finite number")
        try:
            ids = characters.encode_characters(prompt, self.alphabet).tolist()
        except UserError as error:
            raise ClientError(400, f"the prompt: {error}") from None
        rng = np.random.default_rng(sampling.seed)
        sampled = generate_tokens(
            self._step_function(),
            ids,
            self._settings.window,
            lambda logits: sample_token(logits, sampling.temperature, sampling.top_k, sampling.top_p, rng),
        )
        return (self.alphabet[i] for _, i in zip(range(sampling.max_tokens), sampled, strict=False))

    def _step_function(self):
        """Return a function from token ids to next-token logits; it computes only the ids after the cached ones."""
        names, cache = self._settings, self._empty_cache

        def next_logits(ids: list[int], cached: int) -> np.ndarray:
            nonlocal cache
            feeds = {
                names.tokens: np.array([ids[cached:]], "int32"),
                names.start: np.array([cached], "int32"),
                **(cache if cached else self._empty_cache),
            }
            logits, *present = self._session.run(self._outputs, feeds)
            cache = dict(zip(names.cache.values(), present, strict=True))
            return logits[0, -1]

        return next_logits
