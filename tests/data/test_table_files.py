"""Table files as people have them are read whole, cell for cell, or refused with a line that says why."""

import csv
import io

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasfound.data import table_files
from kerasfound.errors import UserError

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
ENDS = ("\n", "\r\n", "\r")
HEADS = ("", "\n", "# exported by a scale\n", "sep={separator}\n", "Sales of 2024\n\n")
words = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"), codec="utf-8"), min_size=1, max_size=6)
texts = words | st.sampled_from(
    ['a "quoted" one', "with, comma; and | more\tsigns", "two\nlines", '"', "None", "#N/A", ""]
)
tables = st.integers(3, 5).flatmap(
    lambda width: st.tuples(
        st.lists(words.map("name {}".format), min_size=width - 1, max_size=width - 1, unique=True),
        st.lists(st.lists(texts, min_size=width - 1, max_size=width - 1), min_size=3, max_size=12),
    )
)


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a text or bytes as a table file: names, rows, and the lines that it tells."""

    def read(content, name="table.csv", **options):
        path, told = tmp_path / name, []
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        table = table_files.read_table_file(path, verbatim=True, tell=told.append, **options)
        rows = [list(row.values()) for row in table.to_pylist()]
        return table.column_names, rows, told

    return read


@given(
    tables,
    st.sampled_from(",;\t|"),
    st.sampled_from(ENCODINGS),
    st.sampled_from(ENDS),
    st.sampled_from(HEADS),
    st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    st.booleans(),
)
def test_a_table_in_any_dialect_is_read_cell_for_cell(
    tmp_path_factory, table, separator, encoding, end, head, quoting, trailing
):
    names, rows = table
    names, rows = ["number", *names], [[str(i), *row] for i, row in enumerate(rows)]
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator="\n")
    writer.writerows(row + [""] * trailing for row in (names, *rows))
    text = (head.format(separator=separator) + file.getvalue() + "\n").replace("\n", end)
    path = tmp_path_factory.mktemp("dialects") / "table.csv"
    path.write_bytes(text.encode(encoding))
    read = table_files.read_table_file(path, verbatim=True)
    assert read.column_names == names
    assert [list(row.values()) for row in read.to_pylist()] == [[cell.strip() or None for cell in row] for row in rows]


def test_cells_lose_the_spaces_around_them_and_marks_of_missing_values(tmp_path):
    (tmp_path / "table.csv").write_text("a;b\n1; x \n2;NA\n")
    read = table_files.read_table_file(tmp_path / "table.csv")
    assert read.to_pydict() == {"a": ["1", "2"], "b": ["x", None]}


@pytest.mark.parametrize(
    "head",
    ["size;n;y", '"size, in m, outer, total";n;y', "size, in m, outer, total;n;y", "sep=;\nsize;n;y", "\nsize;n;y"],
)
def test_the_separator_is_that_of_the_rows_not_of_the_first_line(read, head):
    names, rows, told = read(f"{head}\n" + "1,5;2;a\n2,5;3;b\n3,5;4;c\n" * 4)
    assert names[1:] == ["n", "y"]
    assert rows[:2] == [["1,5", "2", "a"], ["2,5", "3", "b"]]
    assert told == []


def test_lines_before_the_header_are_told(read):
    names, _, told = read("Export of 1 May\n# by a scale\n\na,b,c\n1,2,3\n4,5,6\n7,8,9\n")
    assert names == ["a", "b", "c"]
    assert told == ["left out before the table, lines: 2, such as 'Export of 1 May'"]


def test_names_in_a_comment_as_numpy_writes_them(read):
    names, rows, told = read("# x,y\n1.5,2\n2.5,3\n")
    assert (names, rows) == (["x", "y"], [["1.5", "2"], ["2.5", "3"]])
    assert "those of the last comment" in told[-1]


def test_a_row_that_begins_with_a_hashtag_is_a_row(read):
    _, rows, _ = read("#love it\tgood\n#hate it\tbad\nno tag\tbad\n" * 3)
    assert rows[:2] == [["#love it", "good"], ["#hate it", "bad"]]


def test_columns_between_spaces(read):
    names, rows, _ = read('"mpg" "cyl" "name"\n 21.5  6 "Mazda RX4"\n32   4 Fiat \n18 8 "Hornet"\n')
    assert (names, rows[:2]) == (["mpg", "cyl", "name"], [["21.5", "6", "Mazda RX4"], ["32", "4", "Fiat"]])


@pytest.mark.parametrize("separator", list(",;\t"))
def test_stray_quotes_swallow_no_row(read, separator):
    rows = [
        [str(i), f"{'' if i not in (20, 120) else chr(34)}a note of client {i % 9}", "ab"[i % 2]] for i in range(200)
    ]
    names, found, told = read("\n".join(separator.join(row) for row in [["n", "text", "label"], *rows]))
    assert (names, found) == (["n", "text", "label"], rows)
    assert told == ["2 rows with a double quote that encloses no cell, first row 21: it is read as a character"]


def test_two_stray_quotes_that_look_like_a_cell_swallow_no_row(read):
    rows = [[str(i), {20: '"open', 60: 'close"'}.get(i, f"note {i}")] for i in range(100)]
    assert read("n,text\n" + "\n".join(map(",".join, rows)))[1] == rows


def test_quoted_and_stray_quotes_in_one_file(read):
    cells = ['"two\nlines, here"', '"said ""so"""', '"never closed', '"Hi" she said', r'"a \"b\", c"', ' 5" pipe']
    _, rows, _ = read("text,label\n" + "".join(f"{cell},{'ab'[i % 2]}\n" for i, cell in enumerate(cells)))
    assert rows == [
        ["two\nlines, here", "a"],
        ['said "so"', "b"],
        ['"never closed', "a"],
        ['"Hi" she said', "b"],
        ['a "b", c', "a"],
        ['5" pipe', "b"],
    ]


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("A11,6,x\nA12,48,y\nA11,12,x\n", 3),
        ("5.1,3.5,1\n4.9,?,0\n4.7,3.2,1\n", 3),
        ("2024-01-01;1,5\n2024-01-02;2,5\n", 2),
        ("ham\tGo until\nham\tOk lar\nspam\tFree entry\nham\tU dun\n", 2),
    ],
)
def test_a_first_row_of_values_is_a_row(read, text, width):
    names, rows, told = read(text)
    assert names == [f"column_{i}" for i in range(1, width + 1)]
    assert len(rows) == text.count("\n")
    assert told == [f"the first row has values, no names: the columns are called column_1 to column_{width}"]


@pytest.mark.parametrize(
    "text",
    [
        "age,income\n31,5\n40,6\n",
        "country,2019,2020,2021\nChad,5,6,7\nMali,6,7,8\n",
        "sort,2019,2021\na,5,7\nb,6,8\na,7,7\nb,6,8\n",
        "text,label\nso good,a\nso bad,b\nso good,a\n",
        "x,y\n1,a\n",
    ],
)
def test_a_first_row_of_names_is_no_row(read, text):
    names, rows, told = read(text)
    assert names == text.splitlines()[0].split(",")
    assert len(rows) == text.count("\n") - 1
    assert told == []


def test_a_name_with_a_line_break_is_a_name(read):
    assert read('"size\nin m",sort,y\n1,a,2\n2,b,3\n')[:2] == (
        ["size in m", "sort", "y"],
        [["1", "a", "2"], ["2", "b", "3"]],
    )


def test_the_header_of_a_joined_file_is_no_row(read):
    _, rows, told = read("a,b\n1,2\na,b\n3,a\n")
    assert rows == [["1", "2"], ["3", "a"]]
    assert told == ["rows that repeat the names of the columns are left out: 1"]


def test_the_header_can_be_stated(read):
    assert read("a,b\nb,a\na,a\n", header=False)[:2] == (["column_1", "column_2"], [["a", "b"], ["b", "a"], ["a", "a"]])
    assert read("1,2\n3,4\n5,6\n", header=True)[:2] == (["1", "2"], [["3", "4"], ["5", "6"]])


def test_a_file_without_header_has_the_names_that_are_looked_for(read):
    assert read("1,x\n", names=["column_1", "column_3"])[:2] == (["column_1", "column_3"], [["1", "x"]])
    assert read("column_3,column_1\n1,x\n", names=["column_1"])[0] == ["column_3", "column_1"]
    assert read("1,x\n", names=["size", "sort"])[0] == ["1", "x"]


def test_blank_and_repeated_names_are_completed_with_a_word(read):
    names, _, told = read(",size,size,\n0,1,2,3\n1,2,3,4\n")
    assert names == ["index", "size", "size_2", "column_4"]
    assert told == [
        "names that are blank or occur twice: column 1 is called 'index', column 3 is called 'size_2', "
        "column 4 is called 'column_4'"
    ]


def test_row_names_without_a_name_as_r_writes_them(read):
    names, rows, told = read('"mpg" "cyl"\n"Mazda" 21 6\n"Fiat" 32 4\n'.replace(" ", ","))
    assert (names, rows[0]) == (["index", "mpg", "cyl"], ["Mazda", "21", "6"])
    assert "one name less" in told[0]


def test_blank_lines_are_no_rows_but_in_a_single_column(read):
    assert read("a,b\n1,2\n\n  \n3,4\n\n\n")[1] == [["1", "2"], ["3", "4"]]
    assert read("text\none, two\n\nthree\n\n")[1] == [["one, two"], [None], ["three"], [None]]


def test_windows_1252_is_read_with_a_word(read):
    names, _, told = read("straße,y\n1,2\n3,4\n".encode("cp1252"))
    assert names == ["straße", "y"]
    assert told == ["not UTF-8, read as Windows-1252, such as 'straße,y'"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("улица,y\n1,2\n".encode("cp1251"), r"not UTF-8 text \(byte 0\); save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without a byte-order mark; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "not a text file but a PNG image"),
        (b"PK\x03\x04", "an Excel workbook; save the sheet as CSV UTF-8"),
        (b"PAR1 and no more", "not a Parquet file that can be read"),
        (b"", "empty; expected the names of the columns"),
        ("<!DOCTYPE html>\n<p>Not found, sorry</p>\n", "not a table but a web page or XML"),
        ('[{"a": 1, "b": 2},\n{"a": 1, "b": 2}]\n', "not a table but JSON"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "a pointer of Git LFS"),
        ("a,b\n1,2,3,4\n2,3,4,5\n", "the header has 2 names, the rows have 4 cells"),
        ("Dear all, hello\nI am, as you know, here\nnot, there, or, so\nbye\n", "not a table: only 25% of its lines"),
        ("a,b\n1,2\n1,2\n1,2,3\n", r"row 3 of the data \(line 4\) has 3 cells for 2 columns"),
    ],
)
def test_a_file_that_is_no_table_is_an_error(read, content, message):
    with pytest.raises(UserError, match=message):
        read(content)


def test_a_folder_and_a_missing_file_are_errors(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UserError, match=r"cannot be read .*; give a CSV or Parquet file"):
            table_files.read_table_file(path)


PARQUET_COLUMNS = {
    "dictionary": (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    "string view": (pa.array(["a", "b"]).cast(pa.string_view()), ["a", "b"]),
    "bytes of text": (pa.array([b"a", b"b"]), ["a", "b"]),
    "the text None": (pa.array(["None", None]), ["None", None]),
    "decimal": (pa.array([1, 2]).cast(pa.decimal128(21, 2)), [1.0, 2.0]),
    "duration": (pa.array([1500, None], pa.duration("ms")), [1.5, None]),
    "time": (pa.array([60, 61], pa.time32("s")), [60.0, 61.0]),
    "empty": (pa.nulls(2), [None, None]),
    "list": (pa.array([["a"], []]), [["a"], []]),
    "struct": (pa.array([{"a": 1}, {"a": 2}]), [{"a": 1}, {"a": 2}]),
    "bytes": (pa.array([b"\xff", b"a"]), [b"\xff", b"a"]),
}


@pytest.mark.parametrize("name", PARQUET_COLUMNS)
def test_parquet_columns_of_every_type_are_read(tmp_path, name):
    column, expected = PARQUET_COLUMNS[name]
    pyarrow.parquet.write_table(pa.table({"x": column}), tmp_path / "table.parquet")
    read = table_files.read_table_file(tmp_path / "table.parquet", verbatim=True)
    assert read["x"].to_pylist() == expected


def test_a_file_of_names_alone_has_no_rows(read):
    assert read("a,b\n")[:2] == (["a", "b"], [])


def test_a_cell_of_a_million_characters_is_read_whole(read):
    long = "long text, " * 200_000
    assert read(f'text,label\n"{long}",a\n"b",c\n')[1] == [[long.strip(), "a"], ["b", "c"]]
