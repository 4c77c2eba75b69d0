"""Rules that remove nodes, or replace several simple nodes by one."""

# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"
import numpy as np
import onnx_ir as ir
from onnxscript.rewriter.pattern import RewriteRuleClassBase

from .symbolic_shapes import constant_value, scalar_value, shape_of, symbolic_values

OPEN_END = 10**9
"""tf2onnx ends a slice without an end at this number or a larger one."""


class Rule(RewriteRuleClassBase):
    """A rule that leaves the matched nodes: others may read them, and unused nodes are removed later."""

    def __init__(self):
        super().__init__(type(self).__name__, remove_nodes=False)


class ArithmeticSelectToWhere(Rule):
    """`condition * x + (1 - condition) * y` becomes `Where`, also because 0 times infinity is NaN."""

    def pattern(self, op, condition, x, y):
        return op.Add(op.Mul(op.Cast(condition), x), op.Mul(op.Cast(op.Not(condition)), y))

    def check(self, op, condition, **_):
        return condition.dtype == ir.DataType.BOOL

    def rewrite(self, op, condition, x, y):
        return op.Where(condition, x, y)


class GatherWithNegativeIndices(Rule):
    """`Gather` of indices to which Keras adds the size where they are negative becomes a plain `Gather`, as in ONNX."""

    def pattern(self, op, table, i, zero, rows):
        return op.Gather(table, op.Where(op.Less(op.Cast(i), zero), op.Add(i, rows), i), _outputs=["gathered"])

    def check(self, op, table, zero, rows, gathered, **_):
        axis = gathered.producer().attributes.get_int("axis", 0)
        return scalar_value(zero) == 0 and table.shape is not None and scalar_value(rows) == table.shape[axis]

    def rewrite(self, op, table, i, gathered, **_):
        return op.Gather(table, i, axis=gathered.producer().attributes.get_int("axis", 0))


class MatMulOfFlattenedInput(Rule):
    """`MatMul` of an input flattened to a matrix becomes `MatMul` of the input itself, then `Reshape`."""

    def pattern(self, op, x, flat, matrix):
        return op.MatMul(op.Reshape(x, flat), matrix)

    def check(self, op, x, flat, matrix, **_):
        shape, target = shape_of(x), constant_value(flat)
        if shape is None or target is None or matrix.shape is None or len(matrix.shape) != 2 or len(shape) < 3:
            return False
        features = shape[2:]
        whole = all(isinstance(size, int) for size in features) and target.tolist() == [-1, np.prod(features)]
        self.axes = 2 if whole else len(shape) - 1
        return whole or target.tolist() == [-1, shape[-1]]

    def rewrite(self, op, x, flat, matrix):
        if self.axes < len(x.shape) - 1:
            x = op.Reshape(x, op.Constant(value=ir.tensor(np.array([0, 0, constant_value(flat)[1]]))))
        return op.Reshape(op.MatMul(x, matrix), op.Constant(value=ir.tensor(np.array([-1, matrix.shape[1]]))))


class ReshapeOfReshape(Rule):
    """Two `Reshape`s become one, unless the second one is for `MatMulOfFlattenedInput`."""

    def pattern(self, op, x, first, second):
        return op.Reshape(op.Reshape(x, first, _outputs=["between"]), second)

    def check(self, op, second, between, **_):
        shape, target = shape_of(between), symbolic_values(second)
        if shape is None or target is None or 0 in target.tolist():
            return False
        return not (len(shape) > 2 and target.tolist() == [-1, shape[-1]])

    def rewrite(self, op, x, second, **_):
        return op.Reshape(x, second)


class ReshapeBackToOriginal(Rule):
    """Two `Reshape`s that end with the first shape are removed."""

    def pattern(self, op, x, first, second):
        return op.Reshape(op.Reshape(x, first), second, _outputs=["back"])

    def check(self, op, x, back, **_):
        shape = shape_of(x)
        return shape is not None and None not in shape and shape == shape_of(back)

    def rewrite(self, op, x, **_):
        return op.Identity(x)


class ReshapeOfUnsqueeze(Rule):
    """`Unsqueeze` then `Reshape` becomes `Reshape`."""

    def pattern(self, op, x, axes, target):
        return op.Reshape(op.Unsqueeze(x, axes), target)

    def check(self, op, target, **_):
        sizes = symbolic_values(target)
        return sizes is not None and 0 not in sizes.tolist()

    def rewrite(self, op, x, target, **_):
        return op.Reshape(x, target)


class SqueezeOfReshape(Rule):
    """`Reshape` then `Squeeze` becomes `Reshape`, where at most one dimension is dynamic."""

    def pattern(self, op, x, target, axes):
        return op.Squeeze(op.Reshape(x, target, _outputs=["reshaped"]), axes)

    def check(self, op, x, target, axes, reshaped):
        sizes, dropped, source = shape_of(reshaped), constant_value(axes), shape_of(x)
        if sizes is None or dropped is None or source is None:
            return False
        places = {int(axis) % len(sizes) for axis in dropped}
        left = [size for place, size in enumerate(sizes) if place not in places]
        # 0 keeps the size at the same position of the input
        kept = [0 if source[i : i + 1] == [size] and isinstance(size, str) else size for i, size in enumerate(left)]
        self.sizes = [size if isinstance(size, int) else -1 for size in kept]
        return self.sizes.count(-1) < 2 and all(sizes[place] == 1 for place in places)

    def rewrite(self, op, x, **_):
        return op.Reshape(x, op.Constant(value=ir.tensor(np.array(self.sizes, "int64"))))


class ReshapeOfConstant(Rule):
    """`Reshape` of a constant becomes a constant."""

    def pattern(self, op, x, target):
        return op.Reshape(x, target)

    def check(self, op, x, target):
        return constant_value(x) is not None and constant_value(target) is not None

    def rewrite(self, op, x, target):
        array = constant_value(x)
        sizes = [
            array.shape[i] if size == 0 else size for i, size in enumerate(constant_value(target))
        ]  # 0 keeps a size
        return op.Constant(value=ir.tensor(array.reshape(sizes)))


class GemmToMatMul(Rule):
    """`Gemm` without an offset, as tf2onnx writes an einsum, becomes `MatMul`, which takes inputs of any rank."""

    def pattern(self, op, x, matrix):
        return op.Gemm(x, matrix, _outputs=["product"])

    def check(self, op, matrix, product, **_):
        attributes = product.producer().attributes
        is_plain = attributes.get_float("alpha", 1.0) == 1 and not attributes.get_int("transA", 0)
        return is_plain and len(product.producer().inputs) == 2 and constant_value(matrix) is not None

    def rewrite(self, op, x, matrix, product):
        array = constant_value(matrix)
        if product.producer().attributes.get_int("transB", 0):
            array = np.ascontiguousarray(array.T)
        return op.MatMul(x, op.Constant(value=ir.tensor(array)))


class ReshapeToSameShape(Rule):
    """`Reshape` to the shape of its input is removed."""

    def pattern(self, op, x, target):
        return op.Reshape(x, target)

    def check(self, op, x, target):
        shape, sizes = shape_of(x), _target_shape(x, target)
        return sizes is not None and None not in shape and shape == sizes

    def rewrite(self, op, x, **_):
        return op.Identity(x)


class ReshapeToConstantTarget(Rule):
    """`Reshape` to a computed shape gets a constant one, where 0 keeps a size and -1 stands for the rest."""

    def pattern(self, op, x, target):
        return op.Reshape(x, target)

    def check(self, op, x, target):
        sizes = _target_shape(x, target)
        if sizes is None or constant_value(target) is not None:
            return False
        shape = shape_of(x)
        kept = [0 if i < len(shape) and size == shape[i] else size for i, size in enumerate(sizes)]
        self.sizes = [-1 if isinstance(size, str) else size for size in kept]
        return self.sizes.count(-1) < 2

    def rewrite(self, op, x, target):
        return op.Reshape(x, op.Constant(value=ir.tensor(np.array(self.sizes, "int64"))))


def _target_shape(x: ir.Value, target: ir.Value) -> list[int | str] | None:
    """The shape that a `Reshape` of `x` returns, with the size that -1 stands for. `None` if it is not known."""
    shape, sizes = shape_of(x), symbolic_values(target)
    if shape is None or None in shape or sizes is None or 0 in (shape_of_y := sizes.tolist()):
        return None
    if -1 in shape_of_y:
        numbers = [[size for size in sizes if isinstance(size, int) and size > 0] for sizes in (shape, shape_of_y)]
        names = [sorted(size for size in sizes if isinstance(size, str)) for sizes in (shape, shape_of_y)]
        missing = list(names[0])
        for name in names[1]:
            if name not in missing:
                return None
            missing.remove(name)
        left, rest = divmod(int(np.prod(numbers[0])), int(np.prod(numbers[1])))
        if rest or len(missing) > 1 or (missing and left != 1):
            return None
        shape_of_y[shape_of_y.index(-1)] = missing[0] if missing else left
    return shape_of_y


class FullSlice(Rule):
    """`Slice` of everything is removed."""

    def pattern(self, op, x, starts, ends, axes, steps):
        return op.Slice(x, starts, ends, axes, steps)

    def check(self, op, starts, ends, steps, **_):
        starts, ends, steps = (constant_value(value) for value in (starts, ends, steps))
        if starts is None or ends is None or steps is None:
            return False
        return (starts == 0).all() and (ends >= OPEN_END).all() and (steps == 1).all()

    def rewrite(self, op, x, **_):
        return op.Identity(x)


class GatherOfGather(Rule):
    """`Gather` from the rows that a `Gather` looked up becomes a look-up of gathered indices, which are smaller."""

    def pattern(self, op, table, i, flat, places):
        rows = op.Reshape(op.Gather(table, i, _outputs=["inner"]), flat)
        return op.Gather(rows, places, _outputs=["outer"])

    def check(self, op, table, flat, inner, outer, **_):
        along_rows = all(y.producer().attributes.get_int("axis", 0) == 0 for y in (inner, outer))
        shape, target = shape_of(table), constant_value(flat)
        return along_rows and shape is not None and target is not None and target.tolist() == [-1, *shape[1:]]

    def rewrite(self, op, table, i, places, **_):
        return op.Gather(table, op.Gather(op.Reshape(i, op.Constant(value=ir.tensor(np.array([-1])))), places))


class TransposeOfTranspose(Rule):
    """Two `Transpose`s become one, or are removed where the second one undoes the first."""

    def pattern(self, op, x, first, second):
        return op.Transpose(op.Transpose(x, perm=first), perm=second)

    def rewrite(self, op, x, first, second):
        perm = [first.as_ints()[axis] for axis in second.as_ints()]
        return op.Identity(x) if perm == sorted(perm) else op.Transpose(x, perm=perm)


class MultiplyByOne(Rule):
    """`x * 1`, which a `Rescaling` without a scale writes, is removed."""

    neutral = 1

    def pattern(self, op, x, number):
        return op.Mul(x, number)

    def check(self, op, x, number):
        return scalar_value(number) == self.neutral and x.shape is not None and len(number.shape) <= len(x.shape)

    def rewrite(self, op, x, **_):
        return op.Identity(x)


class AddZero(MultiplyByOne):
    """`x + 0`, which a `Rescaling` without an offset writes, is removed."""

    neutral = 0

    def pattern(self, op, x, number):
        return op.Add(x, number)


class DoubleReverseSequence(Rule):
    """Two `ReverseSequence`s of the same lengths and axes are removed."""

    def pattern(self, op, x, lengths, again):
        once = op.ReverseSequence(x, lengths, _outputs=["once"])
        return op.ReverseSequence(once, again, _outputs=["twice"])

    def check(self, op, lengths, again, once, twice, **_):
        axes = [
            [y.producer().attributes.get_int(name, default) for name, default in (("batch_axis", 1), ("time_axis", 0))]
            for y in (once, twice)
        ]
        return lengths is again and axes[0] == axes[1]

    def rewrite(self, op, x, **_):
        return op.Identity(x)
