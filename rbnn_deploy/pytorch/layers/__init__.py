"""The binary layers of the method, for training and evaluation in PyTorch."""

from rbnn_deploy.pytorch.layers.binary_layer import BinaryLayer, conv2d_attributes
from rbnn_deploy.pytorch.layers.binary_linear import BinaryLinear, RotatedBinaryLinear, binary_linear
from rbnn_deploy.pytorch.layers.progress import begin_epoch, binary_layers, set_training_progress
from rbnn_deploy.pytorch.layers.rotated_conv import (
    PAPER_ANGLE,
    RotatedBinaryConv2d,
    accept_angles,
    binary_convolution,
    rotated_layers,
    set_rotation_angle,
    update_rotations,
)
from rbnn_deploy.pytorch.layers.sign_conv import ScaledSignConv2d, SignConv2d
from rbnn_deploy.pytorch.layers.signs import SignGradient, binary_sign

__all__ = [
    "PAPER_ANGLE",
    "BinaryLayer",
    "BinaryLinear",
    "RotatedBinaryConv2d",
    "RotatedBinaryLinear",
    "ScaledSignConv2d",
    "SignConv2d",
    "SignGradient",
    "accept_angles",
    "begin_epoch",
    "binary_convolution",
    "binary_layers",
    "binary_linear",
    "binary_sign",
    "conv2d_attributes",
    "rotated_layers",
    "set_rotation_angle",
    "set_training_progress",
    "update_rotations",
]
