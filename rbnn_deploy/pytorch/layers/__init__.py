"""The binary layers of the method, for training and evaluation in PyTorch."""

from rbnn_deploy.pytorch.layers.progress import (
    binary_layers,
    set_rotation_angle,
    set_training_progress,
    update_rotations,
)
from rbnn_deploy.pytorch.layers.rotated_conv import RotatedBinaryConv2d
from rbnn_deploy.pytorch.layers.signs import SignGradient, binary_sign

__all__ = [
    "RotatedBinaryConv2d",
    "SignGradient",
    "binary_layers",
    "binary_sign",
    "set_rotation_angle",
    "set_training_progress",
    "update_rotations",
]
