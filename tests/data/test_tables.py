"""Tables: CSV and Parquet give the same numbers, splits share no row, and bad input is an error that says why."""

import csv
import datetime

import numpy as np
import pyarrow as pa
import pyarrow.csv
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
    text = "age,one,order,bought\n" + "".join(f"{i},1,order {i},{i % 2}\n" for i in range(200))
    description = data.describe(data.load_table(str(table(text)), target="bought"))
    assert "ignored: one value" in description
    assert "ignored: text, nearly all different" in description


def test_a_number_column_can_be_a_category(table):
    dataset = data.load_table(str(table(rows())), target="bought", categorical=("age",))
    assert [c.kind for c in dataset.schema.columns] == ["number", "category", "category"]


def test_rows_without_a_target_are_dropped_and_counted(table):
    dataset = data.load_table(str(table(rows() + "1,a,2,\n2,b,3,NA\n")), target="bought")
    assert "60 rows; 2 rows without a target left out" in data.describe(dataset)
    assert "'NA' is the target of row 62: left out" in data.describe(dataset)


@pytest.mark.parametrize("word", ["None", "NA", "null", "N/A", "nan"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_frequent_word_for_missing_is_a_class(tmp_path, word, suffix):
    cells = pa.table(
        {"hours": [i % 9 for i in range(150)], "sleep": [("Insomnia", "Apnea", word)[i % 3] for i in range(150)]}
    )
    path = tmp_path / f"sleep{suffix}"
    pyarrow.parquet.write_table(cells, path) if suffix == ".parquet" else pyarrow.csv.write_csv(cells, path)
    dataset = data.load_table(str(path), target="sleep")
    assert set(dataset.schema.labels) == {"Insomnia", "Apnea", word}
    assert any("it is a class" in note for note in dataset.notes) == (suffix == ".csv")


def test_a_word_for_missing_among_amounts_is_missing(table):
    dataset = data.load_table(str(table(rows(target=lambda i: "NA" if i % 3 else i / 8))), target="bought")
    assert dataset.schema.task == Task.TABULAR_REGRESSION
    assert "20 rows; 40 rows without a target left out" in dataset.source
    assert dataset.notes == ("'NA' is the target of rows 2, 3, 5, 6, 8 and 35 more: left out",)


@pytest.mark.parametrize("value", [lambda i: i % 2, lambda i: i / 8, lambda i: "ab"[i % 2]])
def test_a_few_cells_without_a_target_are_named_by_row(table, value):
    words = {3: "n/a", 9: "k.A.", 17: "None", 30: "#N/A"}
    dataset = data.load_table(str(table(rows(400, lambda i: words.get(i, value(i))))), target="bought")
    assert "396 rows; 4 rows without a target left out" in dataset.source
    told = [note for note in dataset.notes if "left out" in note and "target" in note]
    assert told == [f"{word!r} is the target of row {i + 1}: left out" for i, word in words.items()]


def test_a_frequent_word_beside_two_classes_is_a_class_that_is_told(table):
    dataset = data.load_table(str(table(rows(target=lambda i: "k.A." if i % 3 == 0 else i % 2))), target="bought")
    assert dataset.schema.labels == ("0", "1", "k.A.")
    assert dataset.notes == (
        "'k.A.' is the target of 20 rows: it is a class; remove these rows if theirs is not known",
    )


def test_plus_and_minus_are_two_classes(table):
    """The minus sign alone is also a mark of missing numbers."""
    dataset = data.load_table(str(table(rows(target=lambda i: "+-"[i % 2]))), target="bought")
    assert dataset.schema.labels == ("+", "-")


@pytest.mark.parametrize(
    ("spellings", "labels"),
    [
        (("True", "False"), ("False", "True")),
        (("true", "FALSE", "TRUE", "FALSE"), ("FALSE", "true")),
        (("y", "n"), ("n", "y")),
        (("1", "0", "true", "false", "1", "0"), ("0", "1")),
        (("ja", "nein", "Ja", "nein"), ("nein", "ja")),
        (("Yes", "no", "YES", "No", "Yes", "No"), ("No", "Yes")),
    ],
)
def test_booleans_in_any_spelling_are_two_classes(table, spellings, labels):
    dataset = data.load_table(str(table(rows(target=lambda i: spellings[i % len(spellings)]))), target="bought")
    assert dataset.schema.labels == labels
    assert bool(dataset.notes) == (len(set(spellings)) > 2)
    assert sum(split.y.sum() for split in (dataset.train, dataset.validation, dataset.test)) == 30


def test_labels_that_differ_in_case_and_rare_classes_are_told(table):
    labels = {3: "Spam", 5: "eggs"}
    dataset = data.load_table(
        str(table(rows(target=lambda i: labels.get(i, "spam" if i % 2 else "ham")))), target="bought"
    )
    assert dataset.notes == (
        "'Spam' and 'spam' are two classes: did you mean one?",
        "classes with too few rows for training, validation and test: 'Spam' has 1, 'eggs' has 1",
    )


@pytest.mark.parametrize("task", [None, "regression"])
def test_a_target_of_numbers_with_a_stranger_names_its_row(table, task):
    text = "size,y\n" + "".join(f"{i % 7},{'lots' if i == 7 else i / 8}\n" for i in range(120))
    with pytest.raises(UserError, match="119 of 120 cells are numbers; row 8 has 'lots'; correct such cells"):
        data.load_table(str(table(text)), target="y", task=task)


def test_a_target_of_numbers_with_many_strangers_counts_them(table):
    text = "size,y\n" + "".join(f"{i % 7},{f'ca. {i}' if i % 7 == 0 else i * 1.7}\n" for i in range(240))
    with pytest.raises(UserError, match=r"205 of 240 cells are numbers; row 1 has 'ca\. 0', and 34 more.*empty them"):
        data.load_table(str(table(text)), target="y")
    with pytest.raises(UserError, match="240 classes in 240 rows"):
        data.load_table(str(table(text)), target="y", task="classification")


@pytest.mark.parametrize("task", [None, "regression"])
@pytest.mark.parametrize("form", ["{:%Y-%m-%d}", "{:%d.%m.%Y}"])
def test_a_target_of_dates_is_said_to_be_one(table, task, form):
    days = [form.format(datetime.date(2024, 1, 1) + datetime.timedelta(i % 90)) for i in range(240)]
    path = str(table("size,y\n" + "".join(f"{i % 7},{day}\n" for i, day in enumerate(days))))
    with pytest.raises(UserError, match=r"`target` y: a column of dates .*has numbers or classes, so choose another"):
        data.load_table(path, target="y", task=task)
    assert len(data.load_table(path, target="y", task="classification").schema.labels) == 90


def test_row_numbers_and_ids_are_left_out_and_can_be_kept(table):
    text = ",CustomerId,age,bought\n" + "".join(f"{i},{i * 7919 % 10007},{i % 9},{'ab'[i % 2]}\n" for i in range(200))
    dataset = data.load_table(str(table(text)), target="bought")
    assert [column.width for column in dataset.schema.columns] == [0, 0, 1]
    assert "left out: index (row number), CustomerId (id); --keep index,CustomerId keeps them" in dataset.notes
    assert "ignored: row number" in data.describe(dataset)
    kept = data.load_table(str(table(text)), target="bought", keep=("CustomerId",))
    assert [column.width for column in kept.schema.columns] == [0, 1, 1]


def test_a_counter_that_is_the_only_column_is_kept(table):
    dataset = data.load_table(str(table("n,y\n" + "".join(f"{i},{2 * i + 0.5}\n" for i in range(50)))), target="y")
    assert dataset.train.x.shape[1] == 1


def test_parquet_columns_that_hold_no_numbers_are_ignored_with_the_reason(tmp_path):
    cells = {"n": [i % 7 for i in range(60)], "tags": [[i] for i in range(60)], "y": ["ab"[i % 2] for i in range(60)]}
    pyarrow.parquet.write_table(pa.table(cells), tmp_path / "t.parquet")
    dataset = data.load_table(str(tmp_path / "t.parquet"), target="y")
    assert "ignored: lists, not numbers or texts" in data.describe(dataset)
    with pytest.raises(UserError, match="`target` tags: holds lists"):
        data.load_table(str(tmp_path / "t.parquet"), target="tags")


def test_a_description_fits_100_characters_and_shows_values(table):
    text = "a very long name of a column that somebody wrote,day,bought\n"
    text += "".join(f"{'a long category' * 5} {i % 3},2024-01-{i % 28 + 1:02},{i % 2}\n" for i in range(60))
    lines = data.describe(data.load_table(str(table(text)), target="bought")).splitlines()
    assert max(map(len, lines[1:])) <= 100
    assert "2024-01-0" in lines[3]
    assert lines[4] == "target bought: tabular_classification, read as number, with 2 classes: 0 30, 1 30"


def test_a_description_shows_how_the_target_was_read(table):
    text = "size;price\n" + "".join(f"{i % 7};1.{i + 100},5 €\n" for i in range(60))
    dataset = data.load_table(str(table(text)), target="price")
    first = ", ".join(f"{y:.7g}" for y in dataset.train.y[:5])
    assert f"target price: tabular_regression, read as number, decimal comma, '1.100,5 €', such as {first}" in " ".join(
        data.describe(dataset).split()
    )


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (rows() + "1,a\n", {}, "row 61 of the data .line 62. has 2 cells for 4 columns; add the others"),
        (rows() + "1,a,2,yes,5\n", {}, "row 61 of the data .line 62. has 5 cells for 4 columns; put double quotes"),
        (rows(), {"target": "bougt"}, "no column 'bougt'; did you mean 'bought'"),
        (rows(), {"target": None}, "with `target`; the columns are size, colour, age, bought"),
        (rows(), {"categorical": ("colur",)}, "no column 'colur'; did you mean 'colour'"),
        (rows(9), {}, "9 rows with a target; expected 10 or more"),
        (rows(target=lambda i: "yes"), {}, "`target` bought: every row has 'yes'; expected two or more"),
        (rows(target=lambda i: 4), {}, "every row has '4'; expected two or more different values"),
        (rows(), {"task": "regression"}, "has 'no', not numbers; regression needs a target of numbers"),
        (rows(target=lambda i: i / 8), {"task": "classification"}, "60 classes in 60 rows; use `task` regression"),
        (rows(target=lambda i: "inf" if i == 3 else i / 8), {}, "infinite, NaN or too large"),
        ("same,bought\n" + "1,a\n1,b\n" * 9, {}, "no column other than 'bought' can be used .same: one value."),
        ("", {}, "empty; expected the names of the columns"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_an_error(table, text, options, message):
    with pytest.raises(UserError, match=message):
        data.load_table(str(table(text)), **({"target": "bought"} | options))


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


def test_a_setting_decides_how_numbers_and_dates_are_read_where_the_cells_do_not(table):
    text = "price;day;y\n" + "".join(f"{i + 1},125;0{i % 9 + 1}/02/2024;{i % 2}\n" for i in range(40))
    path = str(table(text))

    def first_row(**settings):
        dataset = data.load_table(path, target="y", **settings)
        x = np.concatenate([dataset.train.x, dataset.validation.x, dataset.test.x])
        return x[:, 0].min(), set(x[:, 2]), data.describe(dataset)

    price, months, description = first_row()
    assert (price, months) == (1125, {2})
    assert "--decimal comma" in description
    assert "--no-day-first" in description
    price, months, description = first_row(decimal="comma", day_first=False)
    assert (price, months) == (1.125, set(range(1, 10)))
    assert "nothing decides" not in description
    with pytest.raises(UserError, match="`decimal` semicolon: expected comma or point"):
        first_row(decimal="semicolon")


def sizes(faults, count=300):
    """A table whose sizes are numbers but for some rows."""
    cells = [(faults.get(i, i % 40 + 0.5), i % 5, i % 2) for i in range(count)]
    return "size,n,y\n" + "".join(f"{size},{n},{y}\n" for size, n, y in cells)


def test_cells_that_keep_a_column_from_being_numbers_are_described(table):
    faults = dict.fromkeys(range(7, 12), "lots")
    dataset = data.load_table(str(table(sizes(faults))), target="y")
    assert dataset.schema.columns[0].kind == "category"
    note = "note: size: category: 295 of 300 cells are numbers; row 8 has 'lots', and 4 more cells are not"
    assert note in " ".join(data.describe(dataset).split())


def test_a_few_faults_among_many_numbers_are_missing_and_named_by_row(table):
    path = str(table(sizes({7: "see below", 90: "see below", 200: "Total"})))
    dataset = data.load_table(path, target="y")
    size = dataset.schema.columns[0]
    assert (size.kind, size.missing, size.format) == ("number", 3, None)
    (note,) = size.notes
    assert note.startswith("3 cells read as missing: 'see below' in rows 8, 91, 'Total' in row 201")
    x = np.concatenate([dataset.train.x, dataset.validation.x, dataset.test.x])
    assert np.isnan(x[:, 0]).sum() == 3
    assert "--categorical size" in note
    assert "Total" in data.load_table(path, target="y", categorical=("size",)).schema.columns[0].categories


def test_a_rare_word_among_few_numbers_is_a_category(table):
    text = "grade,n,y\n" + "".join(f"{'A' if i == 7 else i % 6},{i % 5},{i % 2}\n" for i in range(300))
    assert "A" in data.load_table(str(table(text)), target="y").schema.columns[0].categories


def test_a_column_of_plain_fractions_decides_what_a_comma_is(table):
    text = "price;share;y\n" + "".join(
        f"{i % 9 + 1},{i % 900 + 100};{i % 50 / 50 + 0.01:.2f};{i % 2}\n" for i in range(240)
    )
    dataset = data.load_table(str(table(text)), target="y")
    assert np.nanmin(dataset.train.x[:, 0]) > 1000
    assert not dataset.schema.columns[0].notes


def test_spaces_that_labels_lose_are_told(table):
    text = "size,y\n" + "".join(f"{i % 7},{chr(34)} yes {chr(34)}\n" if i % 2 else f"{i % 7},no\n" for i in range(60))
    dataset = data.load_table(str(table(text)), target="y")
    assert dataset.schema.labels == ("no", "yes")
    assert dataset.notes == ("spaces around cells are left out: y (30 cells)",)


@pytest.mark.parametrize(("text", "other"), [("7.061", "0,26"), ("7,061", "0.26 €"), ("7,061", "$1,500.25")])
@pytest.mark.parametrize("target", ["a", "b"])
def test_the_target_and_the_columns_decide_together_how_numbers_are_written(table, text, other, target):
    rows = "".join(f"{i}{text};{other.replace('2', str(i % 9 + 1))}\n" for i in range(1, 40))
    dataset = data.load_table(str(table("a;b\n" + rows)), target=target)
    values = dataset.train.y if target == "a" else dataset.train.x[:, 0]
    assert (values > 10_000).all()
    assert "nothing decides" not in data.describe(dataset)
