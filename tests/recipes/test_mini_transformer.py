"""The language model recipe: it learns, uses no later characters, continues a prompt, and is reproducible."""

import keras
import numpy as np
import onnxruntime
import pytest

import kerasfound as kf
from kerasfound import sampling
from kerasfound.errors import UserError
from kerasfound.recipes import mini_transformer
from kerasfound.training.task_metrics import negative_log_likelihood

pytestmark = pytest.mark.xdist_group("character recipe")  # one worker, so that its models are trained once
TEXT = "".join(f"{i} and {i} is {2 * i}.\n" for i in range(1500))
SMALL = {"epochs": 2, "steps": 20, "layers": 2, "width": 32, "heads": 2, "block_size": 16}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "sums.txt"
    path.write_text(TEXT)
    return str(path)


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("runs") / "run")
    return kf.training.execute(mini_transformer, mini_transformer.Config(data=text, out=out, **SMALL))


def test_it_learns_from_a_text_file(run):
    uniform = np.log(len(run.schema.labels))
    assert run.results["test"]["cross_entropy"] < 0.6 * uniform
    assert run.history[-1]["val_loss"] < run.history[0]["val_loss"]


def test_the_untrained_model_is_close_to_a_uniform_distribution():
    schema = kf.data.SOURCES["stdlib"].schema
    model = mini_transformer.build(schema, mini_transformer.Config(**SMALL))
    ids = np.random.default_rng(0).integers(0, len(schema.labels), (4, 16))
    nats = negative_log_likelihood(model.predict(ids, verbose=0), ids)
    assert nats.mean() == pytest.approx(np.log(len(schema.labels)), rel=0.3)


def test_an_output_does_not_depend_on_later_characters(run):
    model = run.load_model()
    ids = np.random.default_rng(0).integers(0, 10, (1, 16))
    changed = ids.copy()
    changed[:, 9:] += 1
    before, after = (model.predict(x, verbose=0) for x in (ids, changed))
    assert np.allclose(before[:, :9], after[:, :9], atol=1e-6)
    assert not np.allclose(before[:, 9:], after[:, 9:], atol=1e-3)


def test_evaluation_reproduces_the_recorded_metrics(run):
    assert kf.training.evaluate(run) == pytest.approx(run.results["test"], abs=1e-4)


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_the_cache_does_not_change_the_text_even_beyond_the_window(run, temperature):
    cached, recomputed = (
        "".join(kf.training.generate(run, "7 and", 60, temperature=temperature, cache=cache)) for cache in (True, False)
    )
    assert len(cached) == 60
    assert cached == recomputed


def test_the_text_depends_on_the_seed(run):
    first, repeated, different = ("".join(kf.training.generate(run, "1", 40, seed=seed)) for seed in (1, 1, 2))
    assert first == repeated != different


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(run, text, tmp_path, monkeypatch):
    def stop(self, epoch, logs=None):
        save(self, epoch, logs)
        raise KeyboardInterrupt

    save = kf.training.callbacks.CheckpointLogger.on_epoch_end
    monkeypatch.setattr(kf.training.callbacks.CheckpointLogger, "on_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        kf.training.execute(mini_transformer, mini_transformer.Config(data=text, out=str(tmp_path / "half"), **SMALL))
    monkeypatch.undo()
    resumed = kf.training.resume(mini_transformer, kf.training.Run.reopen(tmp_path / "half"))
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in run.history]
    assert np.array_equal(resumed.samples["prediction"], run.samples["prediction"])


def test_samples_follow_the_probabilities():
    logits, rng = np.log([0.5, 0.3, 0.15, 0.05]), np.random.default_rng(0)
    drawn = [sampling.sample_token(logits, 1.0, None, None, rng) for _ in range(20_000)]
    assert np.allclose(np.bincount(drawn) / 20_000, [0.5, 0.3, 0.15, 0.05], atol=0.015)


@pytest.mark.parametrize(
    ("limits", "possible"),
    [
        ((2, None), {0, 1}),
        ((None, 0.79), {0, 1}),
        ((None, 0.81), {0, 1, 2}),
        ((1, 1.0), {0}),
        ((None, 1.0), {0, 1, 2, 3}),
    ],
)
def test_top_k_and_top_p_keep_only_the_most_probable_characters(limits, possible):
    logits, rng = np.log([0.5, 0.3, 0.15, 0.05]), np.random.default_rng(0)
    assert {sampling.sample_token(logits, 1.0, *limits, rng) for _ in range(500)} == possible


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": ""}, "`prompt` is empty"),
        ({"prompt": "12 €"}, "the character '€' is not in the text"),
        ({"length": 0}, "`length` must be at least 1, got 0"),
        ({"temperature": -0.1}, "`temperature` must be at least 0"),
        ({"top_k": 0}, "`top_k` must be at least 1"),
        ({"top_p": 1.5}, r"`top_p` must be in \[0, 1\], got 1.5"),
    ],
)
def test_invalid_settings_are_rejected_by_name(run, settings, message):
    with pytest.raises(UserError, match=message):
        kf.training.generate(run, **({"prompt": "1"} | settings))


def test_a_width_that_does_not_fit_the_heads_is_rejected_before_a_folder_is_created(tmp_path):
    config = mini_transformer.Config(data="stdlib", width=128, heads=3, out=str(tmp_path / "run"))
    with pytest.raises(UserError, match="`width` 128 must be a multiple of twice `heads` 3"):
        kf.training.execute(mini_transformer, config)
    assert not any(tmp_path.iterdir())


def test_only_language_models_can_generate(digits_run):
    with pytest.raises(UserError, match="a run for image_classification; generate needs a run of mini_transformer"):
        kf.training.generate(digits_run, "1")


def test_images_are_rejected_as_a_text(tmp_path):
    message = "`data` digits is for image_classification, not for text_generation; use one for it, such as tiny_shakes"
    with pytest.raises(UserError, match=message):
        kf.training.execute(mini_transformer, mini_transformer.Config(data="digits", out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_language_model_does_not_classify_files(run):
    with pytest.raises(UserError, match="a language model; `kerasfound generate`"):
        kf.training.predict(run, [])


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs are exported from the TensorFlow backend")
def test_it_is_exported_with_dynamic_batch_and_time(run, tmp_path):
    folder = kf.export.bundle(run, tmp_path, name="sums")
    manifest = kf.bundle.manifest.read(folder / "manifest.json")
    assert [x.shape for x in manifest.inputs] == [["batch", "time"]]
    assert [y.shape for y in manifest.outputs] == [["batch", "time", len(run.schema.labels)]]
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    ids = np.random.default_rng(0).integers(0, len(run.schema.labels), (3, 7)).astype("int32")
    (outputs,) = session.run(None, {"ids": ids})
    assert np.allclose(outputs, run.load_model().predict(ids, verbose=0), atol=1e-5)
