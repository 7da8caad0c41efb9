"""`ai.rbnn::GeneralBinaryConv2d` (docs/ops/GeneralBinaryConv2d.md): its attributes and inputs."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from rbnn_deploy.operators.convolution import CONVOLUTION_INPUTS, CONVOLUTION_OUTPUT, ConvolutionAttributes
from rbnn_deploy.operators.domain import GENERAL_BINARY_CONV2D
from rbnn_deploy.operators.fields import Input, Operator, Within

GeneralThreshold = Literal["sample_mean", "zero", "per_channel"]
GeneralActivation = Literal["none", "hardtanh", "relu", "prelu"]
ResidualPlace = Literal["before_activation", "after_activation"]


@dataclass(frozen=True)
class GeneralBinaryConv2dAttributes(ConvolutionAttributes):
    """The attributes of one GeneralBinaryConv2d node; every one is written on the node."""

    operator: ClassVar[str] = GENERAL_BINARY_CONV2D

    threshold: Annotated[GeneralThreshold, Within("what activations are compared with")] = "zero"
    activation: Annotated[GeneralActivation, Within("applied to the sums")] = "none"
    residual: Annotated[ResidualPlace, Within("where R is added")] = "before_activation"
    pad_value: Annotated[int, Within("what a padded tap counts", least=-1, most=1)] = 0


_CHANNELS = "[O] or one element"

GENERAL_BINARY_CONV2D_OPERATOR = Operator(
    GENERAL_BINARY_CONV2D,
    (
        *CONVOLUTION_INPUTS,
        Input("T", "float", "[C] or one element", optional=True),
        *(Input(name, "float", _CHANNELS, optional=True) for name in ("window_sum", "neg", "pos", "post")),
        Input("border", "float", "[KH, KW, O] or one element", optional=True),
    ),
    CONVOLUTION_OUTPUT,
    GeneralBinaryConv2dAttributes,
)
