"""`ai.rbnn::PackedBinaryConv2d` (docs/ops/PackedBinaryConv2d.md): its attributes and inputs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from rbnn_deploy.operators.convolution import ConvolutionAttributes
from rbnn_deploy.operators.domain import PACKED_BINARY_CONV2D
from rbnn_deploy.operators.fields import Input, Operator, Within

# A property that each node has beside its attributes: the channels whose bits in Y are opposite to the signs.
OPPOSITE_CHANNELS = "ai.rbnn.opposite_channels"


def write_channels(channels: Iterable[int]) -> str:
    """Writes channels as the property has them: numbers with commas between."""
    return ",".join(map(str, channels))


def read_channels(text: str, count: int) -> tuple[int, ...]:
    """Reads the property.

    Args:
        text: Its value.
        count: How many channels Y has.

    Raises:
        ValueError: It is none that `write_channels` writes for so many channels.
    """
    numbers = text.split(",") if text else []
    if not all(re.fullmatch("[0-9]{1,9}", number) and int(number) < count for number in numbers):
        raise ValueError(f"the property {OPPOSITE_CHANNELS} does not hold numbers of channels")
    return tuple(map(int, numbers))


@dataclass(frozen=True)
class PackedBinaryConv2dAttributes(ConvolutionAttributes):
    """The attributes of one PackedBinaryConv2d node; every one is written on the node."""

    operator: ClassVar[str] = PACKED_BINARY_CONV2D

    pad_value: Annotated[int, Within("what a padded tap counts", least=-1, most=1)] = 0
    pool: Annotated[tuple[int, int], Within("(height, width) of the max pool's windows", least=1)] = (1, 1)

    def output_size(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Computes (PH, PW) for an input map of `size` (H, W) and a kernel (KH, KW).

        Raises:
            ValueError: The kernel or the pool does not fit.
        """
        conv = self.conv_size(size, kernel)
        pooled = (conv[0] // self.pool[0], conv[1] // self.pool[1])
        if 0 in pooled:
            raise ValueError(f"a pool of {self.pool} exceeds the output map {conv}")
        return pooled


PACKED_BINARY_CONV2D_OPERATOR = Operator(
    PACKED_BINARY_CONV2D,
    (
        Input("X", "uint8", "[N, H, W, ceil(C / 8)]"),
        Input("W", "uint8", "[O, KH, KW, ceil(C / groups / 8)]"),
        Input("T", "int32", "[O]"),
    ),
    "[N, PH, PW, ceil(O / 8)]",
    PackedBinaryConv2dAttributes,
    "uint8",
)
