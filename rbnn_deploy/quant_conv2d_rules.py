"""What QuantConv2d refuses beside single attributes (docs/ops/QuantConv2d.md).

A model's file is checked by these rules before it is loaded, and the NumPy backend's arguments when it runs.
The operator library has them in C++.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rbnn_deploy.binary_conv2d_rules import check_map
from rbnn_deploy.operators import QuantConv2dAttributes
from rbnn_deploy.operators.limits import INTEGER_LIMIT, LARGEST_WEIGHT

Size = tuple[int, int]


@dataclass(frozen=True)
class QuantSizes:
    """Rows and columns of a layer's maps.

    Attributes:
        x: Of X.
        mean: Of the convolution's input.
        conv: Of its output.
        pool: Of Y.
    """

    x: Size
    mean: Size
    conv: Size
    pool: Size


def check_quant_weights(W: Sequence[int], attributes: QuantConv2dAttributes) -> None:
    """Checks the shape of the weights.

    Args:
        W: Their shape, [O, KH, KW, C / groups].
        attributes: The node's.

    Raises:
        ValueError: It does not fit the attributes, or int32 might not hold a sum.
    """
    channels = attributes.group_channels
    if len(W) != 4 or W[3] != channels or 0 in W:
        raise ValueError(f"W must have shape [O, KH, KW, {channels}], not {list(W)}")
    out_channels, KH, KW, _ = W
    if out_channels % attributes.groups:
        raise ValueError(f"groups ({attributes.groups}) must divide the output channels ({out_channels})")
    largest = KH * KW * channels * max(-attributes.low, attributes.high, 1) * LARGEST_WEIGHT
    if largest >= INTEGER_LIMIT:
        raise ValueError(f"a sum of {KH * KW * channels} products can exceed int32")


def check_one_element(name: str, shape: Sequence[int]) -> None:
    """Checks that an input has one element.

    Raises:
        ValueError: It has none or several.
    """
    if math.prod(shape) != 1:
        raise ValueError(f"{name} must have one element, not shape {list(shape)}")


def quant_sizes(x: Size, kernel: Size, attributes: QuantConv2dAttributes) -> QuantSizes:
    """Computes the sizes of a layer's maps.

    Args:
        x: (H, W) of X.
        kernel: (KH, KW).
        attributes: The node's.

    Raises:
        ValueError: A kernel or a window exceeds its map, or nearly all of a map is padding.
    """
    mean = attributes.mean_size(x)
    conv = attributes.output_size(mean, kernel)
    check_map(mean, conv)
    pool = attributes.pooled_size(conv)
    check_map(conv, pool)
    return QuantSizes(x, mean, conv, pool)


def count_products(W: Sequence[int], x: Size, attributes: QuantConv2dAttributes) -> int:
    """Counts a layer's multiply-accumulates for one sample, taps in the padding included, as is usual.

    Args:
        W: The weights' shape, [O, KH, KW, C / groups].
        x: (H, W) of X.
        attributes: The node's.

    Raises:
        ValueError: See `quant_sizes`.
    """
    return math.prod(W) * math.prod(quant_sizes(x, (W[1], W[2]), attributes).conv)
