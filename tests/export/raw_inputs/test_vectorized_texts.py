"""Models that begin with `TextVectorization`: the bundle takes texts, as the model does."""

import asyncio
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kerasfound as kf
from kerasfound.bundle import manifest
from kerasfound.errors import UserError
from kerasfound.export.raw_inputs import vectorized_texts
from kerasfound.export.tracing import traced_model
from kerasfound.serving.app import App
from kerasfound.serving.limits import Limits
from kerasfound.serving.model_repository import Repository

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exported from TensorFlow")

VOCABULARY = ["a", "film", "good", "bad", "größe", "映画"]
TEXTS = ["A good film!", "bad, BAD größe", "", "映画 zzz"]


def texts(name="text", shape=(1,)):
    return keras.Input(shape, dtype="string", name=name)


def vectorize(**arguments):
    return layers.TextVectorization(vocabulary=VOCABULARY, **arguments)


def split(model):
    return vectorized_texts.split(model, traced_model.signature(model))


def post(repository, path, body):
    """The response of the server for a repository."""
    with tempfile.TemporaryDirectory() as unloaded:
        app = App(Repository(repository, Limits(), ThreadPoolExecutor(1), unloaded), Limits())
    parts = []

    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message):
        parts.append(message.get("body", b""))

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "client": ("test", 1)}
    asyncio.run(app(scope, receive, send))
    return json.loads(b"".join(parts))


@pytest.mark.slow
def test_the_bundle_of_a_classifier_takes_texts(tmp_path):
    model = keras.Sequential(
        [texts(), vectorize(), layers.Embedding(8, 4), layers.GlobalAveragePooling1D(), layers.Dense(2, "softmax")]
    )
    version = kf.export.bundle(model, tmp_path, "reviews", labels=["no", "yes"])
    written = manifest.read(version / "manifest.json")
    assert [(x.name, x.dtype, x.shape, x.num_ids) for x in written.inputs] == [("text", "int64", ["batch", "time"], 8)]
    assert [record.format for record in kf.export.verify(version)] == ["onnx", "saved_model/serving_default"]

    expected = np.asarray(model(np.array(TEXTS, object)[:, None]))
    loaded = tf.saved_model.load(version)
    (outputs,) = loaded.signatures["serving_default"](tf.constant(TEXTS)[:, None]).values()
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    for rows in (TEXTS, [[text] for text in TEXTS], [{"text": text} for text in TEXTS]):
        answer = post(tmp_path, "/v1/models/reviews:predict", {"instances": rows})
        np.testing.assert_allclose(answer["predictions"], expected, atol=1e-6)
    tensor = {"name": "text", "shape": [4, 1], "datatype": "BYTES", "data": TEXTS}
    answer = post(tmp_path, "/v2/models/reviews/infer", {"inputs": [tensor]})
    np.testing.assert_allclose(np.reshape(answer["outputs"][0]["data"], (4, 2)), expected, atol=1e-6)
    assert "no text has a token" in post(tmp_path, "/v1/models/reviews:predict", {"instances": ["..."]})["error"]


@pytest.mark.slow
def test_the_bundle_of_a_model_with_texts_and_numbers_takes_all_of_them(tmp_path):
    title, body, price = texts("title", ()), texts("body"), keras.Input((2,), name="price")
    words, embed = vectorize(), layers.Embedding(8, 4)
    parts = [
        layers.LSTM(3)(embed(words(title))),
        layers.GlobalMaxPooling1D()(embed(words(body))),
        layers.Dense(2)(vectorize(output_mode="tf_idf", idf_weights=[1.0] * 6, ngrams=2, name="counts")(title)),
        price,
    ]
    model = keras.Model([title, body, price], layers.Dense(1, name="y")(layers.Concatenate()(parts)), name="shop")
    kf.export.bundle(model, tmp_path)
    rows = [["A film", "good good"], ["bad", "a größe"]]
    prices = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    expected = model([np.array(rows)[:, 0], np.array(rows)[:, 1:], prices])
    names = [x.name for x in manifest.read(tmp_path / "shop" / "1" / "manifest.json").inputs]
    assert len(names) == 4
    assert {"body", "price", "counts"} < set(names)
    instances = [
        {name: (body if name == "body" else price if name == "price" else title) for name in names}
        for (title, body), price in zip(rows, prices.tolist(), strict=True)
    ]
    answer = post(tmp_path, "/v1/models/shop:predict", {"instances": instances})
    np.testing.assert_allclose(answer["predictions"], expected, atol=1e-5)


def test_the_rest_of_the_model_has_its_weights_and_leaves_it_as_it_was():
    inner_text = texts()
    preprocess = keras.Model(inner_text, vectorize(output_sequence_length=5)(inner_text))
    text = texts()
    model = keras.Model(text, layers.Dense(1, name="y")(layers.Embedding(8, 2, name="table")(preprocess(text))))
    parts = split(model)
    inputs = {"text": np.array(TEXTS)[:, None]}
    assert parts.encode(inputs)["text"].tolist()[0] == [2, 4, 3, 0, 0]
    model.get_layer("table").set_weights([np.ones((8, 2))])
    np.testing.assert_array_equal(parts.rest(parts.encode(inputs))["y"], model(inputs["text"]))
    assert model.get_layer("table").output.shape == (None, 5, 2)
    assert len(model.get_layer("table")._inbound_nodes) == 1


@pytest.mark.parametrize(
    ("arguments", "shape", "reason"),
    [
        ({"standardize": tf.strings.lower}, (1,), "its standardize is Python code"),
        ({"split": tf.strings.split}, (1,), "its split is Python code"),
        ({"ragged": True}, (1,), "'ragged': True"),
        ({"output_mode": "one_hot"}, (), "'output_mode': 'one_hot'"),
        ({"split": None}, (3,), "it takes texts of shape"),
    ],
)
def test_what_no_server_can_do_is_refused_by_name(arguments, shape, reason):
    text = texts(shape=shape)
    model = keras.Model(text, vectorize(name="words", **arguments)(text))
    signature = traced_model.Signature(traced_model.input_tensors(model), [])
    with pytest.raises(UserError, match='layer "words"') as refused:
        vectorized_texts.split(model, signature)
    assert reason in str(refused.value)


def test_an_onnx_file_alone_is_refused_and_the_bundle_named(tmp_path):
    text = texts()
    with pytest.raises(UserError, match=r"kerasfound\.export\.bundle, which keeps TextVectorization as a step"):
        kf.export.onnx(keras.Model(text, vectorize()(text)), tmp_path / "model.onnx")


def test_a_vectorizer_in_the_code_of_a_model_is_refused():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.words, self.dense = vectorize(output_mode="count"), layers.Dense(1)

        def call(self, text):
            return self.dense(self.words(text))

    model = Own()
    model(tf.constant([["a"]]))
    with pytest.raises(UserError, match="in its own code"):
        vectorized_texts.check_vectorizers(model)
