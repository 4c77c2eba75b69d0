"""Rules that remove nodes or replace several simple ones by one."""

# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"
import numpy as np
import onnx_ir as ir
from onnxscript.rewriter.pattern import RewriteRuleClassBase

from .symbolic_shapes import _constant, _number, _shape, _sizes

ENDLESS = 10**9
"""Where tf2onnx ends a slice that goes to the end, at least."""


class Rule(RewriteRuleClassBase):
    """A pattern may be used from elsewhere too: nodes go when nobody needs them any more."""

    def __init__(self):
        super().__init__(type(self).__name__, remove_nodes=False)


class Choice(Rule):
    """tf2onnx multiplies by 0 and 1 instead, which makes NaN of infinity."""

    def pattern(self, op, condition, x, y):
        return op.Add(op.Mul(op.Cast(condition), x), op.Mul(op.Cast(op.Not(condition)), y))

    def check(self, op, condition, **_):
        return condition.dtype == ir.DataType.BOOL

    def rewrite(self, op, condition, x, y):
        return op.Where(condition, x, y)


class CountedFromTheEnd(Rule):
    """ONNX's Gather counts negative places from the end as Keras does, who spells it out."""

    def pattern(self, op, table, i, zero, rows):
        return op.Gather(table, op.Where(op.Less(op.Cast(i), zero), op.Add(i, rows), i), _outputs=["gathered"])

    def check(self, op, table, zero, rows, gathered, **_):
        axis = gathered.producer().attributes.get_int("axis", 0)
        return _number(zero) == 0 and table.shape is not None and _number(rows) == table.shape[axis]

    def rewrite(self, op, table, i, gathered, **_):
        return op.Gather(table, i, axis=gathered.producer().attributes.get_int("axis", 0))


class MatrixOverTheLastAxis(Rule):
    """MatMul takes inputs of any rank: batch and time need not become one before it."""

    def pattern(self, op, x, flat, matrix):
        return op.MatMul(op.Reshape(x, flat), matrix)

    def check(self, op, x, flat, matrix, **_):
        shape, target = _shape(x), _constant(flat)
        if shape is None or target is None or matrix.shape is None or len(matrix.shape) != 2 or len(shape) < 3:
            return False
        features = shape[2:]
        whole = all(isinstance(size, int) for size in features) and target.tolist() == [-1, np.prod(features)]
        self.axes = 2 if whole else len(shape) - 1
        return whole or target.tolist() == [-1, shape[-1]]

    def rewrite(self, op, x, flat, matrix):
        if self.axes < len(x.shape) - 1:
            x = op.Reshape(x, op.Constant(value=ir.tensor(np.array([0, 0, _constant(flat)[1]]))))
        return op.Reshape(op.MatMul(x, matrix), op.Constant(value=ir.tensor(np.array([-1, matrix.shape[1]]))))


class ReshapeOfReshape(Rule):
    """But not where the second one is there to multiply: that one goes by `MatrixOverTheLastAxis`."""

    def pattern(self, op, x, first, second):
        return op.Reshape(op.Reshape(x, first, _outputs=["between"]), second)

    def check(self, op, second, between, **_):
        shape, target = _shape(between), _sizes(second)
        if shape is None or target is None or 0 in target.tolist():
            return False
        return not (len(shape) > 2 and target.tolist() == [-1, shape[-1]])

    def rewrite(self, op, x, second, **_):
        return op.Reshape(x, second)


class ReshapeBack(Rule):
    def pattern(self, op, x, first, second):
        return op.Reshape(op.Reshape(x, first), second, _outputs=["back"])

    def check(self, op, x, back, **_):
        shape = _shape(x)
        return shape is not None and None not in shape and shape == _shape(back)

    def rewrite(self, op, x, **_):
        return op.Identity(x)


class ReshapeOfUnsqueeze(Rule):
    def pattern(self, op, x, axes, target):
        return op.Reshape(op.Unsqueeze(x, axes), target)

    def check(self, op, target, **_):
        sizes = _sizes(target)
        return sizes is not None and 0 not in sizes.tolist()

    def rewrite(self, op, x, target, **_):
        return op.Reshape(x, target)


class SqueezeOfReshape(Rule):
    """One reshape where all but one size are known."""

    def pattern(self, op, x, target, axes):
        return op.Squeeze(op.Reshape(x, target, _outputs=["reshaped"]), axes)

    def check(self, op, x, target, axes, reshaped):
        sizes, dropped, source = _shape(reshaped), _constant(axes), _shape(x)
        if sizes is None or dropped is None or source is None:
            return False
        places = {int(axis) % len(sizes) for axis in dropped}
        left = [size for place, size in enumerate(sizes) if place not in places]
        # 0 keeps a size that stands where it stood
        kept = [0 if source[i : i + 1] == [size] and isinstance(size, str) else size for i, size in enumerate(left)]
        self.sizes = [size if isinstance(size, int) else -1 for size in kept]
        return self.sizes.count(-1) < 2 and all(sizes[place] == 1 for place in places)

    def rewrite(self, op, x, **_):
        return op.Reshape(x, op.Constant(value=ir.tensor(np.array(self.sizes, "int64"))))


class ReshapeOfConstant(Rule):
    def pattern(self, op, x, target):
        return op.Reshape(x, target)

    def check(self, op, x, target):
        return _constant(x) is not None and _constant(target) is not None

    def rewrite(self, op, x, target):
        array = _constant(x)
        sizes = [array.shape[i] if size == 0 else size for i, size in enumerate(_constant(target))]  # 0 keeps a size
        return op.Constant(value=ir.tensor(array.reshape(sizes)))


class GemmWithoutOffset(Rule):
    """tf2onnx writes an einsum as one; a MatMul takes inputs of any rank."""

    def pattern(self, op, x, matrix):
        return op.Gemm(x, matrix, _outputs=["product"])

    def check(self, op, matrix, product, **_):
        given = product.producer().attributes
        plain = given.get_float("alpha", 1.0) == 1 and not given.get_int("transA", 0)
        return plain and len(product.producer().inputs) == 2 and _constant(matrix) is not None

    def rewrite(self, op, x, matrix, product):
        array = _constant(matrix)
        if product.producer().attributes.get_int("transB", 0):
            array = np.ascontiguousarray(array.T)
        return op.MatMul(x, op.Constant(value=ir.tensor(array)))


class ReshapeToItself(Rule):
    def pattern(self, op, x, target):
        return op.Reshape(x, target)

    def check(self, op, x, target):
        shape, sizes = _shape(x), _target(x, target)
        return sizes is not None and None not in shape and shape == sizes

    def rewrite(self, op, x, **_):
        return op.Identity(x)


class ReshapeToConstant(Rule):
    """In ONNX 0 keeps a size and -1 stands for the one that is left."""

    def pattern(self, op, x, target):
        return op.Reshape(x, target)

    def check(self, op, x, target):
        sizes = _target(x, target)
        if sizes is None or _constant(target) is not None:
            return False
        shape = _shape(x)
        kept = [0 if i < len(shape) and size == shape[i] else size for i, size in enumerate(sizes)]
        self.sizes = [-1 if isinstance(size, str) else size for size in kept]
        return self.sizes.count(-1) < 2

    def rewrite(self, op, x, target):
        return op.Reshape(x, op.Constant(value=ir.tensor(np.array(self.sizes, "int64"))))


def _target(x: ir.Value, target: ir.Value) -> list[int | str] | None:
    """The shape that a Reshape makes of `x`, with the size that -1 stands for."""
    shape, sizes = _shape(x), _sizes(target)
    if shape is None or None in shape or sizes is None or 0 in (wanted := sizes.tolist()):
        return None
    if -1 in wanted:
        numbers = [[size for size in sizes if isinstance(size, int) and size > 0] for sizes in (shape, wanted)]
        names = [sorted(size for size in sizes if isinstance(size, str)) for sizes in (shape, wanted)]
        missing = list(names[0])
        for name in names[1]:
            if name not in missing:
                return None
            missing.remove(name)
        left, rest = divmod(int(np.prod(numbers[0])), int(np.prod(numbers[1])))
        if rest or len(missing) > 1 or (missing and left != 1):
            return None
        wanted[wanted.index(-1)] = missing[0] if missing else left
    return wanted


class SliceOfEverything(Rule):
    def pattern(self, op, x, starts, ends, axes, steps):
        return op.Slice(x, starts, ends, axes, steps)

    def check(self, op, starts, ends, steps, **_):
        known = [_constant(value) for value in (starts, ends, steps)]
        return all(a is not None for a in known) and (
            (known[0] == 0).all() and (known[1] >= ENDLESS).all() and (known[2] == 1).all()
        )

    def rewrite(self, op, x, **_):
        return op.Identity(x)


class RowsOfRows(Rule):
    """To choose among the places of an embedding, choose among the numbers that it is looked up by."""

    def pattern(self, op, table, i, flat, places):
        rows = op.Reshape(op.Gather(table, i, _outputs=["inner"]), flat)
        return op.Gather(rows, places, _outputs=["outer"])

    def check(self, op, table, flat, inner, outer, **_):
        along_rows = all(y.producer().attributes.get_int("axis", 0) == 0 for y in (inner, outer))
        shape, target = _shape(table), _constant(flat)
        return along_rows and shape is not None and target is not None and target.tolist() == [-1, *shape[1:]]

    def rewrite(self, op, table, i, places, **_):
        return op.Gather(table, op.Gather(op.Reshape(i, op.Constant(value=ir.tensor(np.array([-1])))), places))


class TransposeOfTranspose(Rule):
    def pattern(self, op, x, first, second):
        return op.Transpose(op.Transpose(x, perm=first), perm=second)

    def rewrite(self, op, x, first, second):
        perm = [first.as_ints()[axis] for axis in second.as_ints()]
        return op.Identity(x) if perm == sorted(perm) else op.Transpose(x, perm=perm)


class TimesOne(Rule):
    """And below plus zero: what a Rescaling leaves whose scale or offset is none."""

    neutral = 1

    def pattern(self, op, x, number):
        return op.Mul(x, number)

    def check(self, op, x, number):
        return _number(number) == self.neutral and x.shape is not None and len(number.shape) <= len(x.shape)

    def rewrite(self, op, x, **_):
        return op.Identity(x)


class PlusZero(TimesOne):
    neutral = 0

    def pattern(self, op, x, number):
        return op.Add(x, number)


class ReversedTwice(Rule):
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
