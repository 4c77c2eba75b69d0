"""The MNIST recipe: it learns, writes a complete run folder, and is reproducible."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import kerasfound as kf
from kerasfound.errors import UserError
from kerasfound.recipes import mnist_cnn


def test_it_learns_the_built_in_digits(digits_run):
    assert digits_run.results["test"]["accuracy"] > 0.95


def test_the_run_folder_is_complete(digits_run):
    names = {path.relative_to(digits_run.folder).as_posix() for path in digits_run.folder.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "results.json",
        "checkpoints/best.npz",
        "checkpoints/last.npz",
        "model.keras",
        "assets/schema.json",
        "assets/samples.npz",
        "plots/curves.svg",
        "plots/confusion.svg",
        "plots/filters.svg",
        "plots/mistakes.svg",
        "report.html",
    }
    assert digits_run.settings["epochs"] == len(digits_run.history) == 6
    assert digits_run.environment["data"]["sha256"] == kf.data.load("digits").sha256


def test_the_report_needs_no_network(digits_run):
    page = digits_run.report_file.read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("data:image/svg+xml;base64,") == 4


def test_the_samples_contain_the_predictions_of_the_trained_model(digits_run):
    samples = digits_run.samples
    outputs = digits_run.load_model().predict(samples["x"], verbose=0)
    assert np.allclose(outputs, samples["prediction"], atol=1e-6)


def test_evaluation_reproduces_the_recorded_metrics(digits_run):
    assert kf.training.evaluate(digits_run) == pytest.approx(digits_run.results["test"], abs=1e-4)


@pytest.mark.slow
def test_the_trained_model_depends_on_the_seed(tmp_path):
    def losses(seed, name):
        config = mnist_cnn.Config(data="digits", epochs=2, seed=seed, out=str(tmp_path / name))
        return [row["loss"] for row in kf.training.execute(mnist_cnn, config).history]

    first = losses(3, "first")
    assert losses(3, "again") == pytest.approx(first, rel=1e-5)
    assert losses(4, "other") != pytest.approx(first, rel=1e-5)


def test_a_model_with_neighbours_averages_over_shifts_by_one_pixel():
    images = kf.data.load("digits")
    network = mnist_cnn.build(images.schema, mnist_cnn.complete(mnist_cnn.Config(width=4), images))
    model = mnist_cnn.with_neighbours(network)
    x = np.random.default_rng(0).integers(0, 17, (3, 8, 8, 1)).astype("float32")
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + 8, k : k + 8] for i, k in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))]
    expected = np.mean([network.predict(view, verbose=0) for view in shifted], axis=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)


def test_one_epoch_of_mnist_reaches_98_percent(tfds_dir, tmp_path):
    config = mnist_cnn.Config(data="mnist", data_dir=tfds_dir, epochs=1, out=str(tmp_path / "run"))
    run = kf.training.execute(mnist_cnn, config)
    assert run.results["test"]["accuracy"] > 0.98
    assert json.loads((run.folder / "environment.json").read_text())["data"]["rows"]["test"] == 10_000


@pytest.mark.slow
def test_it_learns_from_a_folder_of_images(tmp_path):
    digits = kf.data.load("digits")
    for i in range(300):
        image = Image.fromarray(digits.train.x[i].squeeze())
        (tmp_path / "mine" / f"digit {digits.train.y[i]}").mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "mine" / f"digit {digits.train.y[i]}" / f"{i}.png")
    config = mnist_cnn.Config(data=str(tmp_path / "mine"), epochs=15, batch_size=16, shift=1, out=str(tmp_path / "run"))
    run = kf.training.execute(mnist_cnn, config)
    assert run.schema.labels == tuple(f"digit {i}" for i in range(10))
    assert run.results["test"]["accuracy"] > 0.8
    assert kf.training.evaluate(run) == pytest.approx(run.results["test"], abs=1e-4)


def images_of(rows, side):
    """A data set of gray images, of which only the number and the size matter."""
    schema = kf.bundle.Schema(kf.bundle.Task.IMAGE_CLASSIFICATION, "image", (side, side, 1), ("a", "b"))
    split = kf.data.Split(np.zeros((1, side, side, 1)), np.zeros(rows))
    return kf.data.Dataset("mine", "", "", split, split, split, schema)


@pytest.mark.parametrize(
    ("rows", "preset", "batch_size", "epochs"),
    [
        (55_000, "", 144, 3),
        (55_000, "fast", 144, 1),
        (55_000, "best", 144, 10),
        (1197, "", 29, 28),
        (1197, "fast", 29, 9),
        (1197, "best", 29, 93),
        (10, "", 16, 100),
        (1_000_000, "", 144, 1),
    ],
)
def test_presets_scale_by_steps(rows, preset, batch_size, epochs):
    config = mnist_cnn.Config(**mnist_cnn.Config.PRESETS.get(preset, {}))
    chosen = mnist_cnn.complete(config, images_of(rows, 28))
    assert (chosen.batch_size, chosen.epochs) == (batch_size, epochs)


@pytest.mark.parametrize(
    ("side", "blocks", "shift", "color", "neighbours"),
    [(8, 0, 1, 0, True), (28, 0, 1, 0, True), (64, 1, 5, 0.2, False), (224, 1, 16, 0.2, False)],
)
def test_depth_and_augmentation_follow_from_the_size_and_images_are_not_flipped(side, blocks, shift, color, neighbours):
    chosen = mnist_cnn.complete(mnist_cnn.Config(), images_of(1000, side))
    assert (chosen.blocks, chosen.shift, chosen.color, chosen.neighbours) == (blocks, shift, color, neighbours)
    assert not chosen.flip
    given = mnist_cnn.Config(blocks=3, shift=0, color=0.5, neighbours=True, epochs=7, batch_size=5, learning_rate=1e-3)
    assert dataclasses.replace(mnist_cnn.complete(given, images_of(1000, side)), augment=None, patience=None) == given


@pytest.mark.parametrize("side", [8, 28, 33, 64, 100, 224])
def test_the_last_feature_map_has_at_most_eight_pixels_a_side(side):
    images = images_of(1000, side)
    network = mnist_cnn.build(images.schema, mnist_cnn.complete(mnist_cnn.Config(width=1), images))
    last = [layer for layer in network.layers if layer.name.startswith("relu")][-1]
    assert 2 <= last.output.shape[1] <= 8


def photographs(folder, count):
    """Color images of 40 x 40 pixels: a bright bar that lies or stands."""
    rng = np.random.default_rng(0)
    for label, place in (("lies", np.s_[17:23, 5:35]), ("stands", np.s_[5:35, 17:23])):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 120, (40, 40, 3), "uint8")
            pixels[place] += 100
            Image.fromarray(pixels).save(folder / label / f"{i}.png")
    return str(folder)


@pytest.mark.slow
def test_images_on_disk_train_the_same_model_and_training_resumes_bit_for_bit(tmp_path, monkeypatch):
    settings = {"data": photographs(tmp_path / "mine", 20), "epochs": 3, "width": 2, "color": 0.2}

    def losses(run):
        return [(row["loss"], row["val_loss"]) for row in run.history]

    in_memory = kf.training.execute(mnist_cnn, mnist_cnn.Config(**settings, out=str(tmp_path / "memory")))
    monkeypatch.setattr(kf.data.images, "MAX_BYTES_IN_MEMORY", 0)
    config = mnist_cnn.Config(**settings, out=str(tmp_path / "disk"))
    with monkeypatch.context() as patch:
        patch.setattr(kf.training.callbacks.CheckpointLogger, "on_epoch_begin", stop_in_epoch_3)
        with pytest.raises(KeyboardInterrupt):
            kf.training.execute(mnist_cnn, config)
    on_disk = kf.training.resume(mnist_cnn, kf.training.Run.reopen(tmp_path / "disk"))
    assert losses(on_disk) == losses(in_memory)
    assert kf.training.evaluate(on_disk) == on_disk.results["test"] == in_memory.results["test"]


def stop_in_epoch_3(logger, epoch, logs=None):
    if epoch == 2:
        raise KeyboardInterrupt
    logger.started = 0


@pytest.mark.slow
def test_a_residual_network_learns_from_photographs_and_exports(tmp_path):
    settings = {"data": photographs(tmp_path / "mine", 40), "epochs": 12, "width": 4, "batch_size": 8}
    run = kf.training.execute(mnist_cnn, mnist_cnn.Config(**settings, out=str(tmp_path / "run")))
    assert run.schema.shape == (40, 40, 3)
    assert run.results["test"]["accuracy"] > 0.9
    bundle = kf.export.bundle(run, tmp_path / "models")
    assert (bundle / "model.onnx").exists()


def test_a_shift_larger_than_the_image_is_rejected(tmp_path):
    with pytest.raises(UserError, match="`shift` 8 moves images"):
        kf.training.execute(mnist_cnn, mnist_cnn.Config(data="digits", shift=8, out=str(tmp_path / "run")))


@pytest.mark.slow
def test_steps_per_call_do_not_change_the_weights(tmp_path):
    def weights(steps):
        config = mnist_cnn.Config(data="digits", epochs=2, out=str(tmp_path / str(steps)), steps_per_call=steps)
        return kf.training.execute(mnist_cnn, config).load_model().get_weights()

    assert all(np.array_equal(a, b) for a, b in zip(weights(1), weights(4), strict=True))
