"""Tables: every file is read to the same codes, columns are understood, splits are honest, bad input is named."""

import csv
import datetime
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kerasfound as kf
from kerasfound import data
from kerasfound.bundle.schema import Column, Schema
from kerasfound.data import table_files, tables
from kerasfound.errors import UserError
from kerasfound.preprocessing import table_rows

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=6).filter(
    lambda word: word.strip() == word and word not in table_rows.MISSING
)
cells = st.fixed_dictionaries(
    {
        "number": st.none() | st.floats(-1000, 1000, width=16) | st.integers(-1000, 1000),
        "word, or two": st.none() | words | st.sampled_from(['a "quoted" one', "with, comma", "two\nlines", "a;b"]),
        "flag": st.none() | st.booleans(),
        "day": st.none() | st.dates(datetime.date(1800, 1, 1), datetime.date(2200, 1, 1)),
    }
)
KINDS = (
    Column("number", "number"),
    Column("word, or two", "category", ("a;b", "with, comma")),
    Column("flag", "boolean"),
    Column("day", "date"),
)


def cells_of(*values):
    return pa.chunked_array([pa.array(values)])


@pytest.fixture
def table(tmp_path):
    """Write rows to a CSV, and give its path."""

    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def rows(count=60, target=lambda i: "yes" if i % 3 else "no"):
    lines = [f"{i},{'abc'[i % 3]},{i % 7},{target(i)}" for i in range(count)]
    return "size,colour,age,bought\n" + "\n".join(lines) + "\n"


@given(st.lists(cells, min_size=1, max_size=20))
def test_a_frame_reads_back_from_csv_and_parquet_to_the_same_codes(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("frames")
    whole = pa.table({name: pa.array([row[name] for row in found]) for name in found[0] if name != "number"})
    numbers = [None if row["number"] is None else float(row["number"]) for row in found]
    whole = whole.append_column("number", pa.array(numbers, pa.float64()))
    pyarrow.parquet.write_table(whole, folder / "frame.parquet")
    with (folder / "frame.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    direct = np.concatenate([table_rows.encode(c, cells_of(*whole[c.name].to_pylist())) for c in KINDS], axis=1)
    for name in ("frame.csv", "frame.parquet"):
        np.testing.assert_array_equal(kf.preprocessing.encode_rows(KINDS, table_files.read(folder / name)), direct)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (("1", "2.5", None), "number"),
        (("-1e3", "inf", "7"), "number"),
        (("yes", "No", None), "boolean"),
        (("2024-02-29", "2024-03-01 10:30:00"), "date"),
        (("1", "2", "two"), "category"),
        (("2024-02-29", "tomorrow"), "category"),
        (("same", "same", None), "left out"),
        ((None, None), "left out"),
        (tuple(f"name {i}" for i in range(60)), "left out"),
    ],
)
def test_columns_are_what_every_cell_can_be(texts, kind):
    assert table_rows.infer("x", pa.chunked_array([pa.array(texts, pa.string())])).kind == kind


def test_a_category_it_has_not_seen_and_a_missing_one_are_code_0():
    column = table_rows.infer("x", cells_of("b", "a", "b", "a"))
    assert table_rows.encode(column, cells_of("a", "b", "c", None))[:, 0].tolist() == [1, 2, 0, 0]


def test_a_date_is_year_month_weekday_and_days():
    encoded = table_rows.encode(Column("x", "date"), cells_of("1970-01-02", "2024-02-29", None))
    assert encoded[:2].tolist() == [[1970, 1, 4, 1], [2024, 2, 3, 19782]]
    assert np.isnan(encoded[2]).all()


def test_infinite_and_too_large_numbers_are_missing():
    assert np.isnan(table_rows.encode(Column("x", "number"), cells_of(math.inf, 1e300, math.nan))).all()


def test_encoded_rows_can_be_shown_again():
    cells = {c.name: [v] for c, v in zip(KINDS, (1.5, "?!", True, None), strict=True)}
    row = kf.preprocessing.encode_rows(KINDS, pa.table(cells))[0]
    assert table_rows.decode(KINDS, row) == ["1.5", "(unknown)", "true", ""]


@pytest.mark.parametrize("separator", list(table_files.SEPARATORS))
def test_the_separator_is_found(table, separator):
    read = table_files.read(table("a,b\n1, x \n2,NA\n".replace(",", separator)))
    assert read.to_pydict() == {"a": ["1", "2"], "b": ["x", None]}


def test_a_byte_order_mark_is_no_part_of_the_first_name(table):
    assert table_files.read(table("\ufeffa,b\n1,2\n")).column_names == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "sizes", "labels"),
    [("wine", (125, 18, 35), 3), ("breast_cancer", (399, 57, 113), 2), ("diabetes", (310, 44, 88), 0)],
)
def test_built_in_tables_need_no_network(name, sizes, labels):
    found = data.load_table(name)
    assert tuple(len(s.y) for s in (found.train, found.validation, found.test)) == sizes
    assert len(found.schema.labels) == labels
    assert found.train.x.dtype == np.float32
    assert found.train.x.shape[1:] == found.schema.shape


@given(st.integers(10, 300), st.integers(1, 5), st.integers(0, 3), st.integers(0, 1000))
def test_a_split_shares_no_row_loses_none_and_has_its_part_of_each_class(count, classes, test, seed):
    y = np.random.default_rng(seed).integers(0, classes, count)
    parts = data.tables.split(y, seed, stratify=True, test=test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    if not test:
        for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
            for c in range(classes):
                assert abs((y[part] == c).sum() - share * (y == c).sum()) <= 2


def test_another_seed_splits_a_file_otherwise_and_the_same_seed_alike(table):
    path = str(table(rows()))
    one, again, other = (data.load_table(path, target="bought", seed=seed).sha256 for seed in (0, 0, 1))
    assert one == again != other


def test_adult_keeps_its_own_test_rows(table, tmp_path):
    head = "age,job,income\n"
    table(head + "".join(f"{i},{'ab'[i % 2]},{'<=50K' if i % 3 else '>50K'}\n" for i in range(40)), "adult_train.csv")
    table(head + "".join(f"{i},b,>50K\n" for i in range(100, 105)), "adult_test.csv")
    adult = data.load_table("adult", str(tmp_path))
    assert adult.test.x[:, 0].tolist() == [100, 101, 102, 103, 104]
    assert (len(adult.train.y), len(adult.validation.y)) == (36, 4)
    assert adult.schema.labels == ("<=50K", ">50K")


def test_categories_are_those_of_the_training_rows(table):
    found = data.load_table(str(table(rows().replace("7,b,0", "7,rare,0"))), target="bought")
    (colour,) = (c for c in found.schema.columns if c.name == "colour")
    seen = {table_rows.decode(found.schema.columns, row)[1] for row in found.train.x}
    assert set(colour.categories) == seen


@pytest.mark.parametrize(
    ("target", "task", "expected", "labels"),
    [
        (lambda i: "ab"[i % 2], None, tables.CLASSIFICATION, ("a", "b")),
        (lambda i: i % 3, None, tables.CLASSIFICATION, ("0", "1", "2")),
        (lambda i: i % 3, "regression", tables.REGRESSION, ()),
        (lambda i: i / 8, None, tables.REGRESSION, ()),
        (lambda i: 1.5 * (i % 2), None, tables.REGRESSION, ()),
        (lambda i: 20_000_000 + i % 3, None, tables.CLASSIFICATION, ("20000000", "20000001", "20000002")),
        (lambda i: ("01234", "1234")[i % 2], None, tables.CLASSIFICATION, ("01234", "1234")),
        (lambda i: f"{i:03}", "regression", tables.REGRESSION, ()),
        (lambda i: 1.5 * (i % 2), "classification", tables.CLASSIFICATION, ("0", "1.5")),
    ],
)
def test_the_task_is_what_the_target_looks_like_unless_it_is_said(table, target, task, expected, labels):
    found = data.load_table(str(table(rows(target=target))), target="bought", task=task).schema
    assert (found.task, found.labels) == (expected, labels)


def test_two_whole_numbers_are_classes_in_ten_rows_too(table):
    found = data.load_table(str(table("age,bought\n" + "".join(f"{i},{i % 2}\n" for i in range(10)))), target="bought")
    assert found.schema.labels == ("0", "1")


def test_what_is_left_out_says_why(table):
    text = "age,one,price,bought\n" + "".join(f"{i},1,${i}.00,{i % 2}\n" for i in range(200))
    told = data.describe(data.load_table(str(table(text)), target="bought"))
    assert "left out: one value" in told
    assert "left out: text, nearly all different" in told


def test_a_number_can_be_taken_as_a_category(table):
    found = data.load_table(str(table(rows())), target="bought", categorical=("age",))
    assert [c.kind for c in found.schema.columns] == ["number", "category", "category"]


def test_rows_without_a_target_are_dropped_and_counted(table):
    found = data.load_table(str(table(rows() + "1,a,2,\n2,b,3,NA\n")), target="bought")
    assert "60 rows; 2 without a target were dropped" in data.describe(found)


def test_a_schema_comes_back_from_its_file(table, tmp_path):
    schema = data.load_table(str(table(rows())), target="bought").schema
    schema.save(tmp_path / "schema.json")
    assert Schema.load(tmp_path / "schema.json") == schema


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (rows() + "1,a\n", {}, "row 61 below the head has 2 cells, not 4"),
        (rows() + "1,a,2,yes,5\n", {}, "row 61 below the head has 5 cells, not 4"),
        (rows(), {"target": "bougt"}, "no column 'bougt'; did you mean 'bought'"),
        (rows(), {"target": None}, "with --target; there is size, colour, age, bought"),
        (rows(), {"categorical": ("colur",)}, "no column 'colur'; did you mean 'colour'"),
        (rows(9), {}, "9 rows with a target; at least 10"),
        (rows(target=lambda i: "yes"), {}, "every row has 'yes'; there is nothing to tell apart"),
        (rows(target=lambda i: 4), {}, "every row has '4'; there is nothing to tell apart"),
        (rows(), {"task": "regression"}, "not numbers; use --task classification"),
        (rows(target=lambda i: i / 8), {"task": "classification"}, "60 classes in 60 rows; use --task regression"),
        (rows(target=lambda i: "inf" if i == 3 else i / 8), {}, "infinite or too large"),
        ("same,bought\n" + "1,a\n1,b\n" * 9, {}, "no column beside 'bought' has two different values"),
        ("a,a\n1,2\n", {}, "two columns are called 'a'"),
        ("", {}, "empty; the first row must hold"),
    ],
)
def test_bad_tables_are_named(table, text, options, message):
    with pytest.raises(UserError, match=message):
        data.load_table(str(table(text)), **({"target": "bought"} | options))


def test_a_parquet_that_is_none_is_named(table):
    with pytest.raises(UserError, match="not a table that can be read"):
        table_files.read(table("no parquet", "table.parquet"))


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "latin.csv").write_bytes("straße,y\n1,2\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"not UTF-8 text .*; save it as CSV UTF-8"):
        table_files.read(tmp_path / "latin.csv")


@pytest.mark.parametrize(
    ("name", "hint"), [("wein", 'Did you mean "wine"'), ("nowhere.csv", "give a .csv or .parquet")]
)
def test_a_table_that_is_not_there_is_named(name, hint):
    with pytest.raises(UserError, match=hint):
        data.load_table(name)


def test_without_files_and_network_the_built_in_tables_are_named(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    with pytest.raises(UserError, match=r"no network.*--data-dir.*breast_cancer, diabetes or wine"):
        data.load_table("adult", str(tmp_path))


def test_a_cell_that_cannot_be_is_named_by_row_and_column():
    with pytest.raises(UserError, match="row 2, column 'age': 'old' is not a number"):
        table_rows.encode(Column("age", "number"), cells_of("7", "old"))
