"""Text as character ids."""

import numpy as np

from kerasfound.errors import UserError


def encode(text: str, characters: str) -> np.ndarray:
    """The place of each character in `characters`, which are sorted.

    Raises:
        UserError: if the text has a character that is not among them.

    Example:
        >>> encode("baa", "abc").tolist()
        [1, 0, 0]
    """
    code, known = (np.frombuffer(s.encode("utf-32-le"), "uint32") for s in (text, characters))
    ids = np.searchsorted(known, code).clip(max=len(known) - 1)
    unknown = known[ids] != code
    if unknown.any():
        raise UserError(f"the character {chr(code[unknown.argmax()])!r} is not in the text that was learned from.")
    return ids.astype("int32")
