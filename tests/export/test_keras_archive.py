"""Model files are read as untrusted data; other kinds of files are named."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import kerasfound as kf
from kerasfound.errors import UserError


def small(*more):
    return keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="relu"), layers.Dropout(0.5), *more])


@pytest.fixture
def h5(tmp_path):
    """Saves a model to an older file."""

    def save(model):
        model.save(tmp_path / "old.h5")
        return tmp_path / "old.h5"

    return save


def test_an_h5_file_is_loaded(h5):
    model = small(layers.BatchNormalization())
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(kf.export.load(h5(model))(x), model(x))


def test_an_h5_file_with_code_is_refused(h5):
    with pytest.raises(UserError, match="holds code"):
        kf.export.load(h5(small(layers.Lambda(lambda x: x + 1))))


def test_an_h5_file_with_a_class_of_your_own_is_refused(h5):
    class Own(layers.Layer):
        pass

    with pytest.raises(UserError, match=r"'Own', which is unknown here.*kerasfound\.export\.bundle"):
        kf.export.load(h5(small(Own())))


def test_an_h5_file_that_leads_to_another_file_is_refused(h5, tmp_path):
    file = h5(small())
    with h5py.File(file, "a") as opened:
        opened["model_weights/secret"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(UserError, match="leads to another file"):
        kf.export.load(file)
    (tmp_path / "raw.bin").write_bytes(b"12345678")
    file = h5(small())
    with h5py.File(file, "a") as opened:
        opened.create_dataset("model_weights/raw", (2,), "float32", external=[(str(tmp_path / "raw.bin"), 0, 8)])
    with pytest.raises(UserError, match="leads to another file"):
        kf.export.load(file)


def test_an_h5_file_that_expands_to_far_more_is_refused(h5):
    file = h5(small())
    with h5py.File(file, "a") as opened:
        opened.create_dataset("model_weights/zeros", (1 << 30,), "float32", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(UserError, match="expands to"):
        kf.export.load(file)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.weights.h5", "holds weights without a model"),
        ("model.pb", "is a TensorFlow graph"),
        ("model.pt", "is a PyTorch file"),
        ("model.PTH", "is a PyTorch file"),
        ("model.onnx", "is exported already"),
        ("model.pkl", "is a pickle"),
        ("model.zip", "is not a .keras file"),
        ("saved_model", "is a SavedModel"),
        ("model.keras", "cannot be loaded"),
        ("model.h5", "cannot be loaded"),
    ],
)
def test_every_other_kind_of_file_is_named_in_one_line(tmp_path, name, reason):
    file = tmp_path / name
    if name == "saved_model":
        file.mkdir()
    (file / "saved_model.pb" if file.is_dir() else file).write_bytes(b"nothing")
    with pytest.raises(UserError) as refused:
        kf.export.load(file)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_weights_in_an_h5_file_with_another_name_are_named_too(tmp_path):
    small().save_weights(tmp_path / "my.weights.h5")
    (tmp_path / "my.weights.h5").rename(tmp_path / "my.h5")
    with pytest.raises(UserError, match="holds weights without a model"):
        kf.export.load(tmp_path / "my.h5")
