"""Rules that replace a layer's nodes by the operator that ONNX has for it."""

# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"
import numpy as np
import onnx_ir as ir

from .simplify import Rule
from .symbolic_shapes import _constant, _is_last_axis, _number, _shape

LOW = -1e37
"""No score is large enough to change this number or a lower one."""


class ScaledPooling(Rule):
    """The largest times a positive number is the largest of the products: normalization goes into the filters."""

    def pattern(self, op, x, filters, scale):
        return op.Mul(op.MaxPool(op.Conv(x, filters, _outputs=["convolved"]), _outputs=["pooled"]), scale)

    def check(self, op, filters, scale, pooled, convolved, **_):
        factors = _for_each_filter(scale, filters)
        return factors is not None and (factors > 0).all() and len(convolved.uses()) == len(pooled.uses()) == 1

    def rewrite(self, op, x, filters, scale, pooled, convolved):
        factors = _for_each_filter(scale, filters)
        scaled = op.Constant(value=ir.tensor(_constant(filters) * factors.reshape(-1, *[1] * (len(filters.shape) - 1))))
        return op.MaxPool(op.Conv(x, scaled, **convolved.producer().attributes), **pooled.producer().attributes)


class ShiftedPooling(ScaledPooling):
    """The same for what is added: it becomes the bias of the filters."""

    def pattern(self, op, x, filters, offset):
        return op.Add(op.MaxPool(op.Conv(x, filters, _outputs=["convolved"]), _outputs=["pooled"]), offset)

    def check(self, op, filters, offset, pooled, convolved, **_):
        return _for_each_filter(offset, filters) is not None and len(convolved.uses()) == len(pooled.uses()) == 1

    def rewrite(self, op, x, filters, offset, pooled, convolved):
        bias = op.Constant(value=ir.tensor(_for_each_filter(offset, filters)))
        return op.MaxPool(op.Conv(x, filters, bias, **convolved.producer().attributes), **pooled.producer().attributes)


def _for_each_filter(weight: ir.Value, filters: ir.Value) -> np.ndarray | None:
    """The numbers of a constant that are one for each filter, `(1, filters, 1, 1)`."""
    array, kernel = _constant(weight), _constant(filters)
    if array is None or kernel is None or array.shape != (1, len(kernel), *[1] * (kernel.ndim - 2)):
        return None
    return array.ravel()


class MaskedScores(Rule):
    """Of scores that count as minus infinity where a mask says so: a sum is one pass over them, a choice takes three.

    So low is the number (of attention -1e38) that a score added to it is rounded away.
    """

    def pattern(self, op, mask, scores, low):
        return op.Softmax(op.Where(mask, scores, low), _outputs=["weights"])

    def check(self, op, mask, scores, low, **_):
        number = _number(low)
        return number is not None and number <= LOW and _is_smaller(mask, scores)

    def rewrite(self, op, mask, scores, low, weights):
        zero = op.Constant(value=ir.tensor(np.zeros_like(_constant(low))))
        return op.Softmax(op.Add(scores, op.Where(mask, zero, low)), **weights.producer().attributes)


def _is_smaller(mask: ir.Value, scores: ir.Value) -> bool:
    """Whether a mask is the same for all along some axis of the scores."""
    few, many = _shape(mask), _shape(scores)
    if few is None or many is None or len(few) > len(many):
        return False
    few = [1] * (len(many) - len(few)) + few
    return any(one == 1 != size for one, size in zip(few, many, strict=True))


class LayerNormalization(Rule):
    """x s + (b - m s) with s = g / sqrt(v + epsilon), as Keras computes it."""

    def pattern(self, op, x, axes, epsilon, scale, offset):
        mean = op.ReduceMean(x, axes)
        deviation = op.Sub(x, mean)
        variance = op.ReduceMean(op.Mul(deviation, deviation), axes)
        factor = op.Mul(op.Reciprocal(op.Sqrt(op.Add(variance, epsilon))), scale)
        return op.Add(op.Mul(x, factor), op.Add(op.Mul(op.Neg(mean), factor), offset))

    def check(self, op, x, axes, epsilon, scale, offset):
        flat = _along_last_axis(scale, x) is not None and _along_last_axis(offset, x) is not None
        return flat and _is_last_axis(axes, x) and _number(epsilon) is not None

    def rewrite(self, op, x, epsilon, scale, offset, **_):
        weights = [op.Constant(value=ir.tensor(_along_last_axis(value, x))) for value in (scale, offset)]
        return op.LayerNormalization(x, *weights, axis=-1, epsilon=_number(epsilon))


class RMSNormalization(Rule):
    """An operator since opset 23; before, the spelling that ONNX Runtime makes one of when it loads the file."""

    def pattern(self, op, x, axes, epsilon, scale):
        return op.Mul(x, op.Mul(self._inverse_root(op, x, axes, epsilon), scale))

    @staticmethod
    def _inverse_root(op, x, axes, epsilon):
        return op.Reciprocal(op.Sqrt(op.Add(op.ReduceMean(op.Mul(x, x), axes), epsilon)))

    def check(self, op, x, axes, epsilon, scale):
        return _along_last_axis(scale, x) is not None and _is_last_axis(axes, x) and _number(epsilon) is not None

    def rewrite(self, op, x, axes, epsilon, scale):
        weight = op.Constant(value=ir.tensor(_along_last_axis(scale, x)))
        return self._normalized(op, x, axes, epsilon, weight)

    def _normalized(self, op, x, axes, epsilon, weight):
        two = op.Constant(value=ir.tensor(np.array(2, "float32")))
        mean = op.ReduceMean(op.Pow(x, two), axes, keepdims=1)
        return op.Mul(op.Div(x, op.Sqrt(op.Add(mean, epsilon))), weight)


class RMSNormalizationOf23(RMSNormalization):
    def _normalized(self, op, x, axes, epsilon, weight):
        return op.RMSNormalization(x, weight, axis=-1, epsilon=_number(epsilon))


class PlainRMSNormalization(RMSNormalization):
    """Without a learned scale: by ones, which both the operator and the spelling ask for."""

    def pattern(self, op, x, axes, epsilon):
        return op.Mul(x, self._inverse_root(op, x, axes, epsilon))

    def check(self, op, x, axes, epsilon):
        return _is_last_axis(axes, x) and isinstance(_shape(x)[-1], int) and _number(epsilon) is not None

    def rewrite(self, op, x, axes, epsilon):
        size = _shape(x)[-1]
        ones = op.Constant(value=ir.tensor(np.ones(size, "float32")))
        return self._normalized(op, x, axes, epsilon, ones)


class PlainRMSNormalizationOf23(PlainRMSNormalization, RMSNormalizationOf23):
    pass


def _along_last_axis(weight: ir.Value, x: ir.Value) -> np.ndarray | None:
    """The numbers of a constant that are one for each feature of `x`."""
    array, shape = _constant(weight), _shape(x)
    if array is None or shape is None or array.size != shape[-1] or array.shape[-1:] != (array.size,):
        return None
    return array.ravel()


class Attention(Rule):
    """softmax(s q k' + m) v of every head, an operator since opset 23; `(batch, time, heads, features)` each."""

    def pattern(self, op, query, scale, key, mask, value):
        scores = op.MatMul(op.Transpose(op.Mul(query, scale), perm=[0, 2, 1, 3]), op.Transpose(key, perm=[0, 2, 3, 1]))
        weights = op.Softmax(op.Add(scores, mask), _outputs=["weights"])
        return op.Transpose(op.MatMul(weights, op.Transpose(value, perm=[0, 2, 1, 3])), perm=[0, 2, 1, 3])

    def check(self, op, query, scale, key, mask, value, weights):
        shapes = [_shape(each) for each in (query, key, value)]
        if not all(map(_has_heads, shapes)) or len({shape[2] for shape in shapes}) > 1:  # or keys of one head for all
            return False
        of_times, axis = _shape(mask), weights.producer().attributes.get_int("axis", -1)
        return (
            of_times is not None
            and len(of_times) == 2
            and 1 not in of_times
            and axis in (-1, 3)
            and _number(scale) is not None
        )

    def rewrite(self, op, query, scale, key, mask, value, **_):
        heads, features = _shape(value)[2:]
        flat = [_heads_side_by_side(op, each) for each in (query, key, value)]
        answer = op.Attention(*flat, mask, q_num_heads=heads, kv_num_heads=heads, scale=_number(scale))
        return op.Reshape(answer, op.Constant(value_ints=[0, 0, heads, features]))


class RotaryEmbedding(Rule):
    """Halves of features turned by angles that are the same for all heads, an operator since opset 23."""

    def pattern(self, op, x, times, speeds):
        left, right = op.Split(x, axis=-1, num_outputs=2, _outputs=2)
        angles = op.Mul(times, speeds)
        cos, sin = op.Cos(angles), op.Sin(angles)
        return op.Concat(op.Sub(op.Mul(left, cos), op.Mul(right, sin)), op.Add(op.Mul(left, sin), op.Mul(right, cos)))

    def check(self, op, x, times, speeds):
        shape, one_time, turned = _shape(x), _shape(times), _constant(speeds)
        if not _has_heads(shape) or turned is None or turned.shape != (shape[2], shape[3] // 2) or one_time is None:
            return False
        return one_time[1:] == [1, 1] and bool((turned == turned[0]).all())

    def rewrite(self, op, x, times, speeds):
        heads, features = _shape(x)[2:]
        flat = op.Reshape(times, op.Constant(value_ints=[-1, 1]))
        angles = op.Mul(flat, op.Constant(value=ir.tensor(_constant(speeds)[0])))
        batch = op.Concat(op.Shape(x, start=0, end=1), op.Constant(value_ints=[1, 1]), axis=0)
        turns = [op.Expand(turn, batch) for turn in (op.Cos(angles), op.Sin(angles))]
        turned = op.RotaryEmbedding(_heads_side_by_side(op, x), *turns, num_heads=heads)
        return op.Reshape(turned, op.Constant(value_ints=[0, 0, heads, features]))


def _has_heads(shape: list[int | str | None] | None) -> bool:
    """Whether it is `(batch, time, heads, features)` with the last two known."""
    return shape is not None and len(shape) == 4 and all(isinstance(size, int) for size in shape[2:])


def _heads_side_by_side(op, x: ir.Value) -> ir.Value:
    """`(batch, time, heads, features)` as `(batch, time, heads * features)`."""
    *outer, heads, features = _shape(x)
    node = x.producer()
    known = None not in outer and node is not None and node.op_type == "Reshape"
    if known and _shape(node.inputs[0]) == [*outer, heads * features]:
        return node.inputs[0]
    return op.Reshape(x, op.Constant(value_ints=[0, 0, heads * features]))


class Gelu(Rule):
    """x / 2 (1 + erf(x / sqrt 2)): an operator since opset 20, before in the order that ONNX Runtime looks for."""

    def pattern(self, op, half, x, one, factor):
        return op.Mul(op.Mul(half, x), op.Add(one, op.Erf(op.Mul(x, factor))))

    def check(self, op, half, one, factor, **_):
        known = [_number(value) for value in (half, one, factor)]
        return None not in known and np.allclose(known, [0.5, 1, 0.5**0.5], rtol=1e-7)

    def rewrite(self, op, x, half, one, **_):
        root = op.Constant(value=ir.tensor(np.array(2**0.5, "float32")))
        return op.Mul(op.Mul(x, op.Add(op.Erf(op.Div(x, root)), one)), half)


class GeluOf20(Gelu):
    def rewrite(self, op, x, **_):
        return op.Gelu(x)


class GeluOfErfc(Gelu):
    """The same from the complement, erfc(-z) = 1 - erf(-z), as TensorFlow's `gelu` computes it."""

    def pattern(self, op, half, x, one, factor):
        return op.Mul(op.Mul(half, x), op.Sub(one, op.Erf(op.Mul(op.Neg(x), factor))))


class GeluOfErfcOf20(GeluOfErfc, GeluOf20):
    pass
