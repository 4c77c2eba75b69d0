"""Text written on by a language model, a character a call, from the keys and values that it keeps of the past."""

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
from .raw_inputs import MAX_TEXT


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a text is to be written on; `null` is no limit."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 200
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.8
    top_k: Annotated[int, msgspec.Meta(ge=1)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


class Writer:
    """A language model's step graph.

    Args:
        manifest: says which tensor is which.
        session: of the graph.
    """

    def __init__(self, manifest: Manifest, session: onnxruntime.InferenceSession):
        assert manifest.text_generation
        self.how = manifest.text_generation
        self.alphabet = "".join(manifest.labels)
        (step,) = [entry for entry in manifest.extra_signatures if f"{entry.name}.onnx" == self.how.file]
        self._session = session
        self._outputs = [self.how.logits, *self.how.cache]
        shapes = {tensor.name: tensor.shape for tensor in step.inputs}
        self._empty = {
            name: np.zeros([size if isinstance(size, int) else 1 for size in shapes[name]], "float32")
            for name in self.how.cache.values()
        }

    def write(self, prompt: str, wish: Wish) -> Iterator[str]:
        """The characters that follow the prompt, one at a time.

        Raises:
            ClientError: if the prompt is empty, or has a character that the model has never seen.
        """
        if not 0 < len(prompt) <= MAX_TEXT:
            reason = f"the prompt has {len(prompt)} characters; expected at least one to go on from, at most {MAX_TEXT}"
            raise ClientError(400, reason)
        if not math.isfinite(wish.temperature):
            raise ClientError(400, f"temperature is {wish.temperature}, expected a finite number")
        try:
            known = characters.encode_characters(prompt, self.alphabet).tolist()
        except UserError as error:
            raise ClientError(400, f"the prompt: {error}") from None
        rng = np.random.default_rng(wish.seed)
        drawn = generate_tokens(
            self._remembering(),
            known,
            self.how.window,
            lambda logits: sample_token(logits, wish.temperature, wish.top_k, wish.top_p, rng),
        )
        return (self.alphabet[number] for _, number in zip(range(wish.max_tokens), drawn, strict=False))

    def _remembering(self):
        """Logits from the new characters alone."""
        caches = self._empty

        def answer(known: list[int], seen: int) -> np.ndarray:
            nonlocal caches
            feeds = {
                self.how.tokens: np.array([known[seen:]], "int32"),
                self.how.start: np.array([seen], "int32"),
                **(caches if seen else self._empty),
            }
            logits, *present = self._session.run(self._outputs, feeds)
            caches = dict(zip(self.how.cache.values(), present, strict=True))
            return logits[0, -1]

        return answer
