"""The operators of domain `ai.rbnn`: names, attributes and shapes, without any implementation.

`docs/ops/` is the specification; this package is the one place in Python where its names stand.
"""

from rbnn_deploy.operators.binary_conv2d import (
    Activation,
    BinaryConv2dAttributes,
    Threshold,
    binary_conv2d_schema,
)
from rbnn_deploy.operators.domain import BINARY_CONV2D, DOMAIN, DOMAIN_VERSION

__all__ = [
    "BINARY_CONV2D",
    "DOMAIN",
    "DOMAIN_VERSION",
    "Activation",
    "BinaryConv2dAttributes",
    "Threshold",
    "binary_conv2d_schema",
]
