"""Text as character ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasfound.errors import UserError
from kerasfound.preprocessing import encode_characters


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_ids_can_be_decoded_to_the_same_text(text):
    characters = "".join(sorted(set(text)))
    assert "".join(characters[i] for i in encode_characters(text, characters)) == text


@pytest.mark.parametrize("text", ["abz", "z", "Äb"])
def test_an_unknown_character_is_an_error(text):
    with pytest.raises(UserError, match=r"the character '(z|Ä)' is not in the text that the model was trained on"):
        encode_characters(text, "abc")
