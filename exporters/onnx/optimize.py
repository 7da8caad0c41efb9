"""Exported graph -> lean graph: onnxsim, channels-last layout, fusion."""

import onnxsim
from onnx_ir.passes import Sequential
from onnx_ir.passes import common as passes
from onnxscript import ir
from onnxscript.rewriter.pattern import RewriteRuleSet

from rbnn_deploy.exporters.onnx.rules import fusion_rules, hoisting_rules, layout_rules

MAX_ROUNDS = 1000


def simplify(model: ir.Model) -> ir.Model:
    """Runs onnxsim: constant folding, BatchNorm into float convolutions, removal of what does nothing.

    Its own numerical check is left out: it cannot run our operator. `rbnn-deploy compare` does that.
    """
    proto, _ = onnxsim.simplify(ir.to_proto(model), check_n=0)
    simplified: ir.Model = ir.from_proto(proto)
    return simplified


def _apply(rules: RewriteRuleSet, model: ir.Model) -> None:
    """Applies rules until none of them matches; each moves a node one step, so long chains take rounds."""
    clean = Sequential(
        passes.IdentityEliminationPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
    )
    for _ in range(MAX_ROUNDS):
        count = rules.apply_to_model(model)
        clean(model)
        if not count:
            return
    raise RuntimeError("the rewrite rules do not come to an end")


def to_channels_last(model: ir.Model) -> None:
    """Moves every Transpose out of the region of binary layers, in place."""
    _apply(hoisting_rules(), model)
    _apply(layout_rules(), model)


def fuse(model: ir.Model) -> None:
    """Makes one node of each binary layer, in place."""
    _apply(fusion_rules(), model)


def tidy(model: ir.Model) -> None:
    """Moves constants to the initializers, once each, and drops what nobody uses, in place."""
    Sequential(
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.ClearMetadataAndDocStringPass(),
        passes.TopologicalSortPass(),
    )(model)
