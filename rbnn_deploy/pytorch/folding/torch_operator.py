"""`torch.ops.rbnn.binary_conv2d`: the folded layer as one operator, which torch.export keeps whole."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rbnn_deploy.bits import BITS_PER_BYTE
from rbnn_deploy.operators import BinaryConv2dAttributes
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


def _check_input(x: Tensor, channels: int) -> None:
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(f"a binary layer takes [N, {channels}, H, W], not {list(x.shape)}")


@torch.library.custom_op("rbnn::binary_conv2d", mutates_args=())
def binary_conv2d(
    x: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor,
    channels: int,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    threshold: str,
) -> Tensor:
    """Computes docs/ops/BinaryConv2d.md without residual and activation, channels first.

    Args:
        x: float32 [N, C, H, W].
        weight: uint8 [O, KH, KW, ceil(C / groups / 8)].
        scale: float32 [O].
        bias: float32 [O].
        channels: C.
        strides: (vertical, horizontal).
        pads: (top, left, bottom, right).
        dilations: (vertical, horizontal).
        groups: Divides C and O.
        threshold: "sample_mean" or "zero".

    Returns:
        float32 [N, O, OH, OW].

    Raises:
        ValueError: x has another shape, or the kernel does not fit into the padded map.
    """
    _check_input(x, channels)
    # torch's float64 sum has another order than the specification's; after rounding to float32 that
    # shows only where the mean lies within 1e-16 (relative) of a rounding boundary.
    signs = binary_sign(x, sample_mean(x) if threshold == "sample_mean" else 0.0)
    top, left, bottom, right = pads
    padded = F.pad(signs, (left, right, top, bottom))
    acc = F.conv2d(
        padded,
        unpack_weight(weight, channels // groups),
        stride=tuple(strides),
        dilation=tuple(dilations),
        groups=groups,
    )
    # A backend may choose a Winograd algorithm, whose float32 result is off by far less than one half.
    return acc.round() * scale.view(-1, 1, 1) + bias.view(-1, 1, 1)


@binary_conv2d.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor,
    channels: int,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    threshold: str,
) -> Tensor:
    _check_input(x, channels)
    attributes = BinaryConv2dAttributes.from_mapping(
        {
            "channels": channels,
            "strides": tuple(strides),
            "pads": tuple(pads),
            "dilations": tuple(dilations),
            "groups": groups,
            "threshold": threshold,
            "activation": "none",
        }
    )
    outputs, kh, kw, _ = weight.shape
    oh, ow = attributes.output_size((x.shape[2], x.shape[3]), (int(kh), int(kw)))
    return x.new_empty((x.shape[0], int(outputs), oh, ow))
