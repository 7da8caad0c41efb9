"""Rewrite rules (onnxscript.rewriter): channels-last layout first, then fusion into BinaryConv2d."""

from onnxscript.rewriter.pattern import RewriteRuleSet
from onnxscript.rewriter.rules.common import (
    no_op_transpose_rule,
    reshape_reshape_rule,
    transpose_transpose_rule,
)

from rbnn_deploy.exporters.onnx.rules import (
    clip_below_max_pool,
    fuse_batch_norm_into_gemm,
    fuse_binary_conv,
    hoist_above_max_pool,
    mean_as_product,
    sink_affine,
    sink_elementwise,
    sink_movement,
    sink_pooling,
)

__all__ = ["fusion_rules", "hoisting_rules", "layout_rules"]


def hoisting_rules() -> RewriteRuleSet:
    """Rules that bring BatchNorm and activation in front of a max pool, next to their convolution."""
    return RewriteRuleSet(hoist_above_max_pool.rules())


def layout_rules() -> RewriteRuleSet:
    """Rules that move every Transpose out of the binary trunk."""
    sinking = (sink_elementwise, sink_movement, sink_pooling, sink_affine)
    rules = [transpose_transpose_rule, no_op_transpose_rule]
    return RewriteRuleSet(rules + [rule for module in sinking for rule in module.rules()])


def fusion_rules() -> RewriteRuleSet:
    """Rules that make one node of each binary layer, and lighten the float stem and head."""
    float_rest = fuse_batch_norm_into_gemm.rules() + clip_below_max_pool.rules() + mean_as_product.rules()
    return RewriteRuleSet([*fuse_binary_conv.rules(), *float_rest, reshape_reshape_rule])
