"""Applies all rewrite rules to a converted graph: fewer and faster nodes, named after the layers.

tf2onnx converts TensorFlow's small operations one by one. The rules replace the operations of a layer by one operator.
Where the opset has no such operator, they write the form that ONNX Runtime recognizes and fuses when it loads the file.
They write standard operators only, so that every runtime reads the file.
"""

# Any value may lack a shape or a constant, which a rule's `check` tests before its `rewrite` runs. Both take the values
# of their pattern by name, so that every rule has another signature.
# mypy: disable-error-code="arg-type, assignment, index, misc, operator, override, return-value, union-attr"

import onnx
import onnx_ir as ir
from onnx_ir.passes import PassManager
from onnx_ir.passes import common as passes
from onnxscript.rewriter.pattern import RewriteRuleSet

from .fuse import (
    Attention,
    Gelu,
    GeluFromErfc,
    GeluFromErfcOpset20,
    GeluOpset20,
    LayerNormalization,
    MaskedSoftmax,
    OffsetIntoConvolution,
    RMSNormalization,
    RMSNormalizationOpset23,
    RotaryEmbedding,
    ScaleIntoConvolution,
    UnscaledRMSNormalization,
    UnscaledRMSNormalizationOpset23,
)
from .node_names import name_nodes
from .output_sigmoids import sigmoid_tails
from .simplify import (
    AddZero,
    ArithmeticSelectToWhere,
    DoubleReverseSequence,
    FullSlice,
    GatherOfGather,
    GatherWithNegativeIndices,
    GemmToMatMul,
    MatMulOfFlattenedInput,
    MultiplyByOne,
    ReshapeBackToOriginal,
    ReshapeOfConstant,
    ReshapeOfReshape,
    ReshapeOfUnsqueeze,
    ReshapeToConstantTarget,
    ReshapeToSameShape,
    SqueezeOfReshape,
    TransposeOfTranspose,
)
from .symbolic_shapes import infer_shapes, share_size_sources

PASSES = 20
"""Rounds, at most: a rule may write the pattern of another rule."""


def rewrite(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite a graph from tf2onnx into one that computes the same outputs with fewer nodes.

    Args:
        proto: its inputs have names for their dynamic dimensions.

    Returns:
        A new model of the same opset, inputs and outputs.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)  # the rewriter shares weights with its source, and renames them
    model = ir.from_proto(copy)
    tidy = PassManager(
        [
            passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            RemoveIdentities(),
            passes.DeduplicateInitializersPass(),
            passes.CommonSubexpressionEliminationPass(),
            passes.RemoveUnusedNodesPass(),
        ]
    )
    tidy(model)
    opset = model.opset_imports[""]
    rules = RewriteRuleSet([rule.rule() for opsets, rule in RULES if opset in opsets], commute=True)
    for _ in range(PASSES):
        infer_shapes(model)
        changes = rules.apply_to_model(model) + share_size_sources(model.graph)
        tidy(model)
        if not changes:
            break
    sigmoid_tails(model.graph)
    name_nodes(model.graph)
    rewritten = ir.to_proto(model)
    del rewritten.graph.value_info[:]
    rewritten.ir_version = proto.ir_version
    return rewritten


class RemoveIdentities(passes.IdentityEliminationPass):
    """Keeps the `Identity` of an output that equals another output, or a value from outside of its branch.

    The library's pass would leave one name for both, and it has no public option for this.
    """

    def _try_eliminate_identity_node(self, node: ir.Node) -> bool:
        if node.op_type != "Identity":
            return False
        (x,), (y,) = node.inputs, node.outputs
        is_needed = y.is_graph_output() and (x.is_graph_output() or x.graph is not node.graph)
        return not is_needed and super()._try_eliminate_identity_node(node)


NEWEST = 10**6
"""Above every opset."""
ALWAYS = range(NEWEST)
RULES = [
    (ALWAYS, ArithmeticSelectToWhere),
    (ALWAYS, GatherWithNegativeIndices),
    (ALWAYS, MatMulOfFlattenedInput),
    (ALWAYS, ReshapeOfReshape),
    (ALWAYS, ReshapeBackToOriginal),
    (ALWAYS, ReshapeOfUnsqueeze),
    (ALWAYS, SqueezeOfReshape),
    (ALWAYS, ReshapeOfConstant),
    (ALWAYS, GemmToMatMul),
    (ALWAYS, ReshapeToSameShape),
    (ALWAYS, ReshapeToConstantTarget),
    (ALWAYS, FullSlice),
    (ALWAYS, GatherOfGather),
    (ALWAYS, TransposeOfTranspose),
    (ALWAYS, MultiplyByOne),
    (ALWAYS, AddZero),
    (ALWAYS, DoubleReverseSequence),
    (ALWAYS, ScaleIntoConvolution),
    (ALWAYS, OffsetIntoConvolution),
    (ALWAYS, MaskedSoftmax),
    (range(17, NEWEST), LayerNormalization),
    (range(23), RMSNormalization),
    (range(23), UnscaledRMSNormalization),
    (range(23, NEWEST), RMSNormalizationOpset23),
    (range(23, NEWEST), UnscaledRMSNormalizationOpset23),
    (range(23, NEWEST), Attention),
    (range(23, NEWEST), RotaryEmbedding),
    (range(20), Gelu),
    (range(20), GeluFromErfc),
    (range(20, NEWEST), GeluOpset20),
    (range(20, NEWEST), GeluFromErfcOpset20),
]
"""The opsets for which a rule is applied, and the rule."""
