"""Every block can be saved and cloned and works in half precision; layers have dynamic dimensions and are exported."""

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

pytestmark = pytest.mark.xdist_group("every block")  # one worker: its fixture trains and saves all blocks

HERE = Path(__file__).parent
FILES = {
    "layers": sorted(HERE.glob("layers/test_*.py")),
    "optimizers": sorted(HERE.glob("optimizers/test_*.py")),
    **{package: [HERE / f"test_{package}.py"] for package in ("losses", "schedules", "initializers")},
}
OVER_TIME = {"test_attention", "test_position", "test_recurrent", "test_text", "test_transformer"}
"""The test files of layers with inputs (batch, time, ...)."""
NOT_IN_ONNX: dict[str, str] = {}
"""Example -> the operation that ONNX lacks. The error of the export must name it."""
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
STEPS = 2
POLICIES = {"mixed_float16": 5e-3, "mixed_bfloat16": 4e-2}
"""Policy -> the largest relative difference from float32: a few rounding errors."""


def examples():
    """Collect the examples: (package, name of the example, file) -> function that creates the example."""
    makers = {}
    for package, files in FILES.items():
        for file in (file for file in files if file.exists()):
            spec = importlib.util.spec_from_file_location(f"examples_of_{file.stem}", file)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            makers |= {(package, name, file.stem): make for name, make in getattr(module, "EXAMPLES", {}).items()}
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    for name, function in public("activations").items():
        if hasattr(function, "derivative"):
            makers["activations", name, "activations"] = lambda function=function: (
                keras.layers.Activation(function),
                x,
            )
    return makers


def public(package):
    """The public names of `kerasfound.<package>` that kerasfound defines."""
    names = vars(importlib.import_module(f"kerasfound.{package}")).items()
    ours = {name: block for name, block in names if getattr(block, "__module__", "").startswith("kerasfound")}
    return {name: block for name, block in ours.items() if not name.startswith("_")}


def examples_of(*packages):
    return [pytest.param(key, id=f"{key[0]} {key[1]}") for key in EXAMPLES if key[0] in packages]


def perturbed(weights, seed=0):
    """Return weights that look trained: an initial bias of 0 or scale of 1 would hide that it is lost."""
    rng = np.random.default_rng(seed)
    return [w + rng.uniform(0.1, 0.5, w.shape).astype("float32") if w.dtype == "float32" else w for w in weights]


def model_around(layer, inputs, over_time=False):
    """The layer in a functional model with a dynamic batch size and, over time, a dynamic length."""
    known = 2 if over_time else 1
    shapes = [(None,) * known + x.shape[known:] for x in inputs]
    tensors = [
        keras.Input(batch_shape=shape, dtype=x.dtype, name=f"x{i}")
        for i, (shape, x) in enumerate(zip(shapes, inputs, strict=True))
    ]
    model = keras.Model(one_or_all(tensors), layer(*tensors))
    model.set_weights(perturbed(model.get_weights()))
    return model


def one_or_all(inputs):
    return inputs if len(inputs) > 1 else inputs[0]


@functools.cache
def layer_model(key, policy="float32"):
    keras.utils.set_random_seed(0)  # the error of half precision depends on the weights
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
    """Training data for any loss: class numbers for sparse losses, else one-hot rows, which are also probabilities."""
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    classes = np.arange(6) % 3
    return x, classes if "Sparse" in type(loss).__name__ else np.eye(3, dtype="float32")[classes]


def training_model(key):
    """A model that trains with the example as its loss, its optimizer or the schedule of its optimizer."""
    package, block = key[0], EXAMPLES[key]()
    loss = block if package == "losses" else "mse"
    activation = "sigmoid" if "Binary" in type(loss).__name__ else "softmax"
    activation = None if getattr(loss, "from_logits", False) else activation
    optimizer = block if package == "optimizers" else keras.optimizers.SGD(block if package == "schedules" else 0.1)
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(3, activation, name="output")(keras.layers.Dense(5)(inputs))
    model = keras.Model(inputs, outputs)
    model.set_weights(perturbed([np.zeros(w.shape, "float32") for w in model.weights]))
    model.compile(optimizer, loss, run_eagerly=True, jit_compile=False)
    return model


def numbers(y):
    return [keras.ops.convert_to_numpy(t) for t in keras.tree.flatten(y)]


def outputs_of(model, inputs):
    return numbers(model(one_or_all(inputs), training=False))


def trained(model, steps=STEPS):
    """Train a few more steps; return the losses and the weights."""
    x, y = training_data(model.loss)
    losses = [np.asarray(model.train_on_batch(x, y)) for _ in range(steps)]
    return [*losses, *numbers(model.weights)]


def first_weights(model):
    return numbers(model.layers[-1].kernel_initializer((4, 5)))


def model_starting_with(key):
    """A layer with the initializer and a seed: the same seed gives the same weights."""
    block = EXAMPLES[key]()
    seeded = type(block).from_config(block.get_config() | {"seed": 7})
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, kernel_initializer=seeded)])


def assert_equal(actual, expected, tolerance=1e-6):
    assert len(actual) == len(expected)
    for y, y_expected in zip(actual, expected, strict=True):
        y, y_expected = np.asarray(y, "float64"), np.asarray(y_expected, "float64")
        assert y.shape == y_expected.shape
        assert np.abs(y - y_expected).max() <= tolerance * max(np.abs(y_expected).max(), 1e-3)


def run_saved_models(folder):
    """In a separate process: load every model of the folder and save its outputs."""
    for file in sorted(Path(folder).glob("*.keras")):
        model = keras.models.load_model(file)
        package = file.name.split()[0]
        if package in ("layers", "activations"):
            results = outputs_of(model, list(np.load(file.with_suffix(".inputs.npz")).values()))
        else:
            results = first_weights(model) if package == "initializers" else trained(model)
        np.savez(file.with_suffix(".results.npz"), *results)


EXAMPLES = examples()

if __name__ == "__main__":
    run_saved_models(sys.argv[1])
    sys.exit()


@pytest.fixture(scope="module")
def fresh_process(tmp_path_factory):
    """The results of the saved models in a new process, and the results in this process."""
    folder, expected = tmp_path_factory.mktemp("saved"), {}
    for key in EXAMPLES:
        file = folder / f"{key[0]} {key[1]}.keras"
        if key[0] in ("layers", "activations"):
            model, inputs = layer_model(key)
            np.savez(file.with_suffix(".inputs.npz"), *inputs)
            model.save(file)
            expected[key] = outputs_of(model, inputs)
        elif key[0] == "initializers":
            model = model_starting_with(key)
            model.save(file)
            expected[key] = first_weights(model)
        else:
            model = training_model(key)
            trained(model, steps=1)  # so that an optimizer has a state to save
            model.save(file)
            expected[key] = trained(model)
    subprocess.run([sys.executable, __file__, folder], check=True)
    files = {key: folder / f"{key[0]} {key[1]}.results.npz" for key in EXAMPLES}
    return {key: (list(np.load(files[key]).values()), expected[key]) for key in EXAMPLES}


@pytest.mark.parametrize("package", FILES)
def test_every_public_block_has_an_example(package):
    kinds = keras.layers.Layer, keras.losses.Loss, keras.optimizers.Optimizer, keras.initializers.Initializer
    kinds = (*kinds, keras.optimizers.schedules.LearningRateSchedule)
    blocks = {name for name, block in public(package).items() if isinstance(block, type) and issubclass(block, kinds)}
    names = {name.split()[0] for r, name, _ in EXAMPLES if r == package}
    assert blocks
    assert not blocks - names


@pytest.mark.slow
@pytest.mark.parametrize("key", examples_of(*FILES))
def test_a_fresh_process_continues_where_this_one_saved(key, fresh_process):
    assert_equal(*fresh_process[key])


@pytest.mark.parametrize("key", examples_of("layers", "activations"))
def test_a_clone_with_the_same_weights_has_the_same_outputs(key):
    model, inputs = layer_model(key)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert_equal(outputs_of(clone, inputs), outputs_of(model, inputs))
    layer = model.layers[-1]
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("key", examples_of("losses", "optimizers", "schedules", "initializers"))
def test_the_config_is_complete(key):
    """It has every argument of the constructor, except the dtype of a loss, which Keras omits too."""
    block = EXAMPLES[key]()
    restored = type(block).from_config(block.get_config())
    assert restored.get_config() == block.get_config()
    arguments = set(inspect.signature(type(block).__init__).parameters) - {"self", "args", "kwargs", "dtype"}
    assert arguments <= set(block.get_config())


@pytest.mark.parametrize("key", examples_of("layers", "activations"))
def test_dynamic_dimensions(key):
    """Of batch and, over time, length; the output of an example does not depend on other examples."""
    model, inputs = layer_model(key)
    assert {shape[0] for shape in keras.tree.map_shape_structure(tuple, [model.output_shape])} == {None}
    alone = outputs_of(model, [x[:1] for x in inputs])
    assert_equal(alone, [y[:1] for y in outputs_of(model, inputs)])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("key", examples_of("layers", "activations"))
def test_half_precision_stays_close(key, policy):
    full, inputs = layer_model(key)
    half, _ = layer_model(key, policy)
    half.set_weights(full.get_weights())

    outputs = half(one_or_all(inputs), training=False)
    for y in keras.tree.flatten(outputs):
        dtype = keras.backend.standardize_dtype(y.dtype)
        assert dtype == "int32" or dtype == keras.DTypePolicy(policy).compute_dtype
    y = numbers(keras.tree.map_structure(lambda y: keras.ops.cast(y, "float32"), outputs))
    assert_equal(y, outputs_of(full, inputs), POLICIES[policy])


@functools.cache
def trained_in_float32(key):
    return trained(training_model(key))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("key", examples_of("losses", "optimizers", "schedules"))
def test_half_precision_trains_like_float32(key, policy):
    with using(policy):
        half = trained(training_model(key))
    full = trained_in_float32(key)
    assert all(np.isfinite(x).all() for x in half)
    assert_equal(half[:STEPS], full[:STEPS], 2 * POLICIES[policy])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("key", examples_of("initializers"))
def test_initializers_have_the_requested_dtype(key, dtype):
    y = EXAMPLES[key]()((4, 5), dtype=dtype)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert np.isfinite(numbers(keras.ops.cast(y, "float32"))).all()


@pytest.mark.skipif(not ON_TENSORFLOW, reason="graphs are exported from the TensorFlow backend")
@pytest.mark.parametrize("key", examples_of("layers", "activations"))
def test_exported_graphs_have_the_same_outputs(key, tmp_path):
    """Also at a batch size and a length that differ from the export."""
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
        assert_equal([found[name] for name in model.output_names], outputs_of(model, given), 1e-5)

    if key[1] in NOT_IN_ONNX:
        with pytest.raises(UserError, match=NOT_IN_ONNX[key[1]]):
            convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
        return
    convert.save_onnx(convert.trace_for_onnx(model), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for given in (inputs, shorter):
        found = session.run(model.output_names, dict(zip(names, given, strict=True)))
        assert_equal(found, outputs_of(model, given), 1e-5)
