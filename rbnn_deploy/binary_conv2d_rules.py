"""What binary convolutions refuse beside single attributes (docs/ops/).

A model's file is checked by these rules before it is loaded, and the NumPy backend's arguments when it runs.
The operator library has them in C++.
"""

import math
from collections.abc import Sequence

from rbnn_deploy.bits import BITS_PER_BYTE
from rbnn_deploy.operators import ConvolutionAttributes, GeneralBinaryConv2dAttributes
from rbnn_deploy.operators.limits import MAP_GROWTH, MAP_PIXELS, SUM_LIMIT


def check_weights(W: Sequence[int], attributes: ConvolutionAttributes) -> None:
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


def general_shapes(attributes: GeneralBinaryConv2dAttributes, W: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Returns the full shape of each input that GeneralBinaryConv2d has beside BinaryConv2d's.

    The shape is empty where no attribute reads the input: it is absent then, or of one element.

    Args:
        attributes: The node's.
        W: The shape of the packed weights, [O, KH, KW, ceil(C / groups / 8)].
    """
    out_channels, KH, KW, _ = W
    slopes = (out_channels,) if attributes.activation == "prelu" else ()
    return {
        "T": (attributes.channels,) if attributes.threshold == "per_channel" else (),
        "window_sum": (out_channels,),
        "neg": slopes,
        "pos": slopes,
        "post": slopes,
        "border": (KH, KW, out_channels),
    }


def check_general_input(name: str, shape: Sequence[int] | None, full: tuple[int, ...]) -> None:
    """Checks the shape of an input of `general_shapes`, with its full shape from there.

    Args:
        name: Of the input.
        shape: Its shape; None where it is absent.
        full: Its full shape.

    Raises:
        ValueError: It is absent and needed, or neither of one element nor of the full shape.
    """
    if shape is None:
        if full and name in ("T", "neg"):
            raise ValueError(f"{name} is missing, which the attributes need")
    elif math.prod(shape) != 1 and (not full or tuple(shape) != full):
        wanted = f"shape {list(full)} or one element" if full else "one element, as no attribute reads it"
        raise ValueError(f"{name} must have {wanted}, not {list(shape)}")


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
