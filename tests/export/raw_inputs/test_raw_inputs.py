"""Raw inputs of the files of a bundle: table rows, texts, and text generation with caches."""

import asyncio
import json
import os
import shutil
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import msgspec
import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
import tensorflow as tf
from tokenizers import normalizers

import kerasfound as kf
from kerasfound.bundle import Column, Schema, manifest, recorded_cases
from kerasfound.data import table_files, tfds
from kerasfound.errors import UserError
from kerasfound.export.raw_inputs import tabular
from kerasfound.export.raw_inputs import text as text_inputs
from kerasfound.export.verification import verify
from kerasfound.preprocessing import encode_rows, encode_texts, train_tokenizer
from kerasfound.recipes import imdb_lstm, mini_transformer, tabular_mlp
from kerasfound.serving.app import App
from kerasfound.serving.client_error import ClientError
from kerasfound.serving.http import Request
from kerasfound.serving.limits import Limits
from kerasfound.serving.model_repository import Repository
from kerasfound.serving.protocols import open_inference, tensorflow_serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exported from TensorFlow"),
]

HEAD = ("Size/m²", "colour", "Colour", "since", "sold", "probabilities", "rank", "income", "seen", "gift", "price")
BLANK = ("", "?", " NA ")


def table(count, seed=0):
    """Rows with missing cells, special characters and all kinds of columns. The last cell is the label."""
    rng = np.random.default_rng(seed)
    lines = []
    for row in range(count):
        size, colour, sold = rng.uniform(1, 9), ("rød", 'dark "blue"', "x, y")[rng.integers(3)], rng.integers(2)
        day = np.datetime64("1899-12-25") + int(rng.integers(80_000))
        cells = [f"{size:.4f}", colour, "AB"[row % 2], f"{day}{('', ' 12:30', 'T23:59:59.5')[row % 3]}"]
        cells += [("No", "YES")[sold], f"{rng.integers(100)}", str(rng.integers(4))]
        income = f"{abs(x := rng.normal(0, 5000)):,.2f} €".translate(str.maketrans(",.", ".,"))
        seen = f"{day.astype(object):%d/%m/%Y} {rng.integers(1, 13)}:{rng.integers(60):02} {'AP'[row % 2]}M"
        cells += [income if x > 0 else (f"-{income}", f"\u2212{income}", f"({income})")[row % 3], seen]
        cells = [BLANK[row % 3] if rng.random() < 0.1 else cell for cell in cells]
        lines.append([*cells, "x" * int(rng.integers(2)), "dear" if size + 3 * sold > 6 else "cheap"])
    return lines


def write(path, lines):
    pa.csv.write_csv(pa.table([pa.array(column) for column in zip(*lines, strict=True)], names=HEAD), path)
    return path


@pytest.fixture(scope="module")
def priced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("priced")
    config = tabular_mlp.Config(
        data=str(write(folder / "price.csv", table(300))),
        target="price",
        categorical=("rank",),
        out=str(folder / "run"),
        epochs=4,
        members=2,
        width=8,
    )
    run = kf.training.execute(tabular_mlp, config)
    return run, kf.export.bundle(run, folder / "models", name="price")


@pytest.fixture(scope="module")
def run_files(priced):
    """`run_files(cells)`: check that the outputs of both files are equal, and return them."""
    _, bundle = priced
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    loaded = tf.saved_model.load(bundle)
    serve = loaded.signatures["serving_default"]

    def run_files(cells):
        (output,) = session.run(
            None, {name: np.array(x, object if isinstance(x[0], str) else "float32") for name, x in cells.items()}
        )
        (same,) = serve(**{name: tf.constant(x) for name, x in cells.items()}).values()
        np.testing.assert_allclose(same, output, atol=1e-6)
        return output

    run_files.loaded = loaded  # the tables exist as long as `loaded`
    return run_files


def declared(bundle):
    return manifest.read(bundle / "manifest.json")


def as_inputs(bundle, run, path):
    """The cells of a file as a client sends them: numbers as floats, all other cells as texts without blanks."""
    read = table_files.read_table_file(Path(path))
    used = [column for column in run.schema.columns if column.width]
    cells = {}
    for tensor, column in zip(declared(bundle).inputs, used, strict=True):
        values = read[column.name].to_pylist()
        if tensor.dtype == "string":
            cells[tensor.name] = [value or "" for value in values]
        else:
            cells[tensor.name] = [float(value) if value else np.nan for value in values]
    return cells


def test_each_column_is_an_input_with_a_name_that_all_engines_accept(priced):
    run, bundle = priced
    read = declared(bundle)
    assert [(x.name, x.dtype) for x in read.inputs] == [
        ("Size_m_", "float32"),
        ("colour", "string"),
        ("Colour_1", "string"),
        ("since", "string"),
        ("sold", "string"),
        ("probabilities_1", "float32"),
        ("rank", "string"),
        ("income", "string"),
        ("seen", "string"),
        ("gift", "string"),
    ]
    assert all(x.shape == ["batch"] and x.nullable for x in read.inputs)
    assert {column.kind for column in run.schema.columns} == {"number", "category", "date", "boolean"}
    assert [(step.name, step.parameters) for step in read.preprocessing] == [("table_row", {"inputs": "columns"})]
    text = (bundle.parent / "config.pbtxt").read_text()
    assert '{ name: "colour" data_type: TYPE_STRING dims: [1] reshape { shape: [] } }' in text


def test_the_outputs_for_raw_rows_equal_those_of_the_trained_model(priced, run_files, tmp_path):
    run, bundle = priced
    path = write(tmp_path / "new.csv", table(200, seed=1))
    x = encode_rows(run.schema.columns, table_files.read_table_file(path))
    assert np.isnan(x).any()
    expected = run.load_model().predict(x, verbose=0)
    np.testing.assert_allclose(run_files(as_inputs(bundle, run, path)), expected, atol=1e-5)


def test_an_unknown_category_counts_as_missing(priced, run_files):
    run, bundle = priced
    cells = as_inputs(bundle, run, run.settings["data"])
    first = {name: x[:1] for name, x in cells.items()}
    unseen, missing = (run_files(first | {"colour": [text], "rank": [text]}) for text in ("violet", ""))
    assert np.array_equal(unseen, missing)
    known = [run_files(first | {"colour": [text]}) for text in ("rød", "x, y")]
    assert not np.array_equal(*known)


@pytest.mark.parametrize(
    ("name", "text", "quoted"),
    [
        ("since", "2023-02-29", "is not a date"),
        ("since", "yesterday", "is not a date"),
        ("since", "2024-01-31T12:30Z", "is not a date"),
        ("sold", "perhaps", "is not a boolean"),
        ("income", "1.23,4 €", "is not a number"),
        ("income", "12 $", "is not a number"),
        ("seen", "30/02/2024", "is not a date"),
        ("seen", "01/02/2024 13:00 PM", "is not a date"),
    ],
)
def test_a_cell_that_training_refuses_raises_an_error_in_both_files(priced, run_files, name, text, quoted):
    run, bundle = priced
    cells = {key: x[:3] for key, x in as_inputs(bundle, run, run.settings["data"]).items()}
    cells[name] = [cells[name][0], text, ""]
    with pytest.raises(Exception, match=f"running Cast node. Name:'{name} {quoted}"):
        run_files(cells)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"a_cell_of_another_form|string: "):
        run_files.loaded.signatures["serving_default"](**{key: tf.constant(x) for key, x in cells.items()})
    with pytest.raises(UserError, match=quoted):
        tabular.encode_cells(run.schema, {key: np.array(x) for key, x in cells.items()})


def test_a_client_sends_rows_of_numbers_texts_and_missing_values(priced, run_files, tmp_path):
    run, bundle = priced
    cells = as_inputs(bundle, run, write(tmp_path / "new.csv", table(30, seed=2)))
    expected = run_files(cells)
    sent = {name: [None if value in ("",) or value != value else value for value in x] for name, x in cells.items()}
    instances = [dict(zip(sent, row, strict=True)) for row in zip(*sent.values(), strict=True)]
    assert any(value is None for row in instances for value in row.values())
    (tmp_path / "away").mkdir()
    app = App(Repository(bundle.parent.parent, Limits(), ThreadPoolExecutor(1), tmp_path / "away"), Limits())

    def send(handler, **body):
        request = Request({}, asyncio.Event().wait, json.dumps(body).encode(), alone=True)
        response = asyncio.run(handler(app.state, request, name="price"))
        return json.loads(response.body)

    response = send(tensorflow_serving.predict, instances=instances)
    np.testing.assert_allclose(response["predictions"], expected, atol=1e-6)
    kinds = {"float32": "FP32", "string": "BYTES"}
    tensors = [
        {"name": x.name, "shape": [30], "datatype": kinds[x.dtype], "data": sent[x.name]}
        for x in declared(bundle).inputs
    ]
    response = send(open_inference.infer, inputs=tensors)
    np.testing.assert_allclose(np.reshape(response["outputs"][0]["data"], (30, 2)), expected, atol=1e-6)
    for name, text, reason in (
        ("since", "soon", "row 7, column 'since': 'soon' is not a date written as in '"),
        ("income", "12 $", "row 7, column 'income': '12 [$]' is not a number written as in '"),
        ("gift", "no idea", "row 7, column 'gift': 'no idea' is not a boolean"),
    ):
        wrong = [*instances[:7], instances[7] | {name: text}]
        with pytest.raises(ClientError, match=reason):
            send(tensorflow_serving.predict, instances=wrong)
    own_names = {x.name: column for x, column in zip(declared(bundle).inputs, HEAD, strict=False)}
    row = {own_names[name]: value for name, value in instances[3].items()} | {"price": "dear"}
    row |= {"income": -1234.5, "rank": 2, "sold": True, "gift": True}
    as_text = row | {"income": "(1.234,50 €)", "rank": "2", "sold": "yes", "gift": "x"}
    assert send(tensorflow_serving.predict, instances=[row]) == send(tensorflow_serving.predict, instances=[as_text])


def test_decoded_rows_encode_to_the_same_numbers(priced):
    run, bundle = priced
    x = run.samples["x"]
    cells = tabular.decode_rows(run.schema, declared(bundle).inputs, x)
    np.testing.assert_array_equal(tabular.encode_cells(run.schema, cells), x)


def test_verification_detects_a_wrong_table_inside_a_file(priced, tmp_path):
    run, bundle = priced
    read = declared(bundle)
    shutil.copytree(bundle, tmp_path / "1")
    model = run.load_model()
    swapped = [
        msgspec.structs.replace(column, categories=column.categories[::-1]) if column.kind == "category" else column
        for column in run.schema.columns
    ]
    options = kf.export.ExportOptions(opset=tabular.TEXTS_OPSET)
    kf.export.onnx(model, tmp_path / "encoded.onnx", options)
    wrong = msgspec.structs.replace(run.schema, columns=tuple(swapped))
    tabular.prepend_encoding(tmp_path / "encoded.onnx", tmp_path / "model.onnx", wrong, read.inputs)
    expected = verify.ExpectedOutputs("it", read, recorded_cases.load(bundle), 1e-5)
    with pytest.raises(UserError, match="onnx: output probabilities differs from the trained model's"):
        verify.compare_file("onnx", tmp_path / "model.onnx", expected)


def test_only_tables_with_dates_need_a_newer_opset():
    schema = Schema("tabular_regression", "row", (1,), (), (Column("a", "number"), Column("d", "date")))
    assert tabular.required_opset(schema, 18) == tabular.TEXTS_OPSET
    assert tabular.required_opset(msgspec.structs.replace(schema, columns=schema.columns[:1]), 18) == 18


def tensorflow_ids(tokenizer, texts):
    return text_inputs.tensorflow_encoder(tokenizer)[0](tf.constant(texts)).numpy()


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(np.array(text_inputs.EDGE_CASES), vocabulary=1000, length=12)


def test_tensorflow_ids_equal_the_tokenizers_for_edge_cases(tokenizer):
    expected = encode_texts(tokenizer, text_inputs.EDGE_CASES)
    assert np.array_equal(tensorflow_ids(tokenizer, text_inputs.EDGE_CASES), expected)
    assert len(np.unique(expected)) > 25


def test_tensorflow_ids_equal_the_tokenizers_for_all_characters_composed_and_decomposed():
    texts = [f"a{chr(c)}b {chr(c)}" for c in range(1, 0x20000) if not 0xD800 <= c < 0xE000]
    some = train_tokenizer(np.array(texts), vocabulary=500_000, length=30)
    decomposed = [text for c in texts if (text := unicodedata.normalize("NFD", c)) != c]
    expected = encode_texts(some, texts + decomposed)
    assert np.array_equal(tensorflow_ids(some, texts + decomposed), expected)
    assert len(np.unique(expected)) > 90_000


@pytest.mark.parametrize("sample", ["cr\u00e8me", "\u6620\u753b"], ids=["NFC", "NFKC"])
def test_tensorflow_ids_equal_the_tokenizers_for_random_mixtures_of_scripts_and_accents(sample):
    characters = (
        "".join(text_inputs.EDGE_CASES) + "\u0301\u0302\u0323\u064e\u0651\u05bc\u05b0\u11a8\u1161\u0130\u03a3\u212b"
    )
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list(characters), rng.integers(40))) for _ in range(2_000)]
    some = train_tokenizer(np.array([sample] * 1_000 + texts[:1_000]), vocabulary=20_000, length=40)
    assert np.array_equal(tensorflow_ids(some, texts), encode_texts(some, texts))


def test_tensorflow_ids_equal_the_tokenizers_for_a_thousand_real_reviews():
    if not os.path.isdir(os.path.join(os.environ.get("TFDS_DATA_DIR", ""), "imdb_reviews")):
        pytest.skip("TFDS_DATA_DIR does not hold prepared imdb_reviews")
    train, test = (
        [text.decode() for text in tfds.read_split("imdb_reviews", split, None, instead="grammar")["text"][:count]]
        for split, count in (("train", 5_000), ("test", 1_000))
    )
    learned = train_tokenizer(np.array(train, dtype=object), vocabulary=20_000, length=400)
    expected = encode_texts(learned, test)
    assert np.array_equal(tensorflow_ids(learned, test), expected)
    assert len(np.unique(expected)) > 5_000


def test_a_tokenizer_with_other_rules_raises_an_error(tokenizer):
    other = type(tokenizer).from_str(tokenizer.to_str())
    other.normalizer = normalizers.Lowercase()
    with pytest.raises(UserError, match="other rules"):
        text_inputs.tensorflow_encoder(other)


def test_a_saved_model_takes_raw_texts(tmp_path):
    config = imdb_lstm.Config(data="grammar", out=str(tmp_path / "run"), epochs=1, width=8, units=4, vocabulary=50)
    run = kf.training.execute(imdb_lstm, config)
    bundle = kf.export.bundle(run, tmp_path / "models", name="reader")
    (signature,) = declared(bundle).extra_signatures
    assert (signature.name, signature.format, signature.inputs) == ("text", "saved_model", [text_inputs.INPUT])
    assert [record.format for record in kf.export.verify(bundle)] == ["saved_model", "onnx", "saved_model/text"]
    loaded = tf.saved_model.load(bundle)
    texts = ["The plot was not good!", "", "never BORING"]
    (output,) = loaded.signatures["text"](text=tf.constant(texts)).values()
    expected = run.load_model().predict(encode_texts(run.tokenizer, texts), verbose=0)
    np.testing.assert_allclose(output, expected, atol=1e-6)


def writer(folder, **options):
    (folder / "sums.txt").write_text("".join(f"{i} and {i} is {2 * i}.\n" for i in range(1500)))
    sizes = {"epochs": 2, "steps": 20, "layers": 2, "width": 32, "heads": 2, "block_size": 16}
    config = mini_transformer.Config(data=str(folder / "sums.txt"), out=str(folder / "run"), **sizes | options)
    run = kf.training.execute(mini_transformer, config)
    return run, kf.export.bundle(run, folder / "models", name="writer")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return writer(tmp_path_factory.mktemp("written"))


def test_the_caches_of_a_model_that_computes_in_half_precision_are_float32(tmp_path):
    try:
        _, bundle = writer(tmp_path, precision="mixed_bfloat16", steps=5)
    finally:
        keras.config.set_dtype_policy("float32")
    (_, step) = declared(bundle).extra_signatures
    assert {x.dtype for x in step.inputs[2:]} == {x.dtype for x in step.outputs} == {"float32"}


def test_a_language_model_has_a_step_file_and_describes_it_in_the_manifest(written):
    _, bundle = written
    read = declared(bundle)
    step = read.text_generation
    assert (step.file, step.window, step.cache) == ("step.onnx", 16, {"present_1": "past_1", "present_2": "past_2"})
    formats = ["saved_model", "onnx", "saved_model/text", "onnx/step"]
    assert [record.format for record in read.verification] == formats
    assert [record.format for record in kf.export.verify(bundle)] == formats
    assert all(record.max_scaled_difference <= 1e-5 for record in read.verification)
    operators = [node.op_type for node in onnx.load(bundle / "model.onnx").graph.node]
    assert (operators.count("Attention"), operators.count("RotaryEmbedding")) == (2, 4)


def test_two_hundred_characters_of_the_step_file_equal_those_of_generate(written):
    run, bundle = written
    step, characters = declared(bundle).text_generation, run.schema.labels
    session = onnxruntime.InferenceSession(bundle / step.file)
    names = [y.name for y in session.get_outputs()]
    shapes = {x.name: [1, *x.shape[1:]] for x in session.get_inputs()}
    known, seen, text, model = [characters.index(c) for c in "7 and "], 0, "", run.load_model()
    past = {name: np.zeros(shapes[name], "float32") for name in step.cache.values()}
    for _ in range(200):
        feeds = {step.tokens: np.array([known[seen:]], "int32"), step.start: np.array([seen], "int32")}
        outputs = dict(zip(names, session.run(names, feeds | past), strict=True))
        past = {step.cache[name]: outputs[name] for name in step.cache}
        logits = outputs[step.logits][0, -1]
        np.testing.assert_allclose(logits, model(np.array([known]))[0, -1], atol=1e-5)
        seen = len(known)
        known.append(int(logits.argmax()))
        text += characters[known[-1]]
        if len(known) > step.window:
            known, seen = known[-(step.window // 2) :], 0
    assert text == "".join(kf.training.generate(run, "7 and ", length=200, temperature=0))


def test_a_saved_model_predicts_the_next_character_of_a_raw_text(written):
    run, bundle = written
    loaded = tf.saved_model.load(bundle)
    follow = loaded.signatures["text"]
    texts = ["7 and 7 is 1", "1", "and so on, 1200 and 1200 is 24".replace("so on, ", "")]
    outputs = follow(text=tf.constant(texts))["probabilities"].numpy()
    for text, probabilities in zip(texts, outputs, strict=True):
        (character,) = kf.training.generate(run, text, length=1, temperature=0)
        assert run.schema.labels[probabilities.argmax()] == character
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    for text, reason in (("a ß", "never seen"), ("", "empty")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
            follow(text=tf.constant(["1", text]))
