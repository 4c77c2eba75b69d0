"""A converted graph with its operations put together again: fewer, faster, with the names of the layers.

tf2onnx translates TensorFlow's small operations one by one. Here the ones that were one idea become one operator where
ONNX has it, or the spelling of it that ONNX Runtime knows and fuses when it loads the file, where the opset has none.
Only standard operators are written, so that every engine reads the file.
"""

# Shapes and constants may be missing of any value; a rule's `check` has seen to it before its `rewrite` runs, and both
# take by name what the pattern binds, so that no two rules have the same signature.
# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"

import onnx
import onnx_ir as ir
from onnx_ir.passes import PassManager
from onnx_ir.passes import common as passes
from onnxscript.rewriter.pattern import RewriteRuleSet

from .fuse import (
    Attention,
    Gelu,
    GeluOf20,
    GeluOfErfc,
    GeluOfErfcOf20,
    LayerNormalization,
    MaskedScores,
    PlainRMSNormalization,
    PlainRMSNormalizationOf23,
    RMSNormalization,
    RMSNormalizationOf23,
    RotaryEmbedding,
    ScaledPooling,
    ShiftedPooling,
)
from .node_names import _name
from .simplify import (
    Choice,
    CountedFromTheEnd,
    GemmWithoutOffset,
    MatrixOverTheLastAxis,
    PlusZero,
    ReshapeBack,
    ReshapeOfConstant,
    ReshapeOfReshape,
    ReshapeOfUnsqueeze,
    ReshapeToConstant,
    ReshapeToItself,
    ReversedTwice,
    RowsOfRows,
    SliceOfEverything,
    SqueezeOfReshape,
    TimesOne,
    TransposeOfTranspose,
)
from .symbolic_shapes import _infer_shapes, _one_source_of_sizes

PASSES = 20
"""At most; what one rule writes may be what another looks for."""


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


# ------------------------------------------------------------------------------------------------------------ rules


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
