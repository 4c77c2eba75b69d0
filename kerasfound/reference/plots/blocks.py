"""The plot of a block: `kerasfound explain NAME --plot FILE`."""

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import matplotlib
import numpy as np
from keras import ops
from matplotlib.figure import Figure

from kerasfound import schedules
from kerasfound.errors import UserError

from ..catalog import Block, blocks
from ..names import search_key
from .layers import LAYERS
from .style import STYLE, new_figure, to_numpy


def draw(block: Block, subject: Any) -> Figure:
    """Draw `block`; if `subject` is an instance, with the settings of that instance."""
    with matplotlib.rc_context(STYLE):
        if block.kind in KINDS:
            return KINDS[block.kind](block, subject)
        if block.name in LAYERS:
            return LAYERS[block.name]()
        if block.kind == "layer" and (function := _function_of(block)):
            return _activation_layer(block, subject, function)
    raise UserError(f'the block "{block.name}" has no plot. Blocks of these kinds have one: layer, {", ".join(KINDS)}.')


def activation(block: Block, subject: Any) -> Figure:
    """The function and its derivative, with its default arguments."""
    return _function(block.name, block.object)


def _function_of(block: Block) -> Callable | None:
    """The activation function with the name of the layer, or None."""
    activations = (known for known in blocks() if known.kind == "activation")
    return next((a.object for a in activations if search_key(a.name) == search_key(block.name)), None)


def _activation_layer(block: Block, subject: Any, function: Callable) -> Figure:
    config = (block.object() if subject is block.object else subject).get_config()
    arguments = [name for name in inspect.signature(function).parameters if name in config]
    return _function(block.name, function, **{name: config[name] for name in arguments})


def _function(name: str, function: Any, **settings: Any) -> Figure:
    """Value and derivative of an activation; both lines are broken at the kinks."""
    x = np.linspace(-4, 4, 801).astype("float32")
    is_softmax = function.__name__ in ("softmax", "log_softmax")
    scores = np.stack([x, np.zeros_like(x)], axis=-1) if is_softmax else x
    y, slope = to_numpy(function(scores, **settings)), to_numpy(function.derivative(scores, **settings))
    if is_softmax:
        y, slope = y[:, 0], slope[:, 0]
    title = ", ".join(f"{setting} = {value}" for setting, value in settings.items() if setting != "axis")
    figure, axes = new_figure(f"{name} of the first of two scores; the second is 0" if is_softmax else name)
    axes.set_title(title, fontsize=9, loc="left")
    for values, style, label in ((y, "-", "value"), (slope, "--", "derivative")):
        for left, right in pairwise([-np.inf, *function.kinks, np.inf]):
            inside = (x > left) & (x < right)
            color = "C0" if label == "value" else "C1"
            axes.plot(x[inside], values[inside], style, color=color, lw=2, label=label if left == -np.inf else None)
    for i, kink in enumerate(function.kinks):
        axes.axvline(kink, color="C3", ls=":", lw=1.2, zorder=1, label="kink" if i == 0 else None)
    axes.set(xlabel="x", xlim=(-4, 4), ylim=(max(y.min(), -4) - 0.3, min(max(y.max(), slope.max()), 4) + 0.3))
    axes.legend()
    return figure


def initializer(block: Block, subject: Any) -> Figure:
    """A histogram of the initial weights of a layer from 400 units to 200."""
    initialize = block.object(seed=0) if subject is block.object else subject
    weights = to_numpy(initialize((400, 200))).ravel()
    figure, axes = new_figure(f"{block.name}, the weights of a layer from 400 units to 200")
    axes.hist(weights, bins=80, density=True, color="C0", alpha=0.75)
    for side in (-1, 1):
        axes.axvline(side * weights.std(), color="C3", ls="--", label="standard deviation" if side == 1 else None)
    axes.set(xlabel="weight", ylabel="density", ylim=(0, 1.2 * axes.get_ylim()[1]))
    axes.set_title(f"standard deviation {weights.std():.4f}", fontsize=9, loc="left")
    axes.legend()
    return figure


SCORE = np.linspace(-3, 3, 601)
PROBABILITY = np.linspace(0.01, 0.99, 491)


def _regression(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, str, str]:
    return np.zeros((len(x), 1)), x[:, None], "prediction", "target 0"


def _side(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, str, str]:
    return np.ones((len(x), 1)), x[:, None], "score", "target +1"


def _binary(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, str, str]:
    return np.ones((len(p), 1)), p[:, None], "predicted probability", "target 1"


def _categorical(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, str, str]:
    target = np.tile([1.0, 0.0], (len(p), 1))
    return (
        target,
        np.stack([p, 1 - p], axis=-1),
        "predicted probability of the first of two classes",
        "target: the first class",
    )


def _sparse(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, str, str]:
    target, *rest = _categorical(p)
    return (np.zeros(len(target)), *rest)  # type: ignore[return-value]


def _distribution(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, str, str]:
    target = np.tile([0.7, 0.3], (len(p), 1))
    label = "predicted probability of the first of two classes"
    return target, np.stack([p, 1 - p], axis=-1), label, "target (0.7, 0.3)"


LOSSES: dict[str, tuple[Callable, np.ndarray]] = {
    "MeanSquaredError": (_regression, SCORE),
    "MeanAbsoluteError": (_regression, SCORE),
    "Huber": (_regression, SCORE),
    "Hinge": (_side, SCORE),
    "PerceptronLoss": (_side, SCORE),
    "BinaryCrossentropy": (_binary, PROBABILITY),
    "BinaryFocalCrossentropy": (_binary, PROBABILITY),
    "CategoricalCrossentropy": (_categorical, PROBABILITY),
    "CategoricalFocalCrossentropy": (_categorical, PROBABILITY),
    "SparseCategoricalCrossentropy": (_sparse, PROBABILITY),
    "KLDivergence": (_distribution, PROBABILITY),
}
"""For each loss, a function that makes targets and predictions from one varying number, and the values of it."""


def loss(block: Block, subject: Any) -> Figure:
    """The loss and its derivative over the prediction, for one target."""
    examples, x = LOSSES[block.name]
    config = {} if subject is block.object else subject.get_config()
    function = block.object.from_config(config | {"reduction": None})
    if config.get("from_logits"):
        y_true, y_pred, _, target = examples(x := SCORE)
        y_pred[:, 1:] = 0
        label = "logit" if y_pred.shape[-1] == 1 else "logit of the first of two classes; the second is 0"
    else:
        y_true, y_pred, label, target = examples(x)
    y = to_numpy(function(y_true.astype("float32"), y_pred.astype("float32")))
    figure, axes = new_figure(f"{block.name}, {target}")
    axes.plot(x, y, lw=2, label="loss")
    axes.plot(x, np.gradient(y, x), "--", lw=2, label="derivative")
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlabel=label, xlim=(x[0], x[-1]), ylim=(max(np.gradient(y, x).min(), -6) - 0.2, min(y.max(), 6) + 0.2))
    axes.legend()
    return figure


SCHEDULES: dict[str, Callable] = {
    "StepDecay": lambda: schedules.StepDecay(0.1, decay_steps=30, decay_rate=0.5),
    "PiecewiseConstantDecay": lambda: schedules.PiecewiseConstantDecay([30, 60], [0.1, 0.03, 0.01]),
    "ExponentialDecay": lambda: schedules.ExponentialDecay(0.1, decay_steps=30, decay_rate=0.5),
    "CosineDecay": lambda: schedules.CosineDecay(0.0, decay_steps=90, warmup_target=0.1, warmup_steps=10),
    "OneCycle": lambda: schedules.OneCycle(0.1, total_steps=100),
    "LinearDecay": lambda: schedules.LinearDecay(0.1, total_steps=100),
}


def schedule(block: Block, subject: Any) -> Figure:
    """The learning rate at each step, to a little after the last one."""
    rate = SCHEDULES[block.name]() if subject is block.object else subject
    steps = np.arange(int(1.15 * _length(rate)) + 1)
    figure, axes = new_figure(block.name)
    axes.plot(steps, to_numpy(rate(ops.convert_to_tensor(steps))), lw=2)
    settings = (f"{name} = {value}" for name, value in rate.get_config().items() if name != "name")
    axes.set_title(", ".join(settings), fontsize=7.5, loc="left", wrap=True)
    axes.set(xlabel="step", ylabel="learning rate", xlim=(0, steps[-1]), ylim=(0, None))
    return figure


def _length(rate: Any) -> int:
    """The number of steps that show the whole schedule."""
    config = rate.get_config()
    if "total_steps" in config:
        return config["total_steps"]
    if "boundaries" in config:
        return max([*config["boundaries"], 10]) * 3 // 2
    num_steps = config["decay_steps"] + config.get("warmup_steps", 0)
    return num_steps if "alpha" in config else 3 * num_steps


BOWL = np.array([1.0, 20.0], dtype="float32")
START = np.array([-4.0, 1.0], dtype="float32")
LEARNING_RATES = {"SGD": 0.08, "GradientDescent": 0.08, "Momentum": 0.01, "Nesterov": 0.01, "Adagrad": 0.5, "Muon": 0.7}


def optimizer(block: Block, subject: Any) -> Figure:
    """The path of 60 steps in a bowl that is twenty times steeper in one direction than in the other."""
    if subject is block.object:
        descent = block.object(learning_rate=LEARNING_RATES.get(block.name, 0.1))
    else:
        descent = block.object.from_config(subject.get_config())
    rate = float(descent.learning_rate)
    # a matrix of one row: Muon updates only matrices, Adam updates the rest
    w = keras.Variable(START[None])
    path = [START]
    for _ in range(60):
        descent.apply([ops.convert_to_tensor(BOWL) * w.value], [w])
        path.append(to_numpy(w.value)[0].copy())
    steps = np.array([w for w in path if np.isfinite(w).all()])
    figure, axes = new_figure(f"{block.name}, 60 steps with learning rate {rate:g}", size=(7.2, 3.6))
    limits = np.clip(np.abs(steps).max(axis=0) * 1.1, (4.6, 1.4), (12, 4))
    grid = np.meshgrid(np.linspace(-limits[0], limits[0], 200), np.linspace(-limits[1], limits[1], 200))
    height = (BOWL[0] * grid[0] ** 2 + BOWL[1] * grid[1] ** 2) / 2
    axes.contour(*grid, height, levels=np.geomspace(0.05, height.max(), 14), cmap="Blues_r", linewidths=0.8)
    axes.plot(steps[:, 0], steps[:, 1], "o-", color="C1", ms=3, lw=1.2, label="path")
    axes.plot(*START, "o", color="C2", ms=8, label="start")
    axes.plot(0, 0, "*", color="C3", ms=12, label="lowest point")
    axes.set(xlabel="$w_1$", ylabel="$w_2$", xlim=(-limits[0], limits[0]), ylim=(-limits[1], limits[1]))
    axes.set_title("$L = (w_1^2 + 20\\, w_2^2) / 2$", fontsize=9, loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(False)
    return figure


KINDS: dict[str, Callable[[Block, Any], Figure]] = {
    "activation": activation,
    "loss": loss,
    "initializer": initializer,
    "schedule": schedule,
    "optimizer": optimizer,
}
