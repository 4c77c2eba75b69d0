"""Check gradients against the definition of a derivative, in float64."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import dtypes

from . import autodiff

__all__ = ["check"]

EPSILON = float(np.finfo("float64").eps)
_lock = threading.RLock()
"""Held by the thread that computes in float64."""


def check(layer_or_function, x, derivative=None, tolerance=1e-6, entries=200, **call):
    r"""Compare a gradient with the slope measured by differences.

    For a function $f$ of many numbers $x_i$, a fixed weighted sum $L = \sum_j r_j f_j(x)$ of its outputs and the unit
    vector $e_i$, the central difference

    $$\frac{\partial L}{\partial x_i} = \frac{L(x + h e_i) - L(x - h e_i)}{2 h} + O(h^2)$$

    needs no calculus. Rounding errors need a large $h$, the neglected term a small one; in float64 the best compromise
    $h = \sqrt[3]{2^{-52}} \max(1, |x_i|)$ leaves about ten digits. Everything runs in float64: the check rebuilds a
    layer of any precision from its config and its weights. The $r_j$ are random, because errors could cancel in a plain
    sum: softmax always sums to 1.

    Where the slopes to the left and to the right differ for any small $h$, there is no derivative to compare with. The
    result lists such a kink (ReLU at 0) with both slopes and does not count it as an error.

    Shapes: `x` any; each entry of `x` and of the layer's trainable weights is one comparison.

    Args:
        layer_or_function: a Keras layer or model, whose weights are checked too, or a function of tensors.
        x: an array, or a list of arrays: a layer's list of inputs, a function's arguments. Arrays of whole numbers are
            inputs without a gradient.
        derivative: an analytic derivative to check together with automatic differentiation: `derivative(x)` of the
            shape of `x`, the derivative of each output by its own input, or a Jacobian with one more axis. Defaults to
            the function's own attribute `derivative`, if any.
        tolerance: the largest relative error that passes. Defaults to `1e-6`.
        entries: the largest number of entries of each array to compare, drawn with a fixed seed. Defaults to `200`.
        **call: arguments for the layer or function (`training=True`, `mask=...`).

    Returns:
        A `GradientCheck`: `ok`, `largest_error`, `comparisons` (largest error first), `kinks`; `print` shows a table.

    Raises:
        ValueError: if there is nothing to differentiate, the output is not float64, or `derivative(x)` has a shape
            that fits neither `x` nor its Jacobian.

    Example:
        >>> result = check(ops.relu, [[-2.0, 0.0, 3.0]])
        >>> result.ok, len(result.comparisons), [kink.place for kink in result.kinks]
        (True, 2, ['x[0, 1]'])
        >>> wrong = check(ops.tanh, [0.5], derivative=lambda x: 1 - ops.tanh(x))  # the square is missing
        >>> wrong.ok, round(wrong.largest_error, 3)
        (False, 0.316)

    In practice: a layer with random numbers must draw the same ones in each call: do not set `training`, or use a fixed
    seed. A loss object computes in its own precision: create it with `dtype="float64"`.

    Source: Bengio, "Practical Recommendations for Gradient-Based Training of Deep Architectures", 2012, section 4.1.
    """
    with float64():
        function, arrays, names = _as_function_of_arrays(layer_or_function, x, call)
        if not arrays:
            raise ValueError("`x` must hold floating-point numbers when there are no trainable weights, got none.")
        compiled = _compiled(function)
        output = compiled(*arrays)
        if output.dtype != np.float64:
            raise ValueError(
                f"`layer_or_function` must compute in float64 when `x` is float64, got {output.dtype}. "
                "A layer inside a function keeps its own precision: pass the layer itself."
            )
        if not _is_precise(compiled, arrays):
            raise ValueError(
                "`layer_or_function` must compute in float64 throughout, got one with a step of lower precision "
                "(JAX's attention kernel has one): differences would measure the rounding."
            )
        r = np.random.default_rng(0).uniform(0.5, 1.5, output.shape)
        # a gradient for each array, and a function: index -> the weights of the sum of outputs that it belongs to
        weights = ops.convert_to_tensor(r)
        automatic = autodiff.gradients(lambda *xs: ops.sum(weights * function(*xs)), arrays)
        gradients = {"automatic": (automatic, lambda place: r)}
        derivative = derivative or getattr(layer_or_function, "derivative", None)
        if derivative is not None:
            gradients["analytic"] = _analytic(derivative, arrays[0], r)

        entries = [
            entry
            for i, (name, array) in enumerate(zip(names, arrays, strict=True))
            for place in _places(array, entries)
            for entry in _compare(compiled, arrays, i, name, place, gradients, tolerance)
        ]
    comparisons = sorted((entry for entry in entries if not entry.is_kink), key=lambda entry: -entry.error)
    return GradientCheck(comparisons, [entry for entry in entries if entry.is_kink], tolerance)


@dataclass(frozen=True)
class Entry:
    """One entry of a gradient and the measured slope."""

    place: str
    by: str
    gradient: float
    slope: float
    error: float
    left: float
    right: float
    is_kink: bool


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """The result of `check`: `comparisons` has the largest error first; `kinks` have no derivative and no error."""

    comparisons: list[Entry]
    kinks: list[Entry] = field(default_factory=list)
    tolerance: float = 1e-6

    @property
    def largest_error(self):
        """The largest relative error."""
        return self.comparisons[0].error if self.comparisons else 0.0

    @property
    def ok(self):
        """Whether every gradient that exists is within the tolerance."""
        return self.largest_error <= self.tolerance

    def __str__(self):
        lines = [
            f"gradients {'right' if self.ok else 'WRONG'}: largest relative error {self.largest_error:.1e} "
            f"(tolerance {self.tolerance:.0e}), {len(self.comparisons)} compared, {len(self.kinks)} kinks"
        ]
        width = max([len("place"), *(len(entry.place) for entry in [*self.comparisons[:10], *self.kinks[:10]])])
        if self.comparisons:
            lines.append(f"{'place':<{width}}  by            gradient         slope     error")
            lines += [
                f"{entry.place:<{width}}  {entry.by:<9} {entry.gradient:12.6g}  {entry.slope:12.6g}  {entry.error:8.1e}"
                for entry in self.comparisons[:10]
            ]
        if self.kinks:
            lines.append(f"{'kink':<{width}}  by            gradient          left         right")
            lines += [
                f"{entry.place:<{width}}  {entry.by:<9} {entry.gradient:12.6g}  {entry.left:12.6g}  {entry.right:12.6g}"
                for entry in self.kinks[:10]
            ]
        return "\n".join(lines)

    __repr__ = __str__


@contextmanager
def float64():
    """Within this block Keras computes in float64, also on the backends where it otherwise returns float32.

    One thread at a time is in such a block, and the others keep their dtype policy. But Keras has one `floatx` for the
    whole process: another thread must not create tensors without a dtype meanwhile, nor its first layer.

    Example:
        >>> with float64():
        ...     y = ops.tanh(ops.ones(()))
        >>> round(float(y), 12)  # float32 has seven of these digits
        0.761594155956
    """
    with _lock, _float64_in_jax():
        floatx, policy, table = keras.config.floatx(), keras.config.dtype_policy(), dtypes.BIT64_TO_BIT32_DTYPE
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        # on JAX and PyTorch this table makes Keras return float32 for float64; there is no public setting
        dtypes.BIT64_TO_BIT32_DTYPE = _TableWithFloat64(table)
        try:
            yield
        finally:
            dtypes.BIT64_TO_BIT32_DTYPE = table
            keras.config.set_floatx(floatx)
            keras.config.set_dtype_policy(policy)


class _TableWithFloat64(dict):
    """Keras's table of narrower dtypes, but float64 stays float64 in the thread that creates the table."""

    def __init__(self, table):
        super().__init__(table)
        self.thread = threading.get_ident()

    def get(self, dtype, default=None):
        if dtype == "float64" and threading.get_ident() == self.thread:
            return dtype
        return super().get(dtype, default)


@contextmanager
def _float64_in_jax():
    if keras.config.backend() != "jax":
        yield
        return
    import jax

    with jax.enable_x64(True):  # in this thread only
        yield


def _as_function_of_arrays(layer_or_function, x, call):
    """Return a function of floating-point arrays only, these arrays, and their names."""
    is_layer = isinstance(layer_or_function, keras.layers.Layer)
    several = isinstance(x, list | tuple) and any(isinstance(part, np.ndarray) or ops.is_tensor(part) for part in x)
    inputs = [np.asarray(part) for part in (x if several else [x])]
    inputs = [part.astype("float64") if np.issubdtype(part.dtype, np.floating) else part for part in inputs]
    floating = [i for i, part in enumerate(inputs) if part.dtype == np.float64]
    names = [f"x{i}" if several else "x" for i in floating]
    arrays = [inputs[i] for i in floating]

    def with_inputs(tensors):
        replaced = dict(zip(floating, tensors, strict=True))
        return [replaced.get(i, part) for i, part in enumerate(inputs)]

    if not is_layer:
        return lambda *tensors: _flat(layer_or_function(*with_inputs(tensors), **call)), arrays, names

    layer = _copy_in_float64(layer_or_function)
    layer(inputs if several else inputs[0], **call)
    if layer_or_function.built:
        layer.set_weights(layer_or_function.get_weights())
    weights = [ops.convert_to_numpy(w) for w in layer.trainable_variables]
    state = [v.value for v in layer.non_trainable_variables]

    def output(*tensors):
        arguments = with_inputs(tensors[: len(floating)])
        y, _ = layer.stateless_call(
            list(tensors[len(floating) :]), state, arguments if several else arguments[0], **call
        )
        return _flat(y)

    return (
        output,
        [*arrays, *weights],
        [*names, *(w.path.removeprefix(f"{layer.name}/") for w in layer.trainable_variables)],
    )


def _copy_in_float64(layer):
    """Return a copy of the layer, built from its config with float64 for every floating-point dtype."""

    def in_float64(config):
        if isinstance(config, dict):
            return {k: "float64" if k == "dtype" and _is_floating(v) else in_float64(v) for k, v in config.items()}
        return [in_float64(part) for part in config] if isinstance(config, list | tuple) else config

    return type(layer).from_config(in_float64(layer.get_config()))


def _is_floating(dtype):
    name = dtype["config"]["name"] if isinstance(dtype, dict) else dtype
    return isinstance(name, str) and "float" in name


def _flat(output):
    return ops.concatenate([ops.reshape(y, (-1,)) for y in keras.tree.flatten(output)])


def _compiled(function):
    """Return the function from NumPy to NumPy, compiled if the backend can: it runs some hundred times."""
    if keras.config.backend() == "jax":
        import jax

        function = jax.jit(function)
    elif keras.config.backend() == "tensorflow":
        import tensorflow as tf

        function = tf.function(function, autograph=False)
    return lambda *arrays: ops.convert_to_numpy(function(*map(ops.convert_to_tensor, arrays)))


def _is_precise(function, arrays):
    """Whether a step 10,000 times smaller changes the output 10,000 times less. With float32 inside it does not."""
    rng = np.random.default_rng(0)
    direction = [rng.uniform(0.5, 1.5, array.shape) * np.maximum(1.0, np.abs(array)) for array in arrays]
    here = function(*arrays)

    def looks_rounded(sign):
        near, far = (
            function(*(a + sign * t * d for a, d in zip(arrays, direction, strict=True))) - here for t in (1e-10, 1e-6)
        )
        changes = (np.abs(far) > 1e-8 * np.max(np.abs(here), initial=0.0)) & (near != far)  # equal: a jump
        return np.any(changes) and np.any((np.abs(near) > 1.5e-4 * np.abs(far))[changes] | (near == 0)[changes])

    return not (looks_rounded(1) and looks_rounded(-1))  # a kink nearby shows on one side only


def _analytic(derivative, x, r):
    """Return the same from `derivative`: of each output by its own input, or a Jacobian over the last axis."""
    d = ops.convert_to_numpy(derivative(ops.convert_to_tensor(x)))
    if d.shape == x.shape:
        return [d], lambda place: np.eye(x.size)[np.ravel_multi_index(place, x.shape)] if place else np.ones(1)
    if d.shape == (*x.shape, *x.shape[-1:]):
        return [np.einsum("...j,...ji->...i", r.reshape(x.shape), d)], lambda place: r
    raise ValueError(f"`derivative(x)` must have shape {x.shape} or {(*x.shape, *x.shape[-1:])}, got {d.shape}.")


def _places(array, most):
    """Return at most `most` random indices into the array, in order."""
    indices = np.sort(np.random.default_rng(0).permutation(array.size)[:most])
    return [tuple(map(int, np.unravel_index(flat, array.shape))) for flat in indices]


def _compare(function, arrays, i, name, place, gradients, tolerance):
    """Yield an entry for each kind of gradient at one place of one array."""
    label = f"{name}[{', '.join(map(str, place))}]" if place else name
    h = EPSILON ** (1 / 3) * max(1.0, abs(float(arrays[i][place])))
    for by, (gradient, mixture) in gradients.items():
        if i >= len(gradient):  # an analytic derivative covers the first array only
            continue
        r, g, largest = mixture(place), float(gradient[i][place]), float(np.max(np.abs(gradient[i])))
        wide = _measure(function, arrays, i, place, r, h)
        slopes, error, is_kink = wide, wide.error(g, largest, tolerance), False
        if error > tolerance or wide.bend > 1e-3 * (abs(wide.left) + abs(wide.right)):
            narrow = _measure(function, arrays, i, place, r, h / 20)
            # with a smaller step a curve gets straight, a kink keeps its bend, and a jump gets steeper
            is_jump = abs(narrow.across) > 10 * abs(wide.across) + narrow.noise
            is_kink = is_jump or narrow.bend > wide.bend / 2 > 0
            if is_kink or error > tolerance:
                slopes, error = narrow, narrow.error(g, largest, tolerance)
        yield Entry(label, by, g, slopes.across, error, slopes.left, slopes.right, is_kink)


@dataclass(frozen=True)
class Slopes:
    """Slopes to the left of a point, across it and to its right, and the rounding error that they may contain."""

    left: float
    across: float
    right: float
    noise: float

    @property
    def bend(self):
        return max(abs(self.right - self.left) - self.noise, 0.0)

    def error(self, gradient, largest, tolerance):
        """The relative error; numbers below the noise or a thousandth of the largest in the array count as zero."""
        size = max(abs(gradient), abs(self.across), 1e-3 * largest, self.noise / tolerance)
        error = abs(gradient - self.across) / size if size else 0.0
        return error if np.isfinite(error) else np.inf


def _measure(function, arrays, i, place, r, h):
    """Measure the slopes of sum(r * function) at one place of one array."""
    above, below = arrays[i].copy(), arrays[i].copy()
    above[place] += h
    below[place] -= h
    f_below, f, f_above = (function(*arrays[:i], moved, *arrays[i + 1 :]) for moved in (below, arrays[i], above))
    sizes = np.abs(r) * np.maximum(np.abs(f), np.maximum(np.abs(f_above), np.abs(f_below)))
    rounded = max(float(np.sum(sizes[f_above != f_below])), float(np.max(sizes)), abs(float(arrays[i][place])))
    return Slopes(
        left=float(np.sum(r * (f - f_below)) / (arrays[i][place] - below[place])),
        across=float(np.sum(r * (f_above - f_below)) / (above[place] - below[place])),
        right=float(np.sum(r * (f_above - f)) / (above[place] - arrays[i][place])),
        noise=20 * EPSILON * rounded / h,
    )
