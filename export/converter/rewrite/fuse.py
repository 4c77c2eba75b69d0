"""Rules that replace the nodes of a layer by the ONNX operator for it, or move weights into a convolution."""

# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"
import numpy as np
import onnx_ir as ir

from .simplify import Rule
from .symbolic_shapes import constant_value, is_last_axis, scalar_value, shape_of

LOW = -1e37
"""No score is large enough to change this number or a lower one in a sum."""


class ScaleIntoConvolution(Rule):
    """A positive scale after `MaxPool` of `Conv`, such as a batch normalization's, moves into the filters.

    The maximum times a positive number is the maximum of the products.
    """

    def pattern(self, op, x, filters, scale):
        return op.Mul(op.MaxPool(op.Conv(x, filters, _outputs=["convolved"]), _outputs=["pooled"]), scale)

    def check(self, op, filters, scale, pooled, convolved, **_):
        factors = _value_per_filter(scale, filters)
        return factors is not None and (factors > 0).all() and len(convolved.uses()) == len(pooled.uses()) == 1

    def rewrite(self, op, x, filters, scale, pooled, convolved):
        factors = _value_per_filter(scale, filters)
        scaled = op.Constant(
            value=ir.tensor(constant_value(filters) * factors.reshape(-1, *[1] * (len(filters.shape) - 1)))
        )
        return op.MaxPool(op.Conv(x, scaled, **convolved.producer().attributes), **pooled.producer().attributes)


class OffsetIntoConvolution(ScaleIntoConvolution):
    """An offset after `MaxPool` of `Conv` becomes the bias of the filters."""

    def pattern(self, op, x, filters, offset):
        return op.Add(op.MaxPool(op.Conv(x, filters, _outputs=["convolved"]), _outputs=["pooled"]), offset)

    def check(self, op, filters, offset, pooled, convolved, **_):
        return _value_per_filter(offset, filters) is not None and len(convolved.uses()) == len(pooled.uses()) == 1

    def rewrite(self, op, x, filters, offset, pooled, convolved):
        bias = op.Constant(value=ir.tensor(_value_per_filter(offset, filters)))
        return op.MaxPool(op.Conv(x, filters, bias, **convolved.producer().attributes), **pooled.producer().attributes)


def _value_per_filter(weight: ir.Value, filters: ir.Value) -> np.ndarray | None:
    """The values of a constant with the shape `(1, filters, 1, 1)`, `None` for another."""
    array, kernel = constant_value(weight), constant_value(filters)
    if array is None or kernel is None or array.shape != (1, len(kernel), *[1] * (kernel.ndim - 2)):
        return None
    return array.ravel()


class MaskedSoftmax(Rule):
    """`Softmax` of `Where(mask, scores, low)` becomes `Softmax` of a sum, one pass over the scores instead of three.

    `low` (-1e38 in attention) is so low that adding a score does not change it.
    """

    def pattern(self, op, mask, scores, low):
        return op.Softmax(op.Where(mask, scores, low), _outputs=["weights"])

    def check(self, op, mask, scores, low, **_):
        number = scalar_value(low)
        return number is not None and number <= LOW and _is_broadcast_over(mask, scores)

    def rewrite(self, op, mask, scores, low, weights):
        zero = op.Constant(value=ir.tensor(np.zeros_like(constant_value(low))))
        return op.Softmax(op.Add(scores, op.Where(mask, zero, low)), **weights.producer().attributes)


def _is_broadcast_over(mask: ir.Value, scores: ir.Value) -> bool:
    """Whether a mask is broadcast along some axis of the scores."""
    small, large = shape_of(mask), shape_of(scores)
    if small is None or large is None or len(small) > len(large):
        return False
    small = [1] * (len(large) - len(small)) + small
    return any(size == 1 != full for size, full in zip(small, large, strict=True))


class LayerNormalization(Rule):
    """x s + (b - m s) with s = g / sqrt(v + epsilon), as Keras computes it, becomes `LayerNormalization`."""

    def pattern(self, op, x, axes, epsilon, scale, offset):
        mean = op.ReduceMean(x, axes)
        deviation = op.Sub(x, mean)
        variance = op.ReduceMean(op.Mul(deviation, deviation), axes)
        factor = op.Mul(op.Reciprocal(op.Sqrt(op.Add(variance, epsilon))), scale)
        return op.Add(op.Mul(x, factor), op.Add(op.Mul(op.Neg(mean), factor), offset))

    def check(self, op, x, axes, epsilon, scale, offset):
        flat = _value_per_feature(scale, x) is not None and _value_per_feature(offset, x) is not None
        return flat and is_last_axis(axes, x) and scalar_value(epsilon) is not None

    def rewrite(self, op, x, epsilon, scale, offset, **_):
        weights = [op.Constant(value=ir.tensor(_value_per_feature(value, x))) for value in (scale, offset)]
        return op.LayerNormalization(x, *weights, axis=-1, epsilon=scalar_value(epsilon))


class RMSNormalization(Rule):
    """x g / sqrt(mean(x x) + epsilon) becomes the six operators that ONNX Runtime recognizes and fuses."""

    def pattern(self, op, x, axes, epsilon, scale):
        return op.Mul(x, op.Mul(self._inverse_root(op, x, axes, epsilon), scale))

    @staticmethod
    def _inverse_root(op, x, axes, epsilon):
        return op.Reciprocal(op.Sqrt(op.Add(op.ReduceMean(op.Mul(x, x), axes), epsilon)))

    def check(self, op, x, axes, epsilon, scale):
        return _value_per_feature(scale, x) is not None and is_last_axis(axes, x) and scalar_value(epsilon) is not None

    def rewrite(self, op, x, axes, epsilon, scale):
        weight = op.Constant(value=ir.tensor(_value_per_feature(scale, x)))
        return self._normalized(op, x, axes, epsilon, weight)

    def _normalized(self, op, x, axes, epsilon, weight):
        two = op.Constant(value=ir.tensor(np.array(2, "float32")))
        mean = op.ReduceMean(op.Pow(x, two), axes, keepdims=1)
        return op.Mul(op.Div(x, op.Sqrt(op.Add(mean, epsilon))), weight)


class RMSNormalizationOpset23(RMSNormalization):
    """The same becomes `RMSNormalization`, an operator since opset 23."""

    def _normalized(self, op, x, axes, epsilon, weight):
        return op.RMSNormalization(x, weight, axis=-1, epsilon=scalar_value(epsilon))


class UnscaledRMSNormalization(RMSNormalization):
    """The same without a learned scale: the scale becomes ones, because both forms need one."""

    def pattern(self, op, x, axes, epsilon):
        return op.Mul(x, self._inverse_root(op, x, axes, epsilon))

    def check(self, op, x, axes, epsilon):
        return is_last_axis(axes, x) and isinstance(shape_of(x)[-1], int) and scalar_value(epsilon) is not None

    def rewrite(self, op, x, axes, epsilon):
        size = shape_of(x)[-1]
        ones = op.Constant(value=ir.tensor(np.ones(size, "float32")))
        return self._normalized(op, x, axes, epsilon, ones)


class UnscaledRMSNormalizationOpset23(UnscaledRMSNormalization, RMSNormalizationOpset23):
    """The same without a learned scale becomes `RMSNormalization`."""


def _value_per_feature(weight: ir.Value, x: ir.Value) -> np.ndarray | None:
    """The values of a constant, one for each feature of `x`, `None` for another constant."""
    array, shape = constant_value(weight), shape_of(x)
    if array is None or shape is None or array.size != shape[-1] or array.shape[-1:] != (array.size,):
        return None
    return array.ravel()


class Attention(Rule):
    """softmax(s q k' + m) v of every head becomes `Attention`, an operator since opset 23.

    The tensors are `(batch, time, heads, features)`.
    """

    def pattern(self, op, query, scale, key, mask, value):
        scores = op.MatMul(op.Transpose(op.Mul(query, scale), perm=[0, 2, 1, 3]), op.Transpose(key, perm=[0, 2, 3, 1]))
        weights = op.Softmax(op.Add(scores, mask), _outputs=["weights"])
        return op.Transpose(op.MatMul(weights, op.Transpose(value, perm=[0, 2, 1, 3])), perm=[0, 2, 1, 3])

    def check(self, op, query, scale, key, mask, value, weights):
        shapes = [shape_of(x) for x in (query, key, value)]
        if not all(map(_has_heads, shapes)) or len({shape[2] for shape in shapes}) > 1:  # or heads share a key
            return False
        mask_shape, axis = shape_of(mask), weights.producer().attributes.get_int("axis", -1)
        return (
            mask_shape is not None
            and len(mask_shape) == 2
            and 1 not in mask_shape
            and axis in (-1, 3)
            and scalar_value(scale) is not None
        )

    def rewrite(self, op, query, scale, key, mask, value, **_):
        heads, features = shape_of(value)[2:]
        merged = [_merge_heads(op, x) for x in (query, key, value)]
        output = op.Attention(*merged, mask, q_num_heads=heads, kv_num_heads=heads, scale=scalar_value(scale))
        return op.Reshape(output, op.Constant(value_ints=[0, 0, heads, features]))


class RotaryEmbedding(Rule):
    """Halves of the features rotated by angles that all heads share become `RotaryEmbedding`, since opset 23."""

    def pattern(self, op, x, times, frequencies):
        left, right = op.Split(x, axis=-1, num_outputs=2, _outputs=2)
        angles = op.Mul(times, frequencies)
        cos, sin = op.Cos(angles), op.Sin(angles)
        return op.Concat(op.Sub(op.Mul(left, cos), op.Mul(right, sin)), op.Add(op.Mul(left, sin), op.Mul(right, cos)))

    def check(self, op, x, times, frequencies):
        shape, time_shape, value = shape_of(x), shape_of(times), constant_value(frequencies)
        if not _has_heads(shape) or value is None or time_shape is None:
            return False
        is_per_head = value.shape == (shape[2], shape[3] // 2)
        return is_per_head and time_shape[1:] == [1, 1] and bool((value == value[0]).all())

    def rewrite(self, op, x, times, frequencies):
        heads, features = shape_of(x)[2:]
        flat = op.Reshape(times, op.Constant(value_ints=[-1, 1]))
        angles = op.Mul(flat, op.Constant(value=ir.tensor(constant_value(frequencies)[0])))
        batch = op.Concat(op.Shape(x, start=0, end=1), op.Constant(value_ints=[1, 1]), axis=0)
        tables = [op.Expand(table, batch) for table in (op.Cos(angles), op.Sin(angles))]
        rotated = op.RotaryEmbedding(_merge_heads(op, x), *tables, num_heads=heads)
        return op.Reshape(rotated, op.Constant(value_ints=[0, 0, heads, features]))


def _has_heads(shape: list[int | str | None] | None) -> bool:
    """Whether it is `(batch, time, heads, features)` with static heads and features."""
    return shape is not None and len(shape) == 4 and all(isinstance(size, int) for size in shape[2:])


def _merge_heads(op, x: ir.Value) -> ir.Value:
    """`(batch, time, heads, features)` as `(batch, time, heads * features)`."""
    *outer, heads, features = shape_of(x)
    node = x.producer()
    is_split = None not in outer and node is not None and node.op_type == "Reshape"
    if is_split and shape_of(node.inputs[0]) == [*outer, heads * features]:
        return node.inputs[0]
    return op.Reshape(x, op.Constant(value_ints=[0, 0, heads * features]))


class Gelu(Rule):
    """x / 2 (1 + erf(x / sqrt 2)) is written in the order that ONNX Runtime recognizes and fuses."""

    def pattern(self, op, half, x, one, factor):
        return op.Mul(op.Mul(half, x), op.Add(one, op.Erf(op.Mul(x, factor))))

    def check(self, op, half, one, factor, **_):
        values = [scalar_value(value) for value in (half, one, factor)]
        return None not in values and np.allclose(values, [0.5, 1, 0.5**0.5], rtol=1e-7)

    def rewrite(self, op, x, half, one, **_):
        root = op.Constant(value=ir.tensor(np.array(2**0.5, "float32")))
        return op.Mul(op.Mul(x, op.Add(op.Erf(op.Div(x, root)), one)), half)


class GeluOpset20(Gelu):
    """The same becomes `Gelu`, an operator since opset 20."""

    def rewrite(self, op, x, **_):
        return op.Gelu(x)


class GeluFromErfc(Gelu):
    """The same with the complement, erfc(-z) = 1 - erf(-z), as TensorFlow's `gelu` computes it."""

    def pattern(self, op, half, x, one, factor):
        return op.Mul(op.Mul(half, x), op.Sub(one, op.Erf(op.Mul(op.Neg(x), factor))))


class GeluFromErfcOpset20(GeluFromErfc, GeluOpset20):
    """The same with the complement becomes `Gelu`."""
