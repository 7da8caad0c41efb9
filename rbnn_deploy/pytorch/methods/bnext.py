"""BNext: Guo et al., "Join the High Accuracy Club on ImageNet with A Binary Neural Network Ticket", 2022."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from rbnn_deploy.pytorch.layers import SignConv2d

HOTTEST_BINARY = 1e-7


class BNextConv2d(SignConv2d):
    """BNext's layer: plain signs without a scale, once its temperature has fallen.

    Training begins with clamp(w / temperature, -1, 1) and lowers the temperature; below 1e-7 the published
    code takes sign(w). Above it the weights have more than two values, so the layer is refused.

    Attributes:
        temperature: [1].
    """

    sign_of_zero: ClassVar[int] = 0

    temperature: Tensor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes the arguments of `SignConv2d`."""
        super().__init__(*arguments, **options)
        self.register_buffer("temperature", torch.ones(1))

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`."""
        return self.weight

    def scale(self) -> Tensor:
        """See `SignConv2d`: 1 for each channel."""
        return torch.ones_like(self.weight[:, 0, 0, 0])

    def refusal(self) -> str:
        """See `BinaryLayer`."""
        temperature = float(self.temperature)
        if temperature < HOTTEST_BINARY:
            return ""
        return (
            f"its temperature is {temperature:g}, at which its weights are clamp(w / temperature, -1, 1) and "
            f"not signs; train on until it is below {HOTTEST_BINARY:g}"
        )
