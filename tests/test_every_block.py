"""What is asked of every block alike: saved, cloned, in half precision, of unknown size or exported, it is the same."""

import contextlib
import functools
import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasfound.errors import UserError
from kerasfound.export import saved_model_writer

pytestmark = pytest.mark.xdist_group("every block")  # one worker: its fixture trains and saves them all

HERE = Path(__file__).parent
FILES = {
    "layers": sorted(HERE.glob("layers/test_*.py")),
    "optimizers": sorted(HERE.glob("optimizers/test_*.py")),
    **{room: [HERE / f"test_{room}.py"] for room in ("losses", "schedules", "initializers")},
}
OVER_TIME = {"test_attention", "test_position", "test_recurrent", "test_text", "test_transformer"}
"""The files whose layers take (batch, time, ...)."""
NOT_IN_ONNX: dict[str, str] = {}
"""Example to the operation that ONNX has not: exporting it must end in an error that names it."""
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
STEPS = 2
POLICIES = {"mixed_float16": 5e-3, "mixed_bfloat16": 4e-2}
"""Policy to how far from float32 an output may be, relative to its scale: a few roundings."""


def gather():
    """(room, name of the example, file) to the example's maker."""
    found = {}
    for room, files in FILES.items():
        for file in (file for file in files if file.exists()):
            spec = importlib.util.spec_from_file_location(f"examples_of_{file.stem}", file)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            found |= {(room, name, file.stem): make for name, make in getattr(module, "EXAMPLES", {}).items()}
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    for name, function in public("activations").items():
        if hasattr(function, "derivative"):
            found["activations", name, "activations"] = lambda function=function: (keras.layers.Activation(function), x)
    return found


def public(room):
    """The names of a module that are the package's own."""
    names = vars(importlib.import_module(f"kerasfound.{room}")).items()
    ours = {name: block for name, block in names if getattr(block, "__module__", "").startswith("kerasfound")}
    return {name: block for name, block in ours.items() if not name.startswith("_")}


def of(*rooms):
    return [pytest.param(key, id=f"{key[0]} {key[1]}") for key in EXAMPLES if key[0] in rooms]


def shaken(weights, seed=0):
    """Weights as after training: an untrained bias of 0 or scale of 1 would hide what is lost."""
    rng = np.random.default_rng(seed)
    return [w + rng.uniform(0.1, 0.5, w.shape).astype("float32") if w.dtype == "float32" else w for w in weights]


def model_around(layer, inputs, over_time=False):
    """The layer in a functional model that knows neither the batch size nor, over time, the length."""
    known = 2 if over_time else 1
    shapes = [(None,) * known + x.shape[known:] for x in inputs]
    tensors = [
        keras.Input(batch_shape=shape, dtype=x.dtype, name=f"x{i}")
        for i, (shape, x) in enumerate(zip(shapes, inputs, strict=True))
    ]
    model = keras.Model(one_or_all(tensors), layer(*tensors))
    model.set_weights(shaken(model.get_weights()))
    return model


def one_or_all(inputs):
    return inputs if len(inputs) > 1 else inputs[0]


@functools.cache
def layer_model(key, policy="float32"):
    keras.utils.set_random_seed(0)  # how far half precision is off depends on the weights
    with using(policy):
        layer, inputs = EXAMPLES[key]()
        inputs = inputs if isinstance(inputs, list) else [inputs]
        return model_around(layer, inputs, over_time=key[2] in OVER_TIME), inputs


@contextlib.contextmanager
def using(policy):
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def training_data(loss):
    """Something to learn for any loss: class numbers where it counts classes, otherwise one-hot rows, which also are
    probabilities, targets and labels."""
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    classes = np.arange(6) % 3
    return x, classes if "Sparse" in type(loss).__name__ else np.eye(3, dtype="float32")[classes]


def training_model(key):
    """A model that trains with the example as its loss, its optimizer or the schedule of its optimizer."""
    room, block = key[0], EXAMPLES[key]()
    loss = block if room == "losses" else "mse"
    activation = "sigmoid" if "Binary" in type(loss).__name__ else "softmax"
    activation = None if getattr(loss, "from_logits", False) else activation
    optimizer = block if room == "optimizers" else keras.optimizers.SGD(block if room == "schedules" else 0.1)
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(3, activation, name="output")(keras.layers.Dense(5)(inputs))
    model = keras.Model(inputs, outputs)
    model.set_weights(shaken([np.zeros(w.shape, "float32") for w in model.weights]))
    model.compile(optimizer, loss, run_eagerly=True, jit_compile=False)
    return model


def numbers(y):
    return [keras.ops.convert_to_numpy(t) for t in keras.tree.flatten(y)]


def answers(model, inputs):
    return numbers(model(one_or_all(inputs), training=False))


def trained(model, steps=STEPS):
    """Losses and weights of a few more steps."""
    x, y = training_data(model.loss)
    losses = [np.asarray(model.train_on_batch(x, y)) for _ in range(steps)]
    return [*losses, *numbers(model.weights)]


def first_weights(model):
    return numbers(model.layers[-1].kernel_initializer((4, 5)))


def model_starting_with(key):
    """The initializer in a layer, with a seed: two of the same seed begin alike."""
    block = EXAMPLES[key]()
    seeded = type(block).from_config(block.get_config() | {"seed": 7})
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, kernel_initializer=seeded)])


def equal(found, wanted, tolerance=1e-6):
    assert len(found) == len(wanted)
    for y, y_wanted in zip(found, wanted, strict=True):
        y, y_wanted = np.asarray(y, "float64"), np.asarray(y_wanted, "float64")
        assert y.shape == y_wanted.shape
        assert np.abs(y - y_wanted).max() <= tolerance * max(np.abs(y_wanted).max(), 1e-3)


def answer_everything(folder):
    """In a process of its own: load every model of the folder and write down what it does."""
    for file in sorted(Path(folder).glob("*.keras")):
        model = keras.models.load_model(file)
        room = file.name.split()[0]
        if room in ("layers", "activations"):
            found = answers(model, list(np.load(file.with_suffix(".inputs.npz")).values()))
        else:
            found = first_weights(model) if room == "initializers" else trained(model)
        np.savez(file.with_suffix(".found.npz"), *found)


EXAMPLES = gather()

if __name__ == "__main__":
    answer_everything(sys.argv[1])
    sys.exit()


@pytest.fixture(scope="module")
def fresh_process(tmp_path_factory):
    """What a new process answers, trains and starts with, from the models saved here; and what this one does."""
    folder, wanted = tmp_path_factory.mktemp("saved"), {}
    for key in EXAMPLES:
        file = folder / f"{key[0]} {key[1]}.keras"
        if key[0] in ("layers", "activations"):
            model, inputs = layer_model(key)
            np.savez(file.with_suffix(".inputs.npz"), *inputs)
            model.save(file)
            wanted[key] = answers(model, inputs)
        elif key[0] == "initializers":
            model = model_starting_with(key)
            model.save(file)
            wanted[key] = first_weights(model)
        else:
            model = training_model(key)
            trained(model, steps=1)  # so that an optimizer has something to remember
            model.save(file)
            wanted[key] = trained(model)
    subprocess.run([sys.executable, __file__, folder], check=True)
    found = {key: folder / f"{key[0]} {key[1]}.found.npz" for key in EXAMPLES}
    return {key: (list(np.load(found[key]).values()), wanted[key]) for key in EXAMPLES}


@pytest.mark.parametrize("room", FILES)
def test_every_public_block_has_an_example(room):
    kinds = keras.layers.Layer, keras.losses.Loss, keras.optimizers.Optimizer, keras.initializers.Initializer
    kinds = (*kinds, keras.optimizers.schedules.LearningRateSchedule)
    blocks = {name for name, block in public(room).items() if isinstance(block, type) and issubclass(block, kinds)}
    shown = {name.split()[0] for r, name, _ in EXAMPLES if r == room}
    assert blocks
    assert not blocks - shown


@pytest.mark.parametrize("key", of(*FILES))
def test_a_fresh_process_continues_where_this_one_saved(key, fresh_process):
    equal(*fresh_process[key])


@pytest.mark.parametrize("key", of("layers", "activations"))
def test_a_clone_with_the_same_weights_answers_alike(key):
    model, inputs = layer_model(key)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    equal(answers(clone, inputs), answers(model, inputs))
    layer = model.layers[-1]
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("key", of("losses", "optimizers", "schedules", "initializers"))
def test_the_config_is_complete(key):
    """Every argument of the constructor is in it; but not a loss's dtype, which Keras leaves out too."""
    block = EXAMPLES[key]()
    again = type(block).from_config(block.get_config())
    assert again.get_config() == block.get_config()
    arguments = set(inspect.signature(type(block).__init__).parameters) - {"self", "args", "kwargs", "dtype"}
    assert arguments <= set(block.get_config())


@pytest.mark.parametrize("key", of("layers", "activations"))
def test_sizes_may_be_unknown(key):
    """Of the batch, and over time of the length; then each example is answered by itself."""
    model, inputs = layer_model(key)
    assert {shape[0] for shape in keras.tree.map_shape_structure(tuple, [model.output_shape])} == {None}
    alone = answers(model, [x[:1] for x in inputs])
    equal(alone, [y[:1] for y in answers(model, inputs)])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("key", of("layers", "activations"))
def test_half_precision_stays_close(key, policy):
    full, inputs = layer_model(key)
    half, _ = layer_model(key, policy)
    half.set_weights(full.get_weights())

    outputs = half(one_or_all(inputs), training=False)
    for y in keras.tree.flatten(outputs):
        dtype = keras.backend.standardize_dtype(y.dtype)
        assert dtype == "int32" or dtype == keras.DTypePolicy(policy).compute_dtype
    found = numbers(keras.tree.map_structure(lambda y: keras.ops.cast(y, "float32"), outputs))
    equal(found, answers(full, inputs), POLICIES[policy])


@functools.cache
def trained_in_float32(key):
    return trained(training_model(key))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("key", of("losses", "optimizers", "schedules"))
def test_half_precision_trains_as_float32_does(key, policy):
    with using(policy):
        half = trained(training_model(key))
    full = trained_in_float32(key)
    assert all(np.isfinite(x).all() for x in half)
    equal(half[:STEPS], full[:STEPS], 2 * POLICIES[policy])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("key", of("initializers"))
def test_initializers_obey_the_dtype(key, dtype):
    y = EXAMPLES[key]()((4, 5), dtype=dtype)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert np.isfinite(numbers(keras.ops.cast(y, "float32"))).all()


@pytest.mark.skipif(not ON_TENSORFLOW, reason="graphs are exported from the TensorFlow backend")
@pytest.mark.parametrize("key", of("layers", "activations"))
def test_exported_graphs_answer_alike(key, tmp_path):
    """Also at a batch size and a length that were not there when they were exported."""
    import onnxruntime
    import tensorflow as tf

    from kerasfound.export.converter import convert  # the test itself compares the files with the model
    from kerasfound.export.tracing import traced_model

    model, inputs = layer_model(key)
    shorter = [x[:1, :-1] if key[2] in OVER_TIME else x[:1] for x in inputs]
    names = [x.name for x in model.inputs]

    saved_model_writer.write_saved_model(traced_model.trace_model(model), tmp_path / "saved_model")
    signature = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    for given in (inputs, shorter):
        found = signature(**{name: tf.constant(x) for name, x in zip(names, given, strict=True)})
        equal([found[name] for name in model.output_names], answers(model, given), 1e-5)

    if key[1] in NOT_IN_ONNX:
        with pytest.raises(UserError, match=NOT_IN_ONNX[key[1]]):
            convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
        return
    convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for given in (inputs, shorter):
        found = session.run(model.output_names, dict(zip(names, given, strict=True)))
        equal(found, answers(model, given), 1e-5)
