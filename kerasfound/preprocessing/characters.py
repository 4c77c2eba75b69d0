"""Text as character ids."""

import numpy as np

from kerasfound.errors import UserError


def encode_characters(text: str, characters: str) -> np.ndarray:
    """Return the position of each character of `text` in `characters`, which are sorted.

    Raises:
        UserError: if a character of the text is not in `characters`.

    Example:
        >>> encode_characters("baa", "abc").tolist()
        [1, 0, 0]
    """
    code, known = (np.frombuffer(s.encode("utf-32-le"), "uint32") for s in (text, characters))
    ids = np.searchsorted(known, code).clip(max=len(known) - 1)
    unknown = known[ids] != code
    if unknown.any():
        character = chr(code[unknown.argmax()])
        raise UserError(f"the character {character!r} is not in the text that the model was trained on; remove it.")
    return ids.astype("int32")
