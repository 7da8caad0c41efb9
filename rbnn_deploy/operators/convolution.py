"""What convolutions have in common: the attributes of their geometry, and binary ones their first inputs."""

from dataclasses import dataclass
from typing import Annotated, Any

from rbnn_deploy.bits import packed_size
from rbnn_deploy.operators.fields import Input, OperatorAttributes, Within

# The attributes of ONNX's Conv that say a geometry, and what they are called here.
CONV_ATTRIBUTES = {"strides": "strides", "pads": "pads", "dilations": "dilations", "group": "groups"}


@dataclass(frozen=True)
class ConvolutionAttributes(OperatorAttributes):
    """The attributes that say where the taps of a convolution fall."""

    channels: Annotated[int, Within("input channels C", least=1)]
    strides: Annotated[tuple[int, int], Within("(vertical, horizontal)", least=1)] = (1, 1)
    pads: Annotated[tuple[int, int, int, int], Within("(top, left, bottom, right)")] = (0, 0, 0, 0)
    dilations: Annotated[tuple[int, int], Within("(vertical, horizontal)", least=1)] = (1, 1)
    groups: Annotated[int, Within("divides C and O", least=1)] = 1

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ValueError: A value is outside its domain.
        """
        super().__post_init__()
        if self.channels % self.groups:
            raise ValueError(f"groups ({self.groups}) must divide channels ({self.channels})")

    @property
    def group_channels(self) -> int:
        """Input channels of one group."""
        return self.channels // self.groups

    @property
    def packed_channels(self) -> int:
        """Bytes that one tap's binary weights of one output channel take: ceil(C / groups / 8)."""
        return packed_size(self.group_channels)

    def conv_attributes(self) -> dict[str, Any]:
        """Returns the attributes of the ONNX Conv that has this geometry."""
        values = self.to_dict()
        return {theirs: values[ours] for theirs, ours in CONV_ATTRIBUTES.items()}

    def output_size(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Computes the height and width of Y; see `conv_size`, which it is but for a pool."""
        return self.conv_size(size, kernel)

    def conv_size(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Computes (OH, OW) for an input map of `size` (H, W) and a kernel (KH, KW).

        Raises:
            ValueError: The kernel does not fit into the padded map.
        """
        (top, left, bottom, right) = self.pads
        out = []
        for extent, pad, taps, stride, dilation in zip(
            size, (top + bottom, left + right), kernel, self.strides, self.dilations, strict=True
        ):
            span = extent + pad - dilation * (taps - 1) - 1
            if span < 0:
                raise ValueError(
                    f"a kernel of {kernel} dilated by {self.dilations} exceeds the padded map {size}"
                )
            out.append(span // stride + 1)
        return (out[0], out[1])


CONVOLUTION_INPUTS = (
    Input("X", "float", "[N, H, W, C]"),
    Input("W", "uint8", "[O, KH, KW, ceil(C / groups / 8)]"),
    Input("scale", "float", "[O]"),
    Input("bias", "float", "[O]"),
    Input("R", "float", "[N, OH, OW, O] or one element", optional=True),
)
CONVOLUTION_OUTPUT = "[N, OH, OW, O]"
