"""Every optimizer follows its equation, and equals Keras's if Keras has it: alone, in `fit`, with every option."""

import ast
import inspect
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasfound import optimizers

EXAMPLES = {
    "SGD": lambda: optimizers.SGD(0.05),
    "SGD momentum": lambda: optimizers.SGD(0.05, momentum=0.8),
    "SGD nesterov": lambda: optimizers.SGD(0.05, momentum=0.8, nesterov=True),
    "GradientDescent": lambda: optimizers.GradientDescent(0.05),
    "Momentum": lambda: optimizers.Momentum(0.05, momentum=0.8),
    "Nesterov": lambda: optimizers.Nesterov(0.05, momentum=0.8),
    "Adagrad": lambda: optimizers.Adagrad(0.05),
    "RMSprop": lambda: optimizers.RMSprop(0.01),
    "RMSprop momentum": lambda: optimizers.RMSprop(0.01, momentum=0.5),
    "RMSprop centered": lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "Adam": lambda: optimizers.Adam(0.01, beta_1=0.8),
    "Adam amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "Adam algorithm_1": lambda: optimizers.Adam(0.01, algorithm_1=True),
    "AdamW": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "Lion": lambda: optimizers.Lion(0.01),
    "Muon": lambda: optimizers.Muon(0.01),
    "Muon plain": lambda: optimizers.Muon(
        0.01, exclude_layers=["output"], nesterov=False, rms_rate=None, adam_weight_decay=None, adam_lr_ratio=0.5
    ),
}

# the class in Keras, and its extra arguments
KERAS = {
    "GradientDescent": ("SGD", {}),
    "Momentum": ("SGD", {}),
    "Nesterov": ("SGD", {"nesterov": True}),
    "Adam algorithm_1": (None, {}),
}

OPTIONS = {
    "plain": {},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.1},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "weight_decay": {"weight_decay": 0.05},
    "ema": {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7},
    "accumulation": {"gradient_accumulation_steps": 3},
    "schedule": {"learning_rate": lambda: keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.7)},
    "loss scale": {"loss_scale_factor": 8.0},
}

# one of each equation, with all of its slots, for slow tests
FULL = [
    "GradientDescent",
    "Momentum",
    "SGD nesterov",
    "Adagrad",
    "RMSprop centered",
    "Adam",
    "Adam amsgrad",
    "AdamW",
    "Lion",
    "Muon",
]


def pair(name, *options):
    """Return our optimizer and Keras's with the same settings and the same options."""
    ours = EXAMPLES[name]()
    keras_name, extra = KERAS.get(name, (type(ours).__name__, {}))
    if keras_name is None:
        pytest.skip("Keras has no such optimizer")
    config = ours.get_config()
    config.pop("name")
    for option in options:
        config |= {k: v() if callable(v) else v for k, v in OPTIONS[option].items()}
    theirs = {k: v for k, v in config.items() if k != "algorithm_1"} | extra
    return type(ours)(**config), getattr(keras.optimizers, keras_name)(**theirs)


def fitted_model(optimizer, epochs=4, **compile_options):
    """Return a model after `fit`, with five steps in each epoch."""
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(4, activation="tanh", name="hidden")
    model = keras.Sequential([keras.Input((5,)), hidden, keras.layers.Dense(2, name="output")])
    model.compile(optimizer, "mse", **compile_options)
    return fit_model(model, epochs)


def fit_model(model, epochs):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(15, 5)).astype("float32"), rng.normal(size=(15, 2)).astype("float32")
    model.fit(x, y, batch_size=3, epochs=epochs, shuffle=False, verbose=0)
    return model


def weights_after_steps(optimizer, steps=20):
    """Return the weights after 20 random gradients."""
    rng = np.random.default_rng(2)
    shapes = (4, 3), (3, 5), ()
    variables = [keras.Variable(rng.normal(size=s), dtype="float32", name=f"w{len(s)}") for s in shapes]
    for _ in range(steps):
        optimizer.apply([ops.convert_to_tensor(rng.normal(size=s), "float32") for s in shapes], variables)
    return [ops.convert_to_numpy(v) for v in variables]


def path(optimizer, gradients, start=0.0):
    """Return the values of one weight after each of these gradients."""
    w, values = keras.Variable(np.asarray(start), dtype="float32"), []
    for g in gradients:
        optimizer.apply([ops.convert_to_tensor(g, "float32")], [w])
        values.append(ops.convert_to_numpy(w))
    return np.array(values)


def largest_difference(ours, theirs):
    return max(float(np.max(np.abs(a - b))) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", EXAMPLES)
def test_twenty_steps_equal_keras(name):
    ours, theirs = pair(name)
    assert largest_difference(weights_after_steps(ours), weights_after_steps(theirs)) < 1e-6


@pytest.mark.parametrize("as_mixin", [False, True])
@pytest.mark.parametrize("name", FULL)
def test_a_subclass_with_its_own_update_step_runs_it(name, as_mixin):
    """On torch too, where the class itself runs its torch kernel for all weights at once."""
    ours, same = EXAMPLES[name](), EXAMPLES[name]()
    steps = []

    def update_step(self, gradient, variable, learning_rate):
        steps.append(variable.name)
        type(ours).update_step(self, gradient, variable, learning_rate)

    if as_mixin:
        bases, body = (type("Mixin", (), {"update_step": update_step}), type(same)), {}
    else:
        bases, body = (type(same),), {"update_step": update_step}
    same.__class__ = type("Counting", bases, body)
    assert largest_difference(weights_after_steps(ours), weights_after_steps(same)) < 1e-6
    assert len(steps) == 20 * 3


def test_every_torch_kernel_is_named_by_an_optimizer():
    """Read from the file, since importing it needs torch."""
    source = Path(inspect.getfile(optimizers)).with_name("torch_kernels.py").read_text()
    kernels = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)} - {"update"}
    named = {getattr(optimizers, name).torch_kernel for name in optimizers.__all__} - {None}
    assert named == kernels


# outside of `fit` accumulation compiles in every step on JAX: see below
@pytest.mark.parametrize("option", [o for o in OPTIONS if o not in ("plain", "accumulation")])
@pytest.mark.parametrize("name", FULL)
def test_every_option_has_the_effect_that_it_has_in_keras(name, option):
    ours, theirs = pair(name, option)
    assert largest_difference(weights_after_steps(ours), weights_after_steps(theirs)) < 1e-6


@pytest.mark.parametrize("name", FULL)
def test_fit_equals_keras_with_all_options_at_once(name):
    ours, theirs = pair(name, "global_clipnorm", "weight_decay", "ema", "accumulation", "schedule", "loss scale")
    assert largest_difference(fitted_model(ours).get_weights(), fitted_model(theirs).get_weights()) < 1e-6
    # on JAX a slot that is written without `assign` is silently lost, which leaves plain gradient descent
    slots = [v for v in ours.variables if v.shape and "accumulator" not in v.name]
    assert len(slots) >= 4
    assert all(np.any(ops.convert_to_numpy(slot) != 0) for slot in slots)


@pytest.mark.parametrize("option", OPTIONS)
def test_fit_equals_keras_with_each_option(option):
    ours, theirs = pair("Adam", option)
    assert largest_difference(fitted_model(ours).get_weights(), fitted_model(theirs).get_weights()) < 1e-6


@pytest.mark.parametrize("name", ["SGD nesterov", "RMSprop centered", "Adam", "Lion", "Muon"])
def test_mixed_float16_with_loss_scaling_equals_keras(name):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        ours, theirs = (fitted_model(keras.optimizers.LossScaleOptimizer(o)).get_weights() for o in pair(name))
    finally:
        keras.config.set_dtype_policy("float32")
    assert largest_difference(ours, theirs) < 1e-6


@pytest.mark.parametrize("name", FULL)
def test_a_saved_model_continues_training_with_the_same_numbers(name, tmp_path):
    whole = fitted_model(EXAMPLES[name](), epochs=1, run_eagerly=True)
    whole.save(tmp_path / "half.keras")
    half = keras.saving.load_model(tmp_path / "half.keras")
    assert type(half.optimizer) is type(whole.optimizer)
    assert int(half.optimizer.iterations) == 5
    assert half.optimizer.get_config() == whole.optimizer.get_config()
    assert largest_difference(fit_model(whole, 1).get_weights(), fit_model(half, 1).get_weights()) == 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_config_is_complete(name):
    optimizer = EXAMPLES[name]()
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert set(inspect.signature(type(optimizer)).parameters) - {"kwargs"} <= set(optimizer.get_config())


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Lion", "Muon"])
def test_arguments_are_those_of_keras(name):
    ours = getattr(optimizers, name)
    theirs = inspect.signature(getattr(keras.optimizers, name)).parameters
    arguments = {k: p.default for k, p in theirs.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    ours(**arguments)
    expected = {k: v for k, v in arguments.items() if k != "name"}
    config = ours().get_config() | {"exclude_layers": None}
    assert {k: config[k] for k in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: optimizers.SGD(momentum=1.5), "momentum"),
        (lambda: optimizers.SGD(momentum="much"), "momentum"),
        (lambda: optimizers.SGD(learning_rate="fast"), "learning_rate"),
        (lambda: optimizers.Momentum(momentum=-0.1), "momentum"),
        (lambda: optimizers.Nesterov(momentum=float("nan")), "momentum"),
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1.0), "initial_accumulator_value"),
        (lambda: optimizers.Adagrad(epsilon=0.0), "epsilon"),
        (lambda: optimizers.RMSprop(rho=1.0), "rho"),
        (lambda: optimizers.RMSprop(momentum=2.0), "momentum"),
        (lambda: optimizers.RMSprop(epsilon=-1e-7), "epsilon"),
        (lambda: optimizers.Adam(beta_1=1.0), "beta_1"),
        (lambda: optimizers.Adam(beta_2=None), "beta_2"),
        (lambda: optimizers.Adam(epsilon=0.0), "epsilon"),
        (lambda: optimizers.AdamW(weight_decay=None), "weight_decay"),
        (lambda: optimizers.AdamW(weight_decay=-0.1), "weight_decay"),
        (lambda: optimizers.Lion(beta_1=0.0), "beta_1"),
        (lambda: optimizers.Lion(beta_2=1.1), "beta_2"),
        (lambda: optimizers.Muon(adam_beta_1=1.0), "adam_beta_1"),
        (lambda: optimizers.Muon(momentum=-1.0), "momentum"),
        (lambda: optimizers.Muon(ns_steps=0), "ns_steps"),
        (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), "clipvalue"),
        (lambda: optimizers.Adam(beta_3=0.9), "beta_3"),
    ],
)
def test_a_bad_argument_is_named(make, argument):
    with pytest.raises(ValueError, match=argument):
        make()


def test_gradient_descent_on_a_quadratic_multiplies_weights_by_a_constant():
    w = keras.Variable([1.0, 1.0])
    curvature = np.array([1.0, 4.0], "float32")
    descent = optimizers.GradientDescent(0.1)
    for _ in range(10):
        descent.apply([curvature * w], [w])
    np.testing.assert_allclose(ops.convert_to_numpy(w), (1 - 0.1 * curvature) ** 10, rtol=1e-5)


def test_momentum_with_a_constant_gradient_reaches_the_long_term_step():
    values = path(optimizers.Momentum(0.1, momentum=0.8), [1.0] * 60)
    assert values[-1] - values[-2] == pytest.approx(-0.1 / (1 - 0.8), rel=1e-4)


def test_nesterov_takes_the_gradient_where_the_velocity_leads():
    def slope(w):
        return 3 * w**3

    u, v, mu, alpha = 1.0, 0.0, 0.9, 0.05
    w = keras.Variable(1.0)
    nesterov = optimizers.Nesterov(alpha, momentum=mu)
    for _ in range(15):
        v = mu * v - alpha * slope(u + mu * v)
        u = u + v
        nesterov.apply([slope(w)], [w])
        assert float(w.value) == pytest.approx(u + mu * v, abs=1e-5)


def test_adagrad_steps_fall_like_one_over_the_root_of_time():
    values = path(optimizers.Adagrad(1.0, initial_accumulator_value=0.0), [5.0] * 30)
    np.testing.assert_allclose(-np.diff(values, prepend=0.0), 1 / np.sqrt(np.arange(1, 31)), rtol=1e-4)


@given(scale=st.floats(1.0, 1e4))
@pytest.mark.parametrize("name", ["RMSprop", "RMSprop momentum", "Adam", "Adam amsgrad", "AdamW", "Lion"])
def test_scaling_the_loss_changes_nothing(name, scale):
    gradients = np.array([1.0, -3.0, 0.5, 2.0])
    values, scaled = (path(EXAMPLES[name](), s * gradients) for s in (1.0, scale))
    np.testing.assert_allclose(scaled, values, rtol=1e-3, atol=1e-7)


@given(gradient=st.floats(1e-2, 1e6), sign=st.sampled_from([-1, 1]))
@pytest.mark.parametrize("algorithm_1", [False, True])
def test_adams_first_step_is_the_learning_rate(gradient, sign, algorithm_1):
    adam = optimizers.Adam(0.1, algorithm_1=algorithm_1)
    assert path(adam, [sign * gradient])[0] == pytest.approx(-0.1 * sign, rel=1e-3)


def test_algorithm_1_is_the_papers():
    gradients, w, m, v = np.random.default_rng(3).normal(size=20), 0.0, 0.0, 0.0
    alpha, beta_1, beta_2, epsilon = 0.1, 0.9, 0.999, 0.1
    papers = []
    for t, g in enumerate(gradients, 1):
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)
        w -= alpha * m_hat / (np.sqrt(v_hat) + epsilon)
        papers.append(w)
    np.testing.assert_allclose(
        path(optimizers.Adam(alpha, epsilon=epsilon, algorithm_1=True), gradients), papers, atol=5e-6
    )
    assert np.max(np.abs(path(optimizers.Adam(alpha, epsilon=epsilon), gradients) - papers)) > 1e-2


def test_the_divisor_of_amsgrad_never_shrinks():
    values = path(optimizers.Adam(0.1, beta_2=0.5, amsgrad=True), [100.0] + [1.0] * 40)
    without_amsgrad = path(optimizers.Adam(0.1, beta_2=0.5), [100.0] + [1.0] * 40)
    assert values[-1] > without_amsgrad[-1]  # the large first gradient still keeps the steps small


def test_adamw_decays_all_weights_equally_and_a_penalty_does_not():
    start, gradient, decay = np.array([1.0, 1.0]), np.array([0.0, 10.0]), 0.1
    step = path(optimizers.AdamW(0.01, decay), [gradient], start) - path(optimizers.Adam(0.01), [gradient], start)
    np.testing.assert_allclose(step, [[-0.001, -0.001]], atol=1e-7)
    penalty = path(optimizers.Adam(0.01), [gradient + decay * start], start)
    assert penalty[0][0] == pytest.approx(1 - 0.01, abs=1e-6)  # a full step against the weight without gradient


def test_excluded_weights_do_not_decay():
    bias, kernel = keras.Variable(1.0, name="bias"), keras.Variable(1.0, name="kernel")
    for adamw in (optimizers.AdamW(0.1, 0.5), optimizers.Muon(0.1, adam_weight_decay=0.5)):
        bias.assign(1.0), kernel.assign(1.0)
        adamw.exclude_from_weight_decay(var_names=["bias"])
        adamw.apply([ops.convert_to_tensor(0.0)] * 2, [bias, kernel])
        assert (float(bias.value), float(kernel.value)) == pytest.approx((1.0, 0.95))


def test_lion_moves_every_weight_by_the_learning_rate():
    gradients = np.random.default_rng(4).normal(size=(10, 50)) * np.logspace(-6, 6, 50)
    steps = np.diff(path(optimizers.Lion(0.25), gradients, np.zeros(50)), axis=0)
    np.testing.assert_allclose(np.abs(steps), 0.25)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (5, 5)])
def test_a_step_of_muon_keeps_the_singular_vectors_and_equalizes_the_singular_values(shape):
    G = np.random.default_rng(5).normal(size=shape)
    U, S, Vt = np.linalg.svd(G, full_matrices=False)
    step = -path(optimizers.Muon(1.0, rms_rate=None, weight_decay=None), [G], np.zeros(shape))[0]
    lengths = U.T @ step @ Vt.T
    np.testing.assert_allclose(lengths, np.diag(np.diag(lengths)), atol=1e-3)
    assert np.all((np.diag(lengths) > 0.6) & (np.diag(lengths) < 1.3))
    assert np.max(S) / np.min(S) > 1.5


def test_a_step_of_muon_has_the_size_of_a_step_of_adam():
    G = np.random.default_rng(6).normal(size=(64, 32))
    step = path(optimizers.Muon(1.0, weight_decay=None), [G], np.zeros((64, 32)))[0]
    assert np.sqrt(np.mean(step**2)) == pytest.approx(0.2, rel=0.25)


def test_adam_updates_vectors_embeddings_and_excluded_weights_for_muon():
    muon = optimizers.Muon(0.1, exclude_layers=["head"], adam_weight_decay=None, weight_decay=None)
    names = {"embedding": (3, 2), "head": (2, 3), "bias": (2,), "image": (2, 2, 2)}
    by_adam = [keras.Variable(np.zeros(shape), dtype="float32", name=name) for name, shape in names.items()]
    hidden = keras.Variable(np.zeros((2, 2)), dtype="float32", name="hidden")
    rng = np.random.default_rng(7)
    muon.apply(
        [ops.convert_to_tensor(rng.normal(size=v.shape), "float32") for v in [*by_adam, hidden]], [*by_adam, hidden]
    )
    for variable in by_adam:
        np.testing.assert_allclose(np.abs(ops.convert_to_numpy(variable)), 0.1, rtol=1e-2)
    assert np.ptp(np.abs(ops.convert_to_numpy(hidden))) > 0.01


@pytest.mark.parametrize("name", [n for n in EXAMPLES if n != "Muon plain"])
def test_a_repeated_word_has_the_sum_of_its_gradients(name):
    # on TensorFlow the gradient of an embedding is a list of rows; word 1 has two
    table = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(4, 2, name="embedding")])
    start = table.get_weights()
    table.compile(EXAMPLES[name](), loss=lambda y, x: ops.sum(x, axis=(1, 2)) * 0.5, run_eagerly=True)
    for _ in range(3):
        table.train_on_batch(np.array([[1, 1, 2]]), np.zeros((1, 1)))
    dense = path(EXAMPLES[name](), [np.outer([0, 1.0, 0.5, 0], [1, 1])] * 3, start[0])
    if name.startswith("Muon"):  # it recognizes an embedding by the name
        dense = path(optimizers.Muon(0.01, exclude_layers=[""]), [np.outer([0, 1.0, 0.5, 0], [1, 1])] * 3, start[0])
    np.testing.assert_allclose(table.get_weights()[0], dense[-1], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_weights_of_any_precision_move(name, dtype):
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 by default")
    w = keras.Variable(np.full((2, 2), 0.1), dtype=dtype)
    optimizer = EXAMPLES[name]()
    for _ in range(5):
        optimizer.apply([ops.ones((2, 2), dtype)], [w])
    assert np.all(ops.convert_to_numpy(ops.cast(w, "float32")) < 0.1 - 1e-3)
    assert keras.backend.standardize_dtype(w.dtype) == dtype


def test_a_model_with_averaged_weights_is_trained_again_and_predicts():
    # on JAX weight and average must not share a buffer, because a compiled step deletes its inputs
    x = np.ones((8, 2), "float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizers.Adam(0.01, use_ema=True), "mse")
    for _ in range(2):
        model.fit(x, x[:, :1], verbose=0)
        model.predict(x, verbose=0)
    averages = [v for v in model.optimizer.variables if "average" in v.path]
    for average, weight in zip(averages, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(average), ops.convert_to_numpy(weight))
