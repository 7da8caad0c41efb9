"""The steps of training that concern all binary layers of a module at once."""

from collections.abc import Iterator

from torch import nn

from rbnn_deploy.pytorch.layers.binary_layer import BinaryLayer
from rbnn_deploy.pytorch.layers.signs import SignGradient


def binary_layers(module: nn.Module) -> Iterator[tuple[str, BinaryLayer]]:
    """Yields the binary layers of a module with their names, in the order of definition."""
    for name, layer in module.named_modules():
        if isinstance(layer, BinaryLayer):
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
        layer.set_sign_gradient(gradient)
    return gradient


def begin_epoch(
    module: nn.Module, epoch: float, epochs: float, t_min: float = 1e-2, t_max: float = 1e1
) -> SignGradient:
    """Prepares all binary layers of a module for an epoch; a training loop calls it before each one.

    It sets the sign's gradient, which follows the epoch (`SignGradient.at_epoch`), and learns the rotations
    for the present weights.

    Args:
        module: The network, or one that is wrapped (torch.compile, DistributedDataParallel).
        epoch: Epochs done, from 0.
        epochs: Length of the training.
        t_min: Sharpness of the sign's gradient at the start.
        t_max: And at the end.

    Returns:
        The gradient that was set.

    Raises:
        ValueError: `epoch` is outside 0 .. `epochs`.
    """
    gradient = set_training_progress(module, epoch, epochs, t_min, t_max)
    for _, layer in binary_layers(module):
        layer.begin_epoch()
    return gradient
