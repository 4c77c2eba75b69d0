"""Every bundle has a name that is a folder on all systems; a name that is not gets a suggestion."""

import keras
import pytest

from kerasfound.errors import UserError
from kerasfound.export.bundle_name import MAX_CHARACTERS, NAME, checked_name, valid_name


@pytest.mark.parametrize("name", ["mnist_cnn", "v1.2-b", "7", "x" * MAX_CHARACTERS])
def test_a_valid_name_is_used_as_it_is(name):
    assert checked_name("other.keras", name) == name


def test_without_a_name_that_of_the_file_or_model_is_used(tmp_path):
    assert checked_name(tmp_path / "film.keras", None) == "film"
    assert checked_name(keras.Sequential(name="digits"), None) == "digits"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("Größe eins", "groesse-eins"),
        ("GRO\N{LATIN CAPITAL LETTER SHARP S}E", "grosse"),
        ("Gro\u0308\u00dfe", "groesse"),  # the umlaut as two characters, as macOS writes the names of files
        ("mein Modell", "mein-modell"),
        ("café/crème", "cafe-creme"),
        ("../up", "up"),
        (".hidden", "hidden"),
        ("name\n", "name"),
        ("映画", "model"),
        ("", "model"),
        ("a " * 99, "a-" * 31 + "a"),
    ],
)
def test_an_invalid_name_is_refused_with_a_valid_suggestion(name, suggestion):
    assert NAME.fullmatch(suggestion)
    with pytest.raises(UserError) as raised:
        checked_name("other.keras", name)
    message = raised.value.with_flags()
    assert message.startswith("--name '")
    assert "use 1 to 64 letters a-z and A-Z, digits" in message
    assert message.endswith(f"; give --name {suggestion}.")


def test_the_message_says_where_an_invalid_name_comes_from(tmp_path):
    with pytest.raises(UserError, match=r"^the model's name 'mein Modell': .*; give `name` mein-modell\.$"):
        checked_name(keras.Sequential(name="mein Modell"), None)
    with pytest.raises(UserError, match=r"^the file's name 'Größe eins': .*; give `name` groesse-eins\.$"):
        checked_name(tmp_path / "Größe eins.keras", None)


def test_a_valid_name_stays_its_own_suggestion_in_lower_case():
    assert [valid_name(name) for name in ("v1.2-b", "ResNet50", "imdb_lstm")] == ["v1.2-b", "resnet50", "imdb_lstm"]
