"""Tables: CSV and Parquet give the same numbers, splits share no row, and bad input is an error that says why."""

import csv
import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasfound import data
from kerasfound.bundle.schema import Column, ColumnKind, Task
from kerasfound.data import table_files
from kerasfound.errors import UserError
from kerasfound.preprocessing import encode_rows, table_rows

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=6).filter(
    lambda word: word.strip() == word and word not in table_rows.MISSING_VALUES
)
cells = st.fixed_dictionaries(
    {
        "number": st.none() | st.floats(-1000, 1000, width=16) | st.integers(-1000, 1000),
        "word, or two": st.none() | words | st.sampled_from(['a "quoted" one', "with, comma", "two\nlines", "a;b"]),
        "flag": st.none() | st.booleans(),
        "day": st.none() | st.dates(datetime.date(1800, 1, 1), datetime.date(2200, 1, 1)),
    }
)
COLUMNS = (
    Column("number", ColumnKind.NUMBER),
    Column("word, or two", ColumnKind.CATEGORY, ("a;b", "with, comma")),
    Column("flag", ColumnKind.BOOLEAN),
    Column("day", ColumnKind.DATE),
)


def cells_of(*values):
    return pa.chunked_array([pa.array(values)])


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a text to a CSV file and returns its path."""

    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def rows(count=60, target=lambda i: "yes" if i % 3 else "no"):
    lines = [f"{i},{'abc'[i % 3]},{i % 7},{target(i)}" for i in range(count)]
    return "size,colour,age,bought\n" + "\n".join(lines) + "\n"


@given(st.lists(cells, min_size=1, max_size=20))
def test_a_table_has_the_same_numbers_in_memory_in_csv_and_in_parquet(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("frames")
    table = pa.table({name: pa.array([row[name] for row in records]) for name in records[0] if name != "number"})
    numbers = [None if row["number"] is None else float(row["number"]) for row in records]
    table = table.append_column("number", pa.array(numbers, pa.float64()))
    pyarrow.parquet.write_table(table, folder / "frame.parquet")
    with (folder / "frame.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    direct = np.concatenate(
        [table_rows.encode_column(c, cells_of(*table[c.name].to_pylist())) for c in COLUMNS], axis=1
    )
    for name in ("frame.csv", "frame.parquet"):
        np.testing.assert_array_equal(encode_rows(COLUMNS, table_files.read_table_file(folder / name)), direct)


@pytest.mark.parametrize("separator", list(table_files.SEPARATORS))
def test_the_separator_is_detected(table, separator):
    read = table_files.read_table_file(table("a,b\n1, x \n2,NA\n".replace(",", separator)))
    assert read.to_pydict() == {"a": ["1", "2"], "b": ["x", None]}


def test_a_byte_order_mark_is_not_part_of_the_first_name(table):
    assert table_files.read_table_file(table("\ufeffa,b\n1,2\n")).column_names == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "sizes", "labels"),
    [("wine", (125, 18, 35), 3), ("breast_cancer", (399, 57, 113), 2), ("diabetes", (310, 44, 88), 0)],
)
def test_built_in_tables_need_no_network(name, sizes, labels):
    dataset = data.load_table(name)
    assert tuple(len(s.y) for s in (dataset.train, dataset.validation, dataset.test)) == sizes
    assert len(dataset.schema.labels) == labels
    assert dataset.train.x.dtype == np.float32
    assert dataset.train.x.shape[1:] == dataset.schema.shape


def test_the_same_seed_gives_the_same_split_and_another_seed_another(table):
    path = str(table(rows()))
    one, again, other = (data.load_table(path, target="bought", seed=seed).sha256 for seed in (0, 0, 1))
    assert one == again != other


def test_adult_has_its_own_test_rows(table, tmp_path):
    head = "age,job,income\n"
    table(head + "".join(f"{i},{'ab'[i % 2]},{'<=50K' if i % 3 else '>50K'}\n" for i in range(40)), "adult_train.csv")
    table(head + "".join(f"{i},b,>50K\n" for i in range(100, 105)), "adult_test.csv")
    adult = data.load_table("adult", str(tmp_path))
    assert adult.test.x[:, 0].tolist() == [100, 101, 102, 103, 104]
    assert (len(adult.train.y), len(adult.validation.y)) == (36, 4)
    assert adult.schema.labels == ("<=50K", ">50K")


def test_categories_are_those_of_the_training_rows(table):
    dataset = data.load_table(str(table(rows().replace("7,b,0", "7,rare,0"))), target="bought")
    (colour,) = (c for c in dataset.schema.columns if c.name == "colour")
    seen = {table_rows.decode_row(dataset.schema.columns, row)[1] for row in dataset.train.x}
    assert set(colour.categories) == seen


@pytest.mark.parametrize(
    ("target", "task", "expected", "labels"),
    [
        (lambda i: "ab"[i % 2], None, Task.TABULAR_CLASSIFICATION, ("a", "b")),
        (lambda i: i % 3, None, Task.TABULAR_CLASSIFICATION, ("0", "1", "2")),
        (lambda i: i % 3, "regression", Task.TABULAR_REGRESSION, ()),
        (lambda i: i / 8, None, Task.TABULAR_REGRESSION, ()),
        (lambda i: 1.5 * (i % 2), None, Task.TABULAR_REGRESSION, ()),
        (lambda i: 20_000_000 + i % 3, None, Task.TABULAR_CLASSIFICATION, ("20000000", "20000001", "20000002")),
        (lambda i: ("01234", "1234")[i % 2], None, Task.TABULAR_CLASSIFICATION, ("01234", "1234")),
        (lambda i: f"{i:03}", "regression", Task.TABULAR_REGRESSION, ()),
        (lambda i: 1.5 * (i % 2), "classification", Task.TABULAR_CLASSIFICATION, ("0", "1.5")),
    ],
)
def test_the_task_is_inferred_from_the_target_by_default(table, target, task, expected, labels):
    schema = data.load_table(str(table(rows(target=target))), target="bought", task=task).schema
    assert (schema.task, schema.labels) == (expected, labels)


def test_two_whole_numbers_in_ten_rows_are_classes(table):
    dataset = data.load_table(
        str(table("age,bought\n" + "".join(f"{i},{i % 2}\n" for i in range(10)))), target="bought"
    )
    assert dataset.schema.labels == ("0", "1")


def test_ignored_columns_are_described_with_the_reason(table):
    text = "age,one,price,bought\n" + "".join(f"{i},1,${i}.00,{i % 2}\n" for i in range(200))
    description = data.describe(data.load_table(str(table(text)), target="bought"))
    assert "ignored: one value" in description
    assert "ignored: text, nearly all different" in description


def test_a_number_column_can_be_a_category(table):
    dataset = data.load_table(str(table(rows())), target="bought", categorical=("age",))
    assert [c.kind for c in dataset.schema.columns] == ["number", "category", "category"]


def test_rows_without_a_target_are_dropped_and_counted(table):
    dataset = data.load_table(str(table(rows() + "1,a,2,\n2,b,3,NA\n")), target="bought")
    assert "60 rows; 2 without a target were dropped" in data.describe(dataset)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (rows() + "1,a\n", {}, "row 61 of the data has 2 cells, not 4"),
        (rows() + "1,a,2,yes,5\n", {}, "row 61 of the data has 5 cells, not 4"),
        (rows(), {"target": "bougt"}, "no column 'bougt'; did you mean 'bought'"),
        (rows(), {"target": None}, "with `target`; the columns are size, colour, age, bought"),
        (rows(), {"categorical": ("colur",)}, "no column 'colur'; did you mean 'colour'"),
        (rows(9), {}, "9 rows with a target; expected 10 or more"),
        (rows(target=lambda i: "yes"), {}, "`target` bought: every row has 'yes'; expected two or more"),
        (rows(target=lambda i: 4), {}, "every row has '4'; expected two or more different values"),
        (rows(), {"task": "regression"}, "not numbers; use `task` classification"),
        (rows(target=lambda i: i / 8), {"task": "classification"}, "60 classes in 60 rows; use `task` regression"),
        (rows(target=lambda i: "inf" if i == 3 else i / 8), {}, "infinite or too large"),
        ("same,bought\n" + "1,a\n1,b\n" * 9, {}, "no column other than 'bought' has two different values"),
        ("a,a\n1,2\n", {}, "two columns have the name 'a'"),
        ("", {}, "empty; expected the names of the columns"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_an_error(table, text, options, message):
    with pytest.raises(UserError, match=message):
        data.load_table(str(table(text)), **({"target": "bought"} | options))


def test_a_file_that_is_not_parquet_is_an_error(table):
    with pytest.raises(UserError, match="not a table that can be read"):
        table_files.read_table_file(table("no parquet", "table.parquet"))


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path):
    (tmp_path / "latin.csv").write_bytes("straße,y\n1,2\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"not UTF-8 text .*; save it as CSV UTF-8"):
        table_files.read_table_file(tmp_path / "latin.csv")


@pytest.mark.parametrize(
    ("name", "hint"), [("wein", 'Did you mean "wine"'), ("nowhere.csv", "give a .csv or .parquet")]
)
def test_an_unknown_table_is_an_error_that_offers_the_nearest(name, hint):
    with pytest.raises(UserError, match=hint):
        data.load_table(name)


def test_without_files_and_network_the_error_offers_the_built_in_tables(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    with pytest.raises(UserError, match=r"no network.*`data_dir`.*breast_cancer, diabetes or wine"):
        data.load_table("adult", str(tmp_path))
