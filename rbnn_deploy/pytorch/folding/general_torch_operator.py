"""`torch.ops.rbnn.general_binary_conv2d`, as `torch_operator`: folded layers with thresholds or terms."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rbnn_deploy.operators import GeneralBinaryConv2dAttributes
from rbnn_deploy.pytorch.folding.torch_operator import check_input, schema_of, unpack_weight
from rbnn_deploy.pytorch.layers.signs import binary_sign, sample_mean

SCHEMA = schema_of(GeneralBinaryConv2dAttributes, "Tensor? thresholds, Tensor? window_sum, Tensor? border, ")


@torch.library.custom_op("rbnn::general_binary_conv2d", mutates_args=(), schema=SCHEMA)
def general_binary_conv2d(
    x: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor,
    thresholds: Tensor | None,
    window_sum: Tensor | None,
    border: Tensor | None,
    *values: Any,
) -> Tensor:
    """Computes docs/ops/GeneralBinaryConv2d.md without residual, activation and pad value, channels first.

    Args:
        x: float32 [N, C, H, W].
        weight: uint8 [O, KH, KW, ceil(C / groups / 8)].
        scale: float32 [O].
        bias: float32 [O].
        thresholds: float32 [C] or [1]; the operator's T.
        window_sum: float32 [O].
        border: float32 [KH, KW, O]; its sum has another order than the specification's.
        *values: The attributes, in the order of `GeneralBinaryConv2dAttributes`.

    Returns:
        float32 [N, O, OH, OW].

    Raises:
        ValueError: x has another shape, an attribute is outside its domain or not known here, or the kernel
            does not fit into the padded map.
    """
    a = GeneralBinaryConv2dAttributes.from_values(*values)
    check_input(x, a)
    if (a.activation, a.residual, a.pad_value) != ("none", "before_activation", 0):
        raise ValueError("in torch activation, residual and other padding are modules of their own")
    if thresholds is not None:
        signs = binary_sign(x, thresholds.view(-1, 1, 1))
    else:
        signs = binary_sign(x, sample_mean(x) if a.threshold == "sample_mean" else 0.0)
    top, left, bottom, right = a.pads
    sides = (left, right, top, bottom)
    padded = F.pad(signs, sides)
    weights = unpack_weight(weight, a.group_channels)
    acc = F.conv2d(padded, weights, stride=a.strides, dilation=a.dilations, groups=a.groups)
    y = acc.round() * scale.view(-1, 1, 1) + bias.view(-1, 1, 1)
    if border is not None:
        outside = F.pad(torch.zeros_like(x[:1, :1]), sides, value=1.0)
        kernel = border.permute(2, 0, 1).unsqueeze(1)
        y = y + F.conv2d(outside, kernel, stride=a.strides, dilation=a.dilations)
    if window_sum is not None:
        ones = torch.ones_like(weights[: a.groups])
        sums = F.conv2d(padded, ones, stride=a.strides, dilation=a.dilations, groups=a.groups).round()
        sums = sums.repeat_interleave(len(weights) // a.groups, 1)
        y = y + sums * window_sum.view(-1, 1, 1)
    return y


@general_binary_conv2d.register_fake
def _(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, *rest: Any) -> Tensor:
    a = GeneralBinaryConv2dAttributes.from_values(*rest[3:])
    check_input(x, a)
    outputs, kh, kw, _ = weight.shape
    oh, ow = a.output_size((x.shape[2], x.shape[3]), (int(kh), int(kw)))
    return x.new_empty((x.shape[0], int(outputs), oh, ow))
