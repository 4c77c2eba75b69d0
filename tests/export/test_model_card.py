"""The model card of a table has the form of every column's cells."""

from kerasfound.bundle import Column, Schema
from kerasfound.bundle.cell_formats import DateFormat, NumberFormat
from kerasfound.bundle.manifest import Manifest, Tensor
from kerasfound.export import model_card

SCHEMA = Schema(
    "tabular_regression",
    "row",
    (7,),
    (),
    (
        Column("Price, net", "number", format=NumberFormat(",", ".", unit="€", example="1.234,5 €")),
        Column("id", "ignored", reason="row number"),
        Column("size", "category", ("big|huge", "small")),
        Column("age", "number"),
        Column("day", "date", format=DateFormat("dmy", "/", example="31/12/2024")),
    ),
    "y",
)


def card(schema):
    names = ("Price__net", "size", "age", "day")
    inputs = [Tensor(name, "float32" if name == "age" else "string", ["batch"]) for name in names]
    outputs = [Tensor("number", "float32", ["batch", 1])]
    manifest = Manifest(1, "prices", 1, schema.task, inputs, outputs, [], [], [], {}, None, [], {}, "2024-01-01", {})
    return model_card.card(manifest, schema=schema)


def test_the_card_of_a_table_lists_how_the_cells_of_each_input_are_written():
    assert [line for line in card(SCHEMA).splitlines() if line.startswith("| `")] == [
        "| `Price__net` | Price, net | number, decimal comma, '1.234,5 €' |",
        "| `size` | size | one of 'big\\|huge', 'small'; another cell counts as missing |",
        "| `age` | age | number |",
        "| `day` | day | date, day first, '31/12/2024' |",
    ]


def test_the_card_of_other_data_has_no_columns():
    assert "## Cells" not in card(Schema("image_classification", "image", (8, 8, 1), ("0", "1")))
