"""Fuses what follows a BinaryConv2d into it: y = act(acc * scale + bias + R).

Preconditions common to all: nobody else uses the intermediate value, and the node has no activation yet,
which would come before what is fused.

1. Mul(y, m), m per channel or single, without R: scale m, bias m.
2. Add(y, a), a per channel or single: bias + a. Each composed in float64 and rounded once.
3. Add(y, r), r another value of the output's own shape, without R: R = r.
4. R = Add(r, a), a per channel: R = r and bias + a, one pass over the residual less.
5. Clip(y, -1, 1): activation hardtanh. Relu(y), or Clip(y, 0): activation relu.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule, RewriteRuleClassBase

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.exporters.onnx.rules.common import (
    Match,
    constant,
    constant_array,
    emit,
    emit_pattern,
    producer,
    same_shape,
    static_shape,
    text,
)
from rbnn_deploy.operators import BINARY_CONV2D, DOMAIN, DOMAIN_VERSION

RESIDUAL = 4  # index of the input R


def _conv_pattern(op: Match) -> ir.Value:
    value: ir.Value = getattr(op, BINARY_CONV2D)(
        _domain=DOMAIN, _allow_other_inputs=True, _allow_other_attributes=True, _outputs=["y"]
    )
    return value


def _rebuild(op: Match, node: ir.Node, inputs: dict[int, ir.Value], **attributes: str) -> ir.Value:
    """Builds a copy of a BinaryConv2d with some inputs and attributes replaced; it keeps the node's name."""
    merged = {**dict(enumerate(node.inputs)), **inputs}
    result = emit(
        op,
        BINARY_CONV2D,
        *(merged[i] for i in range(len(merged))),
        _domain=DOMAIN,
        _version=DOMAIN_VERSION,
        **{**node.attributes, **attributes},
    )
    producer(result).name = node.name
    result.shape, result.type = node.outputs[0].shape, node.outputs[0].type
    return result


def _per_channel(value: ir.Value, outputs: int) -> npt.NDArray[Any] | None:
    """Returns a constant that broadcasts along the last axis only, as [O]; else None."""
    array = constant_array(value)
    if array is None or array.shape[:-1] != (1,) * (array.ndim - 1) or array.size not in (1, outputs):
        return None
    return np.broadcast_to(array.reshape(-1), (outputs,))


def _affine(node: ir.Node) -> ChannelAffine | None:
    scale, bias = (constant_array(value) for value in node.inputs[2:4])
    return None if scale is None or bias is None else ChannelAffine(scale.astype(float), bias.astype(float))


def _affine_inputs(op: Match, affine: ChannelAffine) -> dict[int, ir.Value]:
    scale, bias = affine.rounded()
    return {2: constant(op, scale), 3: constant(op, bias)}


def _activated(node: ir.Node) -> bool:
    return text(node, "activation", "none") != "none"


def _has_residual(node: ir.Node) -> bool:
    return len(node.inputs) > RESIDUAL and node.inputs[RESIDUAL] is not None


class FuseAffine(RewriteRuleClassBase):
    """Rules 1 and 2."""

    def __init__(self, op_type: str, conv_left: bool) -> None:
        super().__init__(f"Fuse{op_type}IntoBinaryConv")
        self.op_type, self.conv_left = op_type, conv_left

    def pattern(self, op: Match, c: ir.Value) -> ir.Value:
        """Matches Mul or Add of the convolution and a value."""
        conv = _conv_pattern(op)
        return emit_pattern(op, self.op_type, [conv, c] if self.conv_left else [c, conv], outputs=["z"])

    def check(self, context: Match, c: ir.Value, y: ir.Value, z: ir.Value) -> MatchResult:
        """Requires constants per channel."""
        node = producer(y)
        affine = _affine(node)
        if affine is None or _per_channel(c, affine.multiplier.size) is None:
            return MatchResult().fail("the other operand, scale or bias is not a constant per channel")
        if _activated(node) or (self.op_type == "Mul" and _has_residual(node)):
            return MatchResult().fail("the convolution already has a later step fused")
        return MatchResult()

    def rewrite(self, op: Match, c: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """Builds the convolution with the composed map."""
        node = producer(y)
        affine = _affine(node)
        assert affine is not None
        values = _per_channel(c, affine.multiplier.size)
        assert values is not None
        wide = values.astype(np.float64)
        ones, zeros = np.ones_like(wide), np.zeros_like(wide)
        outer = ChannelAffine(wide, zeros) if self.op_type == "Mul" else ChannelAffine(ones, wide)
        return _rebuild(op, node, _affine_inputs(op, outer.after(affine)))


class FuseResidual(RewriteRuleClassBase):
    """Rule 3."""

    def __init__(self, conv_left: bool) -> None:
        super().__init__("FuseResidualIntoBinaryConv")
        self.conv_left = conv_left

    def pattern(self, op: Match, r: ir.Value) -> ir.Value:
        """Matches Add of the convolution and a value."""
        conv = _conv_pattern(op)
        return emit_pattern(op, "Add", [conv, r] if self.conv_left else [r, conv], outputs=["z"])

    def check(self, context: Match, r: ir.Value, y: ir.Value, z: ir.Value) -> MatchResult:
        """Requires a residual of exactly the output's shape."""
        node = producer(y)
        if _has_residual(node) or _activated(node):
            return MatchResult().fail("the convolution already has a residual or an activation")
        if r is y:
            return MatchResult().fail("the residual is the convolution's own output")
        if not same_shape(r, y):
            return MatchResult().fail(
                f"the residual's shape {static_shape(r)} is not known to be the output's {static_shape(y)}"
            )
        return MatchResult()

    def rewrite(self, op: Match, r: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """Builds the convolution with the residual."""
        return _rebuild(op, producer(y), {RESIDUAL: r})


class FuseResidualOffset(RewriteRuleClassBase):
    """Rule 4."""

    def pattern(
        self, op: Match, x: ir.Value, w: ir.Value, scale: ir.Value, bias: ir.Value, r: ir.Value, c: ir.Value
    ) -> ir.Value:
        """Matches a convolution whose residual ends in an addition."""
        residual = op.Add(r, c, _outputs=["sum"])
        value: ir.Value = getattr(op, BINARY_CONV2D)(
            x, w, scale, bias, residual, _domain=DOMAIN, _allow_other_attributes=True, _outputs=["y"]
        )
        return value

    def check(self, context: Match, c: ir.Value, r: ir.Value, y: ir.Value, **_: ir.Value) -> MatchResult:
        """Requires a constant per channel."""
        affine = _affine(producer(y))
        if affine is None or _per_channel(c, affine.multiplier.size) is None:
            return MatchResult().fail("what is added to the residual is not a constant per channel")
        return MatchResult()

    def rewrite(self, op: Match, c: ir.Value, r: ir.Value, y: ir.Value, **_: ir.Value) -> ir.Value:
        """Builds the convolution with the constant in its bias."""
        node = producer(y)
        affine = _affine(node)
        assert affine is not None
        values = _per_channel(c, affine.multiplier.size)
        assert values is not None
        moved = ChannelAffine(affine.multiplier, affine.offset + values)
        return _rebuild(op, node, {**_affine_inputs(op, moved), RESIDUAL: r})


class FuseActivation(RewriteRuleClassBase):
    """Rule 5."""

    def __init__(self, op_type: str) -> None:
        super().__init__(f"Fuse{op_type}IntoBinaryConv")
        self.op_type = op_type

    def pattern(self, op: Match) -> ir.Value:
        """Matches Clip or Relu of the convolution."""
        return emit_pattern(op, self.op_type, [_conv_pattern(op)], outputs=["z"], others=True)

    def _activation(self, z: ir.Value) -> str | None:
        if self.op_type == "Relu":
            return "relu"
        bounds = [constant_array(value) for value in producer(z).inputs[1:]]
        low, high = (
            None if bound is None else float(bound.reshape(())) for bound in (*bounds, None, None)[:2]
        )
        if (low, high) == (-1.0, 1.0):
            return "hardtanh"
        # An absent input is no bound, a computed one an unknown bound.
        unbounded = high == math.inf or len(producer(z).inputs) < 3 or producer(z).inputs[2] is None
        return "relu" if low == 0.0 and unbounded else None

    def check(self, context: Match, y: ir.Value, z: ir.Value) -> MatchResult:
        """Requires bounds that the operator has."""
        if self._activation(z) is None:
            return MatchResult().fail("the bounds are neither hardtanh's nor relu's")
        return MatchResult().fail("it has an activation") if _activated(producer(y)) else MatchResult()

    def rewrite(self, op: Match, y: ir.Value, z: ir.Value) -> ir.Value:
        """Builds the convolution with the activation."""
        activation = self._activation(z)
        assert activation is not None
        return _rebuild(op, producer(y), {}, activation=activation)


def rules() -> list[RewriteRule]:
    """Returns the rules of this module."""
    affine = [FuseAffine.rule(op_type, left) for op_type in ("Mul", "Add") for left in (True, False)]
    residual = [FuseResidual.rule(conv_left=True), FuseResidual.rule(conv_left=False)]
    return [
        *affine,
        *residual,
        FuseResidualOffset.rule(),
        FuseActivation.rule("Clip"),
        FuseActivation.rule("Relu"),
    ]
