"""The name of a bundle: a folder on every system, a part of a URL, and the name of the model in every server."""

import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from kerasfound.errors import UserError
from kerasfound.training.run import Run

if TYPE_CHECKING:
    import keras

MAX_CHARACTERS = 64
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_CHARACTERS - 1}}}")
SPELLED_OUT = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa", "ł": "l", "đ": "d"}
)
"""Letters that are more than a letter with a mark."""


def checked_name(model: "keras.Model | Run | str | Path", name: str | None) -> str:
    """Return the name of the bundle: `name`, or without one that of the recipe, the file or the model.

    Raises:
        UserError: if it has other characters than a name may have.
    """
    if name is not None:
        source, found = "`name`", name
    elif isinstance(model, Run):
        source, found = "the recipe's name", model.recipe
    elif isinstance(model, str | Path):
        source, found = "the file's name", Path(model).stem
    else:
        source, found = "the model's name", model.name
    if not NAME.fullmatch(found):
        raise UserError(
            f"{source} {found!r}: use 1 to {MAX_CHARACTERS} letters a-z and A-Z, digits, '_', '-' and '.', starting "
            f"with a letter or digit; give `name` {valid_name(found)}."
        )
    return found


def valid_name(text: str) -> str:
    """The valid name that is closest to a text, in lower case.

    Example:
        >>> valid_name("Größe eins"), valid_name("Modèle n° 2"), valid_name("映画")
        ('groesse-eins', 'modele-n-2', 'model')
    """
    spelled_out = unicodedata.normalize("NFC", text).lower().translate(SPELLED_OUT)
    letters = unicodedata.normalize("NFD", spelled_out).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_.]+", "-", letters).strip("-_.")[:MAX_CHARACTERS].rstrip("-_.") or "model"
