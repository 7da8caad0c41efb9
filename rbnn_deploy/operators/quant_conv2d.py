"""`ai.rbnn::QuantConv2d` (docs/ops/QuantConv2d.md): the table of its attributes and inputs."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from rbnn_deploy.operators.activations import Activation
from rbnn_deploy.operators.convolution import ConvolutionAttributes
from rbnn_deploy.operators.domain import QUANT_CONV2D
from rbnn_deploy.operators.fields import Input, Operator, Within
from rbnn_deploy.operators.limits import ACTIVATION_RANGE

Layout = Literal["channels_first", "channels_last"]
Size = tuple[int, int]


@dataclass(frozen=True)
class QuantConv2dAttributes(ConvolutionAttributes):
    """The attributes of one QuantConv2d node; every one is written on the node.

    `strides`, `pads`, `dilations` and `groups` are those of the convolution, whose input is the map of means.
    """

    operator: ClassVar[str] = QUANT_CONV2D

    layout: Annotated[Layout, Within("of X")] = "channels_last"
    mean_kernel: Annotated[Size, Within("rows and columns of the mean in front; 0 is all of them")] = (1, 1)
    mean_strides: Annotated[Size, Within("(vertical, horizontal)", least=1)] = (1, 1)
    low: Annotated[int, Within("the smallest integer of an activation", -ACTIVATION_RANGE, 0)] = -128
    high: Annotated[int, Within("the largest integer of an activation", 0, ACTIVATION_RANGE)] = 127
    activation: Annotated[Activation, Within("applied in front of the pool")] = "none"
    pool_kernel: Annotated[Size, Within("rows and columns of the max pool behind", least=1)] = (1, 1)
    pool_strides: Annotated[Size, Within("(vertical, horizontal)", least=1)] = (1, 1)
    pool_pads: Annotated[tuple[int, int, int, int], Within("(top, left, bottom, right)")] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ValueError: A value is outside its domain.
        """
        super().__post_init__()
        if self.high - self.low > ACTIVATION_RANGE:
            raise ValueError(f"high - low must be at most {ACTIVATION_RANGE}, not {self.high} - {self.low}")
        if any(pad >= self.pool_kernel[i % 2] for i, pad in enumerate(self.pool_pads)):
            raise ValueError(
                f"pool_pads {list(self.pool_pads)} must be smaller than pool_kernel {list(self.pool_kernel)}"
            )

    @property
    def has_mean(self) -> bool:
        """Whether a mean is in front; without, the convolution reads X itself."""
        return (*self.mean_kernel, *self.mean_strides) != (1, 1, 1, 1)

    @property
    def has_pool(self) -> bool:
        """Whether a max pool is behind."""
        return (*self.pool_kernel, *self.pool_strides) != (1, 1, 1, 1)

    def map_size(self, X: tuple[int, ...]) -> Size:
        """Returns (H, W) of an X of this shape, [N, C, H, W] or [N, H, W, C]."""
        return X[2:4] if self.layout == "channels_first" else X[1:3]  # type: ignore[return-value]

    def mean_window(self, size: Size) -> Size:
        """Returns the rows and columns of a window of the mean, for a map of `size` (H, W)."""
        return (self.mean_kernel[0] or size[0], self.mean_kernel[1] or size[1])

    def mean_size(self, size: Size) -> Size:
        """Computes the size of the map of means.

        Raises:
            ValueError: A window exceeds the map of `size` (H, W).
        """
        window = self.mean_window(size)
        if window[0] > size[0] or window[1] > size[1]:
            raise ValueError(f"a mean over {window} exceeds the map {size}")
        rows, columns = (
            (extent - taps) // stride + 1
            for extent, taps, stride in zip(size, window, self.mean_strides, strict=True)
        )
        return (rows, columns)

    def pooled_size(self, size: Size) -> Size:
        """Computes (PH, PW) for a convolution's output map of `size` (OH, OW).

        Raises:
            ValueError: A window exceeds the padded map.
        """
        top, left, bottom, right = self.pool_pads
        padded = (size[0] + top + bottom, size[1] + left + right)
        if self.pool_kernel[0] > padded[0] or self.pool_kernel[1] > padded[1]:
            raise ValueError(f"a pool window of {self.pool_kernel} exceeds the padded map {padded}")
        rows, columns = (
            (extent - taps) // stride + 1
            for extent, taps, stride in zip(padded, self.pool_kernel, self.pool_strides, strict=True)
        )
        return (rows, columns)


QUANT_CONV2D_OPERATOR = Operator(
    QUANT_CONV2D,
    (
        Input("X", "float", "[N, C, H, W] or [N, H, W, C]"),
        Input("W", "int8", "[O, KH, KW, C / groups]"),
        Input("scale", "float", "[O]"),
        Input("bias", "float", "[O]"),
        Input("factor", "float", "one element"),
        Input("R", "float", "[N, OH, OW, O] or one element", optional=True),
    ),
    "[N, PH, PW, O]",
    QuantConv2dAttributes,
)
