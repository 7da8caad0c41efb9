"""The operators of domain `ai.rbnn`: names, attributes and shapes, without any implementation.

`docs/ops/` is the specification; this package is the one place in Python where its names stand. It needs no
package but NumPy; `schema`, which onnx's tools ask for, needs onnx.
"""

from rbnn_deploy.operators.activations import BOUNDS, Activation, activation_between
from rbnn_deploy.operators.binary_conv2d import BINARY_CONV2D_OPERATOR, BinaryConv2dAttributes, Threshold
from rbnn_deploy.operators.convolution import CONV_ATTRIBUTES, ConvolutionAttributes
from rbnn_deploy.operators.domain import (
    BINARY_CONV2D,
    DOMAIN,
    DOMAIN_VERSION,
    GENERAL_BINARY_CONV2D,
    PACK_SIGNS,
    PACKED_BINARY_CONV2D,
    QUANT_CONV2D,
    UNPACK_SIGNS,
)
from rbnn_deploy.operators.fields import Field, Input, Operator, OperatorAttributes
from rbnn_deploy.operators.general_binary_conv2d import (
    GENERAL_BINARY_CONV2D_OPERATOR,
    GeneralActivation,
    GeneralBinaryConv2dAttributes,
    GeneralThreshold,
)
from rbnn_deploy.operators.packed_binary_conv2d import (
    OPPOSITE_CHANNELS,
    PACKED_BINARY_CONV2D_OPERATOR,
    PackedBinaryConv2dAttributes,
    read_channels,
    write_channels,
)
from rbnn_deploy.operators.quant_conv2d import QUANT_CONV2D_OPERATOR, QuantConv2dAttributes
from rbnn_deploy.operators.sign_packing import (
    PACK_SIGNS_OPERATOR,
    UNPACK_SIGNS_OPERATOR,
    PackSignsAttributes,
    UnpackSignsAttributes,
)

OPERATORS = {
    operator.name: operator
    for operator in (
        BINARY_CONV2D_OPERATOR,
        GENERAL_BINARY_CONV2D_OPERATOR,
        PACKED_BINARY_CONV2D_OPERATOR,
        PACK_SIGNS_OPERATOR,
        UNPACK_SIGNS_OPERATOR,
        QUANT_CONV2D_OPERATOR,
    )
}
# The ones with weights of one bit.
BINARY_CONVOLUTIONS = frozenset(
    name
    for name, operator in OPERATORS.items()
    if issubclass(operator.attributes, ConvolutionAttributes) and name != QUANT_CONV2D
)

__all__ = [
    "BINARY_CONV2D",
    "BINARY_CONV2D_OPERATOR",
    "BINARY_CONVOLUTIONS",
    "BOUNDS",
    "CONV_ATTRIBUTES",
    "DOMAIN",
    "DOMAIN_VERSION",
    "GENERAL_BINARY_CONV2D",
    "GENERAL_BINARY_CONV2D_OPERATOR",
    "OPERATORS",
    "OPPOSITE_CHANNELS",
    "PACKED_BINARY_CONV2D",
    "PACKED_BINARY_CONV2D_OPERATOR",
    "PACK_SIGNS",
    "PACK_SIGNS_OPERATOR",
    "QUANT_CONV2D",
    "QUANT_CONV2D_OPERATOR",
    "UNPACK_SIGNS",
    "UNPACK_SIGNS_OPERATOR",
    "Activation",
    "BinaryConv2dAttributes",
    "ConvolutionAttributes",
    "Field",
    "GeneralActivation",
    "GeneralBinaryConv2dAttributes",
    "GeneralThreshold",
    "Input",
    "Operator",
    "OperatorAttributes",
    "PackSignsAttributes",
    "PackedBinaryConv2dAttributes",
    "QuantConv2dAttributes",
    "Threshold",
    "UnpackSignsAttributes",
    "activation_between",
    "read_channels",
    "write_channels",
]
