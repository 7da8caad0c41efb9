"""What BinaryConv2d refuses beside single attributes (docs/ops/BinaryConv2d.md).

A model's file is checked by these rules before it is loaded, and the NumPy backend's arguments when it runs.
The operator library has them in C++.
"""

from collections.abc import Sequence

from rbnn_deploy.bits import BITS_PER_BYTE
from rbnn_deploy.operators import BinaryConv2dAttributes

# Below it, every whole number is exact in float32.
SUM_LIMIT = 1 << 24
# An output map may have this many pixels, or so many times the pixels of the input map.
MAP_PIXELS, MAP_GROWTH = 1 << 22, 4


def check_weights(W: Sequence[int], attributes: BinaryConv2dAttributes) -> None:
    """Checks the shape of the packed weights.

    Args:
        W: Their shape, [O, KH, KW, ceil(C / groups / 8)].
        attributes: The node's.

    Raises:
        ValueError: It does not fit the attributes, or a sum could be inexact.
    """
    packed = attributes.packed_channels
    if len(W) != 4 or W[3] != packed or 0 in W:
        raise ValueError(
            f"W must have shape [O, KH, KW, {packed}], {BITS_PER_BYTE} channels per byte, not {list(W)}"
        )
    out_channels, KH, KW, _ = W
    if out_channels % attributes.groups:
        raise ValueError(f"groups ({attributes.groups}) must divide the output channels ({out_channels})")
    products = KH * KW * attributes.group_channels
    if products >= SUM_LIMIT:
        raise ValueError(f"a sum of {products} products is not exact in float32")


def check_per_channel(name: str, shape: Sequence[int], out_channels: int) -> None:
    """Checks the shape of scale or bias.

    Raises:
        ValueError: It is not [O].
    """
    if tuple(shape) != (out_channels,):
        raise ValueError(f"{name} must have shape [{out_channels}], not {list(shape)}")


def check_map(size: tuple[int, int], output_size: tuple[int, int]) -> None:
    """Checks that padding does not make an output map out of proportion to the input map.

    Args:
        size: (H, W).
        output_size: (OH, OW).

    Raises:
        ValueError: It does.
    """
    pixels = output_size[0] * output_size[1]
    if pixels > MAP_PIXELS and pixels > MAP_GROWTH * size[0] * size[1]:
        raise ValueError(
            f"pads make an output map of {output_size[0]} x {output_size[1]} pixels, "
            f"more than {MAP_GROWTH} times the input map"
        )
