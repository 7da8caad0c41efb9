"""The parameters that the reference networks start their training with."""

from torch import nn

NORM_GAIN = 1e-8


def initialise_as_published(network: nn.Module) -> nn.Module:
    """Draws new float weights, and starts every BatchNorm2d with a gain of almost 0.

    The paper does not say so, but the reference's checkpoints show it: weights have the deviation of He et
    al.'s normal initialisation less weight decay, and gains are small numbers of either sign. The gains
    decide the result of a short training. At a gain of 1 a binary block's output is as large as its shortcut,
    and after 18 of them no trace of the input is left in the untrained network's logits; near 0 every block
    starts as its shortcut. `alpha` keeps its own initial value, the mean of the weights before.

    Args:
        network: A new network; changed in place.

    Returns:
        The network.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.weight, NORM_GAIN)
    return network
