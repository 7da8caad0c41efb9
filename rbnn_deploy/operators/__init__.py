"""The operators of domain `ai.rbnn`: names, attributes and shapes, without any implementation.

`docs/ops/` is the specification; this package is the one place in Python where its names stand. It needs no
package but NumPy; `schema`, which onnx's tools ask for, needs onnx.
"""

from rbnn_deploy.operators.activations import BOUNDS, Activation, activation_between
from rbnn_deploy.operators.binary_conv2d import (
    BINARY_CONV2D_OPERATOR,
    CONV_ATTRIBUTES,
    BinaryConv2dAttributes,
    Threshold,
)
from rbnn_deploy.operators.domain import BINARY_CONV2D, DOMAIN, DOMAIN_VERSION
from rbnn_deploy.operators.fields import Field, Input, Operator, OperatorAttributes

OPERATORS = {operator.name: operator for operator in (BINARY_CONV2D_OPERATOR,)}

__all__ = [
    "BINARY_CONV2D",
    "BINARY_CONV2D_OPERATOR",
    "BOUNDS",
    "CONV_ATTRIBUTES",
    "DOMAIN",
    "DOMAIN_VERSION",
    "OPERATORS",
    "Activation",
    "BinaryConv2dAttributes",
    "Field",
    "Input",
    "Operator",
    "OperatorAttributes",
    "Threshold",
    "activation_between",
]
