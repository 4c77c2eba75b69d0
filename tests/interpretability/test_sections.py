"""The sections of pages: figures with words for people who do not see them, and numbers that are right."""

import pkgutil
from types import ModuleType

import keras
import numpy as np
import pytest

from kerasfound import interpretability
from kerasfound.bundle import Schema, Task
from kerasfound.bundle.schema import Column, ColumnKind
from kerasfound.errors import UserError
from kerasfound.interpretability import data_sections, table_sections, token_sections
from kerasfound.interpretability.column_permutation import Importance

rng = np.random.default_rng(0)
COLUMNS = (
    Column("age", ColumnKind.NUMBER),
    Column("size", ColumnKind.CATEGORY, ("large", "small")),
    Column("id", ColumnKind.IGNORED),
    Column("cost $", ColumnKind.NUMBER),
)
SCHEMA = Schema(Task.TABULAR_REGRESSION, "row", (3,), (), COLUMNS, "price")


def rows(count):
    return np.stack([rng.normal(size=count), rng.integers(0, 3, count), rng.normal(size=count)], 1).astype("float32")


def test_a_table_page_shows_each_row_and_each_column(linear):
    model = linear([[2.0], [-1.0], [0.0]], (3,))
    x = rows(60)
    sections = table_sections.table_sections(
        model, [("row 1", x[0])], SCHEMA, x, (x, x @ [2, -1, 0] - 1), target=None, methods=[]
    )
    assert [section.name for section in sections] == ["shapley row 1", "permutation_importance", "partial_dependence"]
    contribution = 2 * (x[0, 0] - x[:30, 0].mean())
    assert f"age = {x[0, 0]:g}"[:9] in sections[0].alt
    assert f"{contribution:+.3g}" in sections[0].alt
    assert all(section.figure and section.alt for section in sections)
    assert "size" in sections[2].alt


def test_beyond_ten_columns_the_least_important_ones_are_one_player():
    places = {f"c{i}": [i] for i in range(14)}
    importances = [Importance(f"c{i}", float(i), 0, 0) for i in reversed(range(14))]
    groups = table_sections.grouped(places, importances)
    assert list(groups) == [*(f"c{i}" for i in range(13, 4, -1)), "the other 5 columns"]
    assert sorted(place for group in groups.values() for place in group) == list(range(14))


def words_model():
    ids = keras.Input((None,), dtype="int32")
    x = keras.ops.sum(keras.layers.Embedding(4, 1, name="vectors")(ids), axis=1)
    model = keras.Model(ids, keras.ops.softmax(keras.ops.concatenate([x, -x], axis=-1)))
    model.set_weights([np.array([[0.0], [1.0], [-2.0], [0.1]])])
    return model


@pytest.mark.parametrize("method", token_sections.METHODS)
def test_a_text_page_names_the_words_for_and_against(method):
    words = ["", "good", "bad", "film"]
    section = token_sections.text_section(
        words_model(), np.array([1, 3, 2, 0]), "a text", words.__getitem__, ("yes", "no"), 0, method
    )
    assert "For yes: good, film" in section.alt
    assert "Against: bad" in section.alt
    assert ("good (+2.000)", "bad (-4.000)") in section.table  # log-odds: twice the sum
    with pytest.raises(UserError, match="no such method for texts; choose integrated_gradients"):
        token_sections.text_section(words_model(), np.array([1]), "", words.__getitem__, ("yes", "no"), 0, "saliency")


def test_an_attention_page_says_from_where_the_last_position_reads():
    ids = keras.Input((4,), dtype="int32")
    x = keras.layers.Embedding(5, 8)(ids)
    model = keras.Model(ids, keras.layers.MultiHeadAttention(2, 4)(x, x))
    (section,) = token_sections.attention_sections(model, np.array([1, 2, 3, 4]), "abcd", list("abcd"))
    assert "rollout most from" in section.alt
    assert len(section.figure.axes) == 2


def test_similar_examples_come_with_their_classes(linear):
    x = np.eye(3, dtype="float32")
    section = data_sections.neighbours_section(
        linear(np.ones((3, 1)), (3,)), [("mine", x[1])], (x, np.array([0, 1, 2])), ("a", "b", "c"), shown=str
    )
    assert section.table[1][:3] == ("mine", "0.000", "b")


def test_calibration_names_the_temperature_and_both_errors():
    z = rng.normal(size=(4000, 3)) * 3
    truth = np.exp(z / 2) / np.exp(z / 2).sum(-1, keepdims=True)
    y = (truth.cumsum(-1) > rng.uniform(size=(4000, 1))).argmax(-1)
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    section = data_sections.temperature_section((p[:2000], y[:2000]), (p[2000:], y[2000:]))
    assert "too sure" in section.text
    assert "no decision changes" in section.text
    assert section.figure


def test_filters_come_with_an_image_made_for_them_and_real_ones(digits, digits_model):
    sections = data_sections.filters_sections(digits_model, digits[0][1500:1550])
    assert [section.name for section in sections] == ["filters", "exciting"]
    assert "filter 0" in sections[1].alt


def test_no_function_is_hidden_by_a_file_of_its_name():
    """Importing `package/name.py` replaces the attribute `name` of the package."""
    files = {module.name for module in pkgutil.iter_modules(interpretability.__path__)}
    public = {name for name in interpretability.__all__ if not isinstance(getattr(interpretability, name), ModuleType)}
    assert len(public) > 15
    assert not files & public
