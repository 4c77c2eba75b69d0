"""The cells of a column have the same numbers in training, in TensorFlow, in ONNX and as single texts."""

import keras
import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from kerasfound.bundle import Column
from kerasfound.bundle.cell_formats import BooleanFormat, DateFormat, NumberFormat
from kerasfound.export.raw_inputs import tabular
from kerasfound.export.raw_inputs.onnx_texts import NodeBuilder, OnnxTexts, Value
from kerasfound.export.raw_inputs.tensorflow_texts import TensorFlowTexts
from kerasfound.preprocessing import table_rows
from kerasfound.preprocessing.cell_texts import can_be_read, parse_texts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exported from TensorFlow"),
]

COLUMNS = [
    Column("a", "number", format=NumberFormat(",", ".", unit="€")),
    Column("a", "number", format=NumberFormat(",", " ", " \u202f", unit="kr")),
    Column("a", "number", format=NumberFormat(".", ",", exponent=True)),
    Column("a", "number", format=NumberFormat(".", "'\u2019", unit="CHF")),
    Column("a", "number", format=NumberFormat("٫", "٬", zero="٠")),  # noqa: RUF001
    Column("a", "boolean"),
    Column("a", "boolean", format=BooleanFormat("x")),
    Column("a", "date"),
    Column("a", "date", format=DateFormat("dmy", "/", hours=True, half_days=True)),
    Column("a", "date", format=DateFormat(hours=True, zones=True)),
    Column("a", "date", format=DateFormat("mdy", " ", month_names=True, hours=True)),
    Column("a", "date", format=DateFormat("dmy", ".", short_year=True)),
    Column("a", "date", format=DateFormat("ymd", "")),
]
ODD = [
    "",
    "n.a.",
    "#N/A",
    "-",
    "5",
    "-5",
    "1e3",
    "5 €",
    "31.02.2024",
    "yes",
    "x",
    "2024-02-29",
    "2024-02-30",
    "2024-02-29T10:30",
    "2024-02-29 10:30:00Z",
    "12.5.7",
    "(",
    "1-",
    "٣",
]


def onnx_session(column):
    """A session from the texts of the column to its encoded numbers."""
    builder = NodeBuilder("row")
    numbers = parse_texts(OnnxTexts(builder, "bad"), column, Value("x"))
    builder.add("Concat", [builder.column(number.name) for number in numbers], ["row"], axis=1)
    x = helper.make_tensor_value_info("x", TensorProto.STRING, ["batch"])
    row = helper.make_tensor_value_info("row", TensorProto.FLOAT, ["batch", len(numbers)])
    graph = helper.make_graph(builder.nodes, "cells", [x], [row], list(builder.constants.values()))
    versions = [helper.make_opsetid("", tabular.TEXTS_OPSET), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def engines(column):
    """Functions from texts to encoded numbers. Each raises an error for a text of another form."""
    session, texts = onnx_session(column), TensorFlowTexts()
    graph = tf.function(
        lambda x: tf.stack(parse_texts(texts, column, x), axis=1), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    parse_texts(texts, column, tf.constant([""]))  # creates the lookup tables
    return {
        "training": lambda cells: table_rows.encode_column(column, pa.chunked_array([pa.array(cells, pa.string())])),
        "ONNX": lambda cells: session.run(None, {"x": np.array(cells, object)})[0],
        "TensorFlow": lambda cells: graph(tf.constant(cells)).numpy(),
    }


@pytest.fixture(scope="module", params=COLUMNS, ids=lambda column: f"{column.kind} {column.format}"[:60])
def column_and_engines(request):
    return request.param, engines(request.param)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(width=32, allow_subnormal=False) | st.integers(-2000, 40_000), min_size=1, max_size=12))
def test_all_engines_read_the_same_numbers(column_and_engines, numbers):
    column, run = column_and_engines
    encoded = np.array([[2024, 1, 0, x, x % 24] if column.kind == "date" else [x] for x in numbers], "float64")
    cells = [tabular._decode_cell(column, row[: column.width], i) for i, row in enumerate(encoded)]
    expected = run["training"](cells)
    for name in ("ONNX", "TensorFlow"):
        np.testing.assert_array_equal(run[name](cells), expected, err_msg=f"{name}: {cells}")


def test_all_engines_refuse_the_same_cells(column_and_engines):
    column, run = column_and_engines
    for text in ODD:
        read = [can_be_read(column, text)]
        for encode in run.values():
            try:
                encode([text])
            except Exception:
                read.append(False)
            else:
                read.append(True)
        assert len(set(read)) == 1, (text, read)


def test_all_engines_read_an_iso_date_in_a_column_of_any_form_of_dates(column_and_engines):
    column, run = column_and_engines
    for name, encode in run.items() if column.kind == "date" else ():
        assert encode(["1950-12-01"])[0, :4].tolist() == [1950, 12, 4, -6971], name
