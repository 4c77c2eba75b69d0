"""A converted graph with its operations put together again: fewer, faster, with the names of the layers.

tf2onnx translates TensorFlow's small operations one by one. Here the ones that were one idea become one operator where
ONNX has it, or the spelling of it that ONNX Runtime knows and fuses when it loads the file, where the opset has none.
Only standard operators are written, so that every engine reads the file.
"""

# Shapes and constants may be missing of any value; a rule's `check` has seen to it before its `rewrite` runs, and both
# take by name what the pattern binds, so that no two rules have the same signature.
# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"

import itertools
import re
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import PassManager
from onnx_ir.passes import common as passes
from onnxscript.rewriter.pattern import RewriteRuleClassBase, RewriteRuleSet

ENDLESS = 10**9
"""Where tf2onnx ends a slice that goes to the end, at least."""
PASSES = 20
"""At most; what one rule writes may be what another looks for."""
LOW = -1e37
"""No score is large enough to change this number or a lower one."""
LONGEST = 64
"""Numbers in a tensor that holds sizes, at most."""


def fuse(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Put together what belongs together in a graph from tf2onnx; what it answers stays the same.

    Args:
        proto: its inputs with names for their free sizes.

    Returns:
        A new model of the same opset, inputs and outputs.
    """
    given = onnx.ModelProto()
    given.CopyFrom(proto)  # the new names would be written into its weights
    model = ir.from_proto(given)
    tidy = PassManager(
        [
            passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            Identities(),
            passes.DeduplicateInitializersPass(),
            passes.CommonSubexpressionEliminationPass(),
            passes.RemoveUnusedNodesPass(),
        ]
    )
    tidy(model)
    opset = model.opset_imports[""]
    rules = RewriteRuleSet([rule.rule() for made_in, rule in RULES if made_in[0] <= opset < made_in[1]], commute=True)
    for _ in range(PASSES):
        _infer_shapes(model)
        changes = rules.apply_to_model(model) + _one_source_of_sizes(model.graph)
        tidy(model)
        if not changes:
            break
    _name(model.graph)
    fused = ir.to_proto(model)
    del fused.graph.value_info[:]
    fused.ir_version = proto.ir_version
    return fused


class Identities(passes.IdentityEliminationPass):
    """But for an output that repeats another output, or hands on a value from around its branch.

    The library's pass would leave one name for both. It has no public way to say so.
    """

    def _try_eliminate_identity_node(self, node: ir.Node) -> bool:
        if node.op_type != "Identity":
            return False
        (x,), (y,) = node.inputs, node.outputs
        needed = y.is_graph_output() and (x.is_graph_output() or x.graph is not node.graph)
        return not needed and super()._try_eliminate_identity_node(node)


# ---------------------------------------------------------------------------------------------------- what is known


def _constant(value: ir.Value | None) -> np.ndarray | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _number(value: ir.Value | None) -> float | None:
    """The one number that a constant holds."""
    array = _constant(value)
    return array.item() if array is not None and array.size == 1 else None


def _is_last_axis(axes: ir.Value, x: ir.Value) -> bool:
    axis = _number(axes)
    return x.shape is not None and axis in (-1, len(x.shape) - 1)


def _shape(x: ir.Value) -> list[int | str | None] | None:
    """Numbers, names of free sizes, None for what is not known."""
    return None if x.shape is None else [size if isinstance(size, int) else size.value for size in x.shape]


def _sizes(value: ir.Value | None) -> np.ndarray | None:
    """A tensor that is computed from shapes alone: its numbers and the names of its free sizes, None if it is not."""
    if value is None or (value.dtype is not None and not value.dtype.is_integer()):
        return None
    array = _constant(value)
    if array is not None:
        return array.astype(object) if array.size <= LONGEST else None
    node = value.producer()
    if node is None:
        return None
    if node.op_type == "Shape":
        shape = _shape(node.inputs[0])
        part = slice(node.attributes.get_int("start", 0), node.attributes.get_int("end", None))
        return None if shape is None or None in shape[part] else np.array(shape[part], object)
    if node.op_type not in MOVES:
        return None
    inputs = [_sizes(x) for x in node.inputs]
    if any(x is None for x in inputs):
        return None
    return MOVES[node.op_type](node, *inputs)


def _slice(_: ir.Node, x, starts, ends, axes=None, steps=None) -> np.ndarray | None:
    if x.ndim != 1 or any(isinstance(end, str) for end in (*starts, *ends)):
        return None
    return x[slice(starts[0], ends[0], 1 if steps is None else steps[0])]


MOVES: dict[str, Callable] = {
    "Cast": lambda node, x: x,
    "Concat": lambda node, *parts: np.concatenate(parts),
    "Gather": lambda node, x, places: np.array(x[places.astype(int)], object) if x.ndim == 1 else None,
    "Slice": _slice,
    "Max": lambda node, *sizes: (
        np.maximum(*sizes) if all(isinstance(n, int) for x in sizes for n in np.ravel(x)) else None
    ),
    "ReduceProd": lambda node, x: np.array([np.prod(x)], object) if all(isinstance(n, int) for n in x) else None,
    "Squeeze": lambda node, x, *axes: x.reshape(()) if x.size == 1 else x,
    "Unsqueeze": lambda node, x, axes: x.reshape(1) if x.ndim == 0 else None,
}
"""Operations that move sizes about and leave their values."""


def _one_source_of_sizes(graph: ir.Graph) -> int:
    """Read each free size off one input, so that what is computed from it is seen to be the same everywhere."""
    sources: dict[str, tuple[ir.Value, int]] = {}
    for x in graph.inputs:
        for place, size in enumerate(_shape(x) or []):
            if isinstance(size, str):
                sources.setdefault(size, (x, place))
    changes = 0
    for node in list(graph):
        value = node.outputs[0]
        if node.op_type not in {*MOVES, "Shape"} or not value.uses() or value.is_graph_output():
            continue
        sizes = _sizes(value)
        if sizes is None or sizes.size > LONGEST or _is_source(node, sources):
            continue
        if all(isinstance(size, int) for size in sizes.ravel()):
            known = [ir.node("Constant", [], {"value": ir.tensor(sizes.astype(value.dtype.numpy()))})]
        elif sizes.size == 1 and sizes.item() in sources:
            known = _read(graph, *sources[sizes.item()], value.dtype, sizes.ndim)
        else:
            continue
        graph.insert_before(node, known)
        known[-1].outputs[0].dtype, known[-1].outputs[0].shape = value.dtype, ir.Shape(sizes.shape)
        value.replace_all_uses_with(known[-1].outputs[0])
        changes += 1
    return changes


def _read(graph: ir.Graph, x: ir.Value, place: int, dtype: ir.DataType, rank: int) -> list[ir.Node]:
    """The nodes that give one size of an input, as a number or a vector of one."""
    nodes = [ir.node("Shape", [x], {"start": place, "end": place + 1})]
    if dtype != ir.DataType.INT64:
        nodes.append(ir.node("Cast", [nodes[-1].outputs[0]], {"to": dtype}))
    if rank == 0:
        name = f"first_axis_{len(graph.initializers)}"
        axis = ir.Value(name=name, const_value=ir.tensor(np.array([0]), name=name))
        axis.dtype, axis.shape = ir.DataType.INT64, ir.Shape([1])
        graph.initializers[name] = axis
        nodes.append(ir.node("Squeeze", [nodes[-1].outputs[0], axis]))
    return nodes


def _infer_shapes(model: ir.Model) -> None:
    """ONNX's inference, told how long 0, 1, ... n - 1 is where n is a free size: by inputs in place of such ranges."""
    infer = passes.ShapeInferencePass(strict_mode=False)
    infer(model)
    stood_in = []
    for node in model.graph:
        length = _length(node) if node.op_type == "Range" else None
        if length is not None:
            y = node.outputs[0]
            stand_in = ir.Value(name=f"{y.name}_known", shape=ir.Shape([length]), type=ir.TensorType(y.dtype))
            y.replace_all_uses_with(stand_in)
            stood_in.append((stand_in, y))
    model.graph.inputs.extend(stand_in for stand_in, _ in stood_in)
    for node in model.graph:  # a name once given to a size that was not known would stay
        for value in node.outputs:
            value.shape = value.shape if value.is_graph_output() else None
    infer(model)
    for stand_in, y in stood_in:
        model.graph.inputs.remove(stand_in)
        stand_in.replace_all_uses_with(y)
        y.shape = stand_in.shape


def _length(node: ir.Node) -> int | str | None:
    start, limit, step = node.inputs
    if node.outputs[0].is_graph_output() or _number(start) != 0 or _number(step) != 1:
        return None
    if limit.dtype.is_floating_point() and limit.producer() is not None and limit.producer().op_type == "Cast":
        limit = limit.producer().inputs[0]
    sizes = _sizes(limit)
    return None if sizes is None else sizes.item()


def _is_source(node: ir.Node, sources: dict[str, tuple[ir.Value, int]]) -> bool:
    """Whether `node` is already one of those that `_one_source_of_sizes` writes."""
    while node is not None and node.op_type in ("Squeeze", "Cast"):
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Shape" or "start" not in node.attributes:
        return False
    return (node.inputs[0], node.attributes.get_int("start")) in sources.values()


# ------------------------------------------------------------------------------------------------------------ rules


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


ALWAYS = (1, 10**6)
RULES = [
    (ALWAYS, Choice),
    (ALWAYS, CountedFromTheEnd),
    (ALWAYS, MatrixOverTheLastAxis),
    (ALWAYS, ReshapeOfReshape),
    (ALWAYS, ReshapeBack),
    (ALWAYS, ReshapeOfUnsqueeze),
    (ALWAYS, SqueezeOfReshape),
    (ALWAYS, ReshapeOfConstant),
    (ALWAYS, GemmWithoutOffset),
    (ALWAYS, ReshapeToItself),
    (ALWAYS, ReshapeToConstant),
    (ALWAYS, SliceOfEverything),
    (ALWAYS, RowsOfRows),
    (ALWAYS, TransposeOfTranspose),
    (ALWAYS, TimesOne),
    (ALWAYS, PlusZero),
    (ALWAYS, ReversedTwice),
    (ALWAYS, ScaledPooling),
    (ALWAYS, ShiftedPooling),
    (ALWAYS, MaskedScores),
    ((17, 10**6), LayerNormalization),
    ((1, 23), RMSNormalization),
    ((1, 23), PlainRMSNormalization),
    ((23, 10**6), RMSNormalizationOf23),
    ((23, 10**6), PlainRMSNormalizationOf23),
    ((23, 10**6), Attention),
    ((23, 10**6), RotaryEmbedding),
    ((1, 20), Gelu),
    ((1, 20), GeluOfErfc),
    ((20, 10**6), GeluOf20),
    ((20, 10**6), GeluOfErfcOf20),
]
"""Each with the opsets that it writes for, from and to (not including)."""


# ------------------------------------------------------------------------------------------------------------ names


def _name(graph: ir.Graph) -> None:
    """Nodes, what they give and weights get the name of their layer and of what they do."""
    names = _Names(graph)
    for node in reversed(graph):  # a node that a rule made belongs to the layer of the node that it is for
        value = node.outputs[0]
        if not value.is_graph_output():
            node.name = value.name
        elif "/" not in (node.name or ""):
            node.name = f"{value.name}/{node.op_type}"
        used = [user for output in node.outputs for user, _ in output.uses()]
        node.name = names.of(node.name, node.op_type, used[0].name if used else "")
    for node in graph:
        for i, value in enumerate(node.outputs):
            if not value.is_graph_output():
                value.name = node.name if i == 0 else f"{node.name}:{i}"
    for value in list(graph.initializers.values()):
        del graph.initializers[value.name]
        value.name = value.const_value.name = names.of(value.name, "constant", next(iter(value.uses())).node.name)
        graph.initializers[value.name] = value


class _Names:
    """`model_1/dense_1/Cast/ReadVariableOp:0` to `dense`: TensorFlow counts how often a model was traced."""

    def __init__(self, graph: ir.Graph):
        self.taken = {value.name for value in (*graph.inputs, *graph.outputs)}
        scopes = [node.name.split("/")[0] for node in graph if "/" in (node.name or "")]
        self.root = max(set(scopes), key=scopes.count, default="")
        again = re.fullmatch(re.escape(graph.name or "") + r"(_\d+)", self.root)
        self.again = again.group(1) if again else ""

    def of(self, name: str | None, otherwise: str, user: str) -> str:
        name = re.sub(r"(:\d+|__\d+)+$", "", name or "")
        parts = [part.removesuffix(self.again) for part in name.split("/") if part not in NOISE]
        if "/" not in name:
            parts = [*user.split("/")[:-1], otherwise]
        elif parts[:1] == [self.root.removesuffix(self.again)]:
            parts = parts[1:]
        return self.unique("/".join(parts) or otherwise)

    def unique(self, name: str) -> str:
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
        found = next(name for name in names if name not in self.taken)
        self.taken.add(found)
        return found


NOISE = {"Cast", "ReadVariableOp", "resource", "ConstantFolding"}
