"""`torch.ops.rbnn.binary_conv2d`: the folded layer as one operator, which torch.export keeps whole."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rbnn_deploy.bits import BITS_PER_BYTE
from rbnn_deploy.operators import (
    BOUNDS,
    BinaryConv2dAttributes,
    ConvolutionAttributes,
    OperatorAttributes,
)
from rbnn_deploy.pytorch.layers.signs import binary_sign, sample_mean


def unpack_weight(packed: Tensor, channels: int) -> Tensor:
    """Unpacks one-bit weights (rbnn_deploy.bits) on their own device.

    Args:
        packed: uint8 [O, KH, KW, ceil(channels / 8)].
        channels: Input channels of one group.

    Returns:
        float32 [O, channels, KH, KW], each +1 or -1.
    """
    shifts = torch.arange(BITS_PER_BYTE, device=packed.device, dtype=torch.uint8)
    bits = (packed.unsqueeze(-1) >> shifts) & 1
    signs = bits.flatten(-2)[..., :channels].to(torch.float32) * 2 - 1
    return signs.permute(0, 3, 1, 2)


def check_input(x: Tensor, attributes: ConvolutionAttributes) -> None:
    """Checks the shape of a layer's input.

    Raises:
        ValueError: It is not [N, C, H, W].
    """
    if x.ndim != 4 or x.shape[1] != attributes.channels:
        raise ValueError(f"a binary layer takes [N, {attributes.channels}, H, W], not {list(x.shape)}")


def _read(x: Tensor, values: tuple[Any, ...]) -> BinaryConv2dAttributes:
    attributes = BinaryConv2dAttributes.from_values(*values)
    check_input(x, attributes)
    return attributes


# torch infers an operator's schema from a Python signature, which would be one more list of the attributes.
_TYPES = {"INT": "int", "INTS": "int[]", "STRING": "str"}


def schema_of(attributes: type[OperatorAttributes], more: str = "") -> str:
    """Writes a torch operator's schema.

    Args:
        attributes: The operator's table.
        more: Arguments between the tensors that all have and the attributes, each with a comma behind it.
    """
    listed = ", ".join(f"{_TYPES[field.kind]} {field.name}" for field in attributes.fields())
    return f"(Tensor x, Tensor weight, Tensor scale, Tensor bias, {more}{listed}) -> Tensor"


SCHEMA = schema_of(BinaryConv2dAttributes)


@torch.library.custom_op("rbnn::binary_conv2d", mutates_args=(), schema=SCHEMA)
def binary_conv2d(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, *values: Any) -> Tensor:
    """Computes docs/ops/BinaryConv2d.md without residual, channels first.

    Args:
        x: float32 [N, C, H, W].
        weight: uint8 [O, KH, KW, ceil(C / groups / 8)].
        scale: float32 [O].
        bias: float32 [O].
        *values: The attributes, in the order of `BinaryConv2dAttributes`.

    Returns:
        float32 [N, O, OH, OW].

    Raises:
        ValueError: x has another shape, an attribute is outside its domain, or the kernel does not fit into
            the padded map.
    """
    a = _read(x, values)
    # torch's float64 sum has another order than the specification's; after rounding to float32 that
    # shows only where the mean lies within 1e-16 (relative) of a rounding boundary.
    signs = binary_sign(x, sample_mean(x) if a.threshold == "sample_mean" else 0.0)
    top, left, bottom, right = a.pads
    padded = F.pad(signs, (left, right, top, bottom))
    weights = unpack_weight(weight, a.group_channels)
    acc = F.conv2d(padded, weights, stride=a.strides, dilation=a.dilations, groups=a.groups)
    # A backend may choose a Winograd algorithm, whose float32 result is off by far less than one half.
    y = acc.round() * scale.view(-1, 1, 1) + bias.view(-1, 1, 1)
    if a.activation == "none":
        return y
    low, high = BOUNDS[a.activation]
    return torch.where(y < low, low, torch.where(y > high, high, y))  # as specified: a NaN passes


@binary_conv2d.register_fake
def _(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, *values: Any) -> Tensor:
    outputs, kh, kw, _ = weight.shape
    oh, ow = _read(x, values).output_size((x.shape[2], x.shape[3]), (int(kh), int(kw)))
    return x.new_empty((x.shape[0], int(outputs), oh, ow))
