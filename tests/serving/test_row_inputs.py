"""Table rows at the server: the file's own column names, columns that training left out, and cells of several types."""

import json

import numpy as np
import pytest

from kerasfound.bundle.cell_formats import NumberFormat
from kerasfound.bundle.manifest import ProcessingStep, Tensor
from kerasfound.bundle.schema import Column, Schema
from kerasfound.serving.row_inputs import CellReader

STEP = ProcessingStep("table_row", file="assets/schema.json", parameters={"inputs": "columns"})
AGE, CITY = Tensor("age", "float32", ["batch"], True), Tensor("city", "string", ["batch"], True)
COLUMNS = (
    Column("Alter (Jahre)", "number"),
    Column("Kunden-Nr.", "ignored", reason="row numbers"),
    Column("Stadt", "category", ("Bonn", "Rom")),
)
ROW = {"its_age": 3.0, "its_city": "Rom"}


def serve(folder, bundle, make_app, columns=COLUMNS):
    schema = Schema("tabular_regression", "row", (2,), (), columns, "Miete")
    schema.save(folder / "schema.json")
    assets = {STEP.file: (folder / "schema.json").read_bytes()}
    bundle(folder, "persons", 1, assets, inputs=[AGE, CITY], preprocessing=[STEP])
    return make_app(folder)


@pytest.fixture
def call(tmp_path, bundle, make_app):
    return serve(tmp_path, bundle, make_app)


@pytest.mark.parametrize(
    "row",
    [
        {"age": 3, "city": "Rom"},
        {"Alter (Jahre)": 3, "Stadt": "Rom"},
        {"Alter (Jahre)": 3, "city": "Rom"},
        {"Kunden-Nr.": "A1", "Alter (Jahre)": 3, "Stadt": "Rom", "Miete": 700},
    ],
)
def test_a_row_of_the_file_is_an_instance(call, row):
    """Columns that training left out, and the target, are ignored."""
    assert call("POST", "/v1/models/persons:predict", {"instances": [row]}).json()["predictions"] == [ROW]
    columns = {name: [value] for name, value in row.items()}
    assert call("POST", "/v1/models/persons:predict", {"inputs": columns}).json()["outputs"] == {
        name: [value] for name, value in ROW.items()
    }
    kinds = {str: "BYTES", int: "FP32"}
    inputs = [
        {"name": name, "shape": [1], "datatype": kinds[type(value)], "data": [value]} for name, value in row.items()
    ]
    outputs = call("POST", "/v2/models/persons/infer", {"inputs": inputs}).json()["outputs"]
    assert {output["name"]: output["data"][0] for output in outputs} == ROW


def test_binary_data_of_a_column_that_training_left_out_is_skipped(call):
    numbers = np.float32([9, 3])
    parts = [("Kunden-Nr.", "FP32", numbers[:1].tobytes()), ("Alter (Jahre)", "FP32", numbers[1:].tobytes())]
    parts += [("Stadt", "BYTES", b"\3\0\0\0Rom")]
    inputs = [
        {"name": name, "shape": [1], "datatype": kind, "parameters": {"binary_data_size": len(data)}}
        for name, kind, data in parts
    ]
    head = json.dumps({"inputs": inputs}).encode()
    body = head + b"".join(data for _, _, data in parts)
    response = call("POST", "/v2/models/persons/infer", body, {"inference-header-content-length": len(head)})
    assert {output["name"]: output["data"][0] for output in response.json()["outputs"]} == ROW


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"Alter": 3, "Stadt": "Rom"}, "no column 'Alter'; did you mean 'Alter (Jahre)'?"),
        ({"xyz": 3, "Stadt": "Rom"}, "no column 'xyz'; the columns are 'Alter (Jahre)', 'Stadt'"),
        ({"age": 3, "Alter (Jahre)": 3, "Stadt": "Rom"}, "column 'Alter (Jahre)' is there twice, also as 'age'"),
        ({"Stadt": "Rom"}, "input 'age' is missing"),
    ],
)
def test_a_wrong_column_is_an_error(call, row, reason):
    response = call("POST", "/v1/models/persons:predict", {"instances": [row]})
    assert response.status == 400
    assert reason in response.json()["error"]


def test_the_own_name_of_a_column_may_be_the_input_of_another(tmp_path, bundle, make_app):
    call = serve(tmp_path, bundle, make_app, (Column("city", "number"), Column("age", "category", ("Bonn", "Rom"))))
    for row in ({"age": 3, "city": "Rom"}, {"city": 3, "age": "Rom", "Miete": 1}):
        response = call("POST", "/v1/models/persons:predict", {"instances": [row]})
        assert response.json()["predictions"] == [ROW]


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        (
            Column("a", "number", format=NumberFormat(",", ".", unit="€")),
            '[1234.5, -2, " 3 €", null]',
            "1234,5|-2|3 €|",
        ),
        (Column("a", "boolean"), '[true, 0, "yes"]', "True|0|yes"),
        (Column("a", "category", ("1", "2")), '[1, 2.0, "3"]', "1|2|3"),
        (Column("a", "category", ("FALSE", "TRUE")), "[true]", "TRUE"),
    ],
)
def test_json_numbers_and_booleans_are_cells_of_columns_that_are_read_as_text(column, text, expected):
    reader = CellReader(Tensor("a", "string", ["batch"], True), column)
    assert "|".join(reader.read_nested(text.encode())) == expected


@pytest.mark.parametrize(("cell", "number"), [("12.5", 12.5), ("3e-9", 3e-9), (" -4 ", -4), (7, 7)])
def test_a_text_with_a_plain_number_is_a_cell_of_a_number_column(call, cell, number):
    row = {"age": cell, "city": "Rom"}
    (predicted,) = call("POST", "/v1/models/persons:predict", {"instances": [row]}).json()["predictions"]
    assert predicted["its_age"] == pytest.approx(number)
    inputs = [
        {"name": "age", "shape": [1], "datatype": "FP32", "data": [cell]},
        {"name": "city", "shape": [1], "datatype": "BYTES", "data": ["Rom"]},
    ]
    outputs = call("POST", "/v2/models/persons/infer", {"inputs": inputs}).json()["outputs"]
    assert {output["name"]: output["data"][0] for output in outputs}["its_age"] == pytest.approx(number)


@pytest.mark.parametrize("cell", ["old", "1,5", "0x10", "1_000", "inf"])
def test_another_text_in_a_number_column_is_an_error_with_its_place(call, cell):
    rows = [{"age": 3, "city": "Rom"}, {"age": cell, "city": "Rom"}]
    response = call("POST", "/v1/models/persons:predict", {"instances": rows})
    assert response.status == 400
    assert f"row 1, column 'Alter (Jahre)': {cell!r} is not a number" in response.json()["error"]


@pytest.mark.parametrize(("body", "kind"), [(b"\xff\xd8\xff\xe0", "text/plain"), (b"II*", "image/tiff")])
def test_an_image_file_as_the_body_is_answered_with_the_json_form(call, body, kind):
    response = call("POST", "/v1/models/persons:predict", body, {"content-type": kind})
    assert response.status == 400
    assert '{"instances": [{"b64": "..."}]}' in response.json()["error"]


def test_the_page_shows_how_cells_are_written(tmp_path, bundle, make_app):
    city = Column("Preis", "number", format=NumberFormat(",", ".", unit="€", example="1.234,50 €"))
    (model,) = serve(tmp_path, bundle, make_app, (COLUMNS[0], city))("GET", "/models").json()
    assert [(column["name"], column["example"]) for column in model["columns"]] == [
        ("Alter (Jahre)", ""),
        ("Preis", "1.234,50 €"),
    ]
