"""The language model recipe: it learns, sees no future, goes on with a text, and gives the same numbers again."""

import keras
import numpy as np
import onnxruntime
import pytest

import kerasfound as kf
from kerasfound import sampling
from kerasfound.errors import UserError
from kerasfound.recipes import mini_transformer

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


def test_it_learns_a_text_of_the_users_own(run):
    guessing = np.log(len(run.schema.labels))
    assert run.results["test"]["cross_entropy"] < 0.6 * guessing
    assert run.history[-1]["val_loss"] < run.history[0]["val_loss"]


def test_before_training_every_character_is_about_as_likely():
    schema = kf.data.SOURCES["stdlib"].schema
    model = mini_transformer.build(schema, mini_transformer.Config(**SMALL))
    ids = np.random.default_rng(0).integers(0, len(schema.labels), (4, 16))
    nats = kf.training.evaluation.surprise(model.predict(ids, verbose=0), ids)
    assert nats.mean() == pytest.approx(np.log(len(schema.labels)), rel=0.3)


def test_no_place_sees_what_follows(run):
    model = run.load_model()
    ids = np.random.default_rng(0).integers(0, 10, (1, 16))
    changed = ids.copy()
    changed[:, 9:] += 1
    before, after = (model.predict(x, verbose=0) for x in (ids, changed))
    assert np.allclose(before[:, :9], after[:, :9], atol=1e-6)
    assert not np.allclose(before[:, 9:], after[:, 9:], atol=1e-3)


def test_evaluating_again_gives_the_recorded_numbers(run):
    assert kf.training.evaluate(run) == pytest.approx(run.results["test"], abs=1e-4)


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_the_cache_changes_nothing_even_when_the_window_is_outgrown(run, temperature):
    one, other = (
        "".join(kf.training.generate(run, "7 and", 60, temperature=temperature, cache=cache)) for cache in (True, False)
    )
    assert len(one) == 60
    assert one == other


def test_the_same_seed_draws_the_same_text_and_another_seed_another(run):
    first, again, other = ("".join(kf.training.generate(run, "1", 40, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(run, text, tmp_path, monkeypatch):
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


def test_draws_follow_the_probabilities():
    logits, rng = np.log([0.5, 0.3, 0.15, 0.05]), np.random.default_rng(0)
    drawn = [sampling.choose(logits, 1.0, None, None, rng) for _ in range(20_000)]
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
def test_top_k_and_top_p_leave_only_the_likeliest(limits, possible):
    logits, rng = np.log([0.5, 0.3, 0.15, 0.05]), np.random.default_rng(0)
    assert {sampling.choose(logits, 1.0, *limits, rng) for _ in range(500)} == possible


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": ""}, "--prompt is empty"),
        ({"prompt": "12 €"}, "the character '€' is not in the text"),
        ({"length": 0}, "--length must be at least 1, got 0"),
        ({"temperature": -0.1}, "--temperature must be at least 0"),
        ({"top_k": 0}, "--top-k must be at least 1"),
        ({"top_p": 1.5}, r"--top-p must be in \[0, 1\], got 1.5"),
    ],
)
def test_settings_that_cannot_be_are_named(run, settings, message):
    with pytest.raises(UserError, match=message):
        kf.training.generate(run, **({"prompt": "1"} | settings))


def test_a_width_that_the_heads_cannot_share_is_named_before_anything_is_written(tmp_path):
    config = mini_transformer.Config(data="stdlib", width=128, heads=3, out=str(tmp_path / "run"))
    with pytest.raises(UserError, match="--width 128 must be an even number times --heads 3"):
        kf.training.execute(mini_transformer, config)
    assert not any(tmp_path.iterdir())


def test_only_language_models_generate(digits_run):
    with pytest.raises(UserError, match="a run for image_classification; generate needs a run of mini_transformer"):
        kf.training.generate(digits_run, "1")


def test_images_are_no_text(tmp_path):
    with pytest.raises(
        UserError, match="--data digits is for image_classification; this recipe is for text_generation"
    ):
        kf.training.execute(mini_transformer, mini_transformer.Config(data="digits", out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_language_model_does_not_classify_files(run):
    with pytest.raises(UserError, match="a language model; `kerasfound generate`"):
        kf.training.predict(run, [])


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs are exported from the TensorFlow backend")
def test_it_is_exported_with_any_batch_and_any_length(run, tmp_path):
    folder = kf.export.bundle(run, tmp_path, name="sums")
    read = kf.bundle.manifest.read(folder / "manifest.json")
    assert [x.shape for x in read.inputs] == [["batch", "time"]]
    assert [y.shape for y in read.outputs] == [["batch", "time", len(run.schema.labels)]]
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    ids = np.random.default_rng(0).integers(0, len(run.schema.labels), (3, 7)).astype("int32")
    (answer,) = session.run(None, {"ids": ids})
    assert np.allclose(answer, run.load_model().predict(ids, verbose=0), atol=1e-5)
