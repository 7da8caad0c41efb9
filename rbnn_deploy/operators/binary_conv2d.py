"""`ai.rbnn::BinaryConv2d` (docs/ops/BinaryConv2d.md): the table of its attributes and inputs."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from rbnn_deploy.operators.activations import Activation
from rbnn_deploy.operators.convolution import CONVOLUTION_INPUTS, CONVOLUTION_OUTPUT, ConvolutionAttributes
from rbnn_deploy.operators.domain import BINARY_CONV2D
from rbnn_deploy.operators.fields import Operator, Within

Threshold = Literal["sample_mean", "zero"]


@dataclass(frozen=True)
class BinaryConv2dAttributes(ConvolutionAttributes):
    """The attributes of one BinaryConv2d node; every one is written on the node."""

    operator: ClassVar[str] = BINARY_CONV2D

    threshold: Annotated[Threshold, Within("what activations are compared with")] = "sample_mean"
    activation: Annotated[Activation, Within("applied last")] = "none"


BINARY_CONV2D_OPERATOR = Operator(
    BINARY_CONV2D, CONVOLUTION_INPUTS, CONVOLUTION_OUTPUT, BinaryConv2dAttributes
)
