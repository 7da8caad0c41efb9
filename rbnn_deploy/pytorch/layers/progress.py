"""The steps of training that concern all binary layers of a module at once."""

import math
from collections.abc import Iterator

import torch
from torch import nn

from rbnn_deploy.pytorch.layers.rotated_conv import RotatedBinaryConv2d
from rbnn_deploy.pytorch.layers.signs import SignGradient


def binary_layers(module: nn.Module) -> Iterator[tuple[str, RotatedBinaryConv2d]]:
    """Yields the binary layers of a module with their names, in the order of definition."""
    for name, layer in module.named_modules():
        if isinstance(layer, RotatedBinaryConv2d):
            yield name, layer


def set_training_progress(
    module: nn.Module, epoch: float, epochs: float, t_min: float = 1e-2, t_max: float = 1e1
) -> SignGradient:
    """Sets the sign's gradient of all binary layers to an epoch's; see `SignGradient.at_epoch`.

    Returns:
        The gradient that was set.

    Raises:
        ValueError: `epoch` is outside 0 .. `epochs`.
    """
    gradient = SignGradient.at_epoch(epoch, epochs, t_min, t_max)
    for _, layer in binary_layers(module):
        layer.sign_gradient = gradient
    return gradient


def update_rotations(module: nn.Module) -> None:
    """Learns the rotations of all binary layers for their present weights."""
    for _, layer in binary_layers(module):
        layer.update_rotation()


@torch.no_grad()
def set_rotation_angle(module: nn.Module, theta: float = math.pi / 2) -> None:
    """Sets the angle of all channels of all binary layers.

    At the paper's pi / 2 no gradient reaches the weights until weight decay has moved the angle, which takes
    hundreds of epochs' worth of steps; a training of a few epochs starts at an angle like 0.4.
    """
    for _, layer in binary_layers(module):
        layer.rotate.fill_(theta)
