"""SiMaN: Lin et al., "SiMaN: Sign-to-Magnitude Network Binarization", TPAMI 2022."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rbnn_deploy.operators import Threshold
from rbnn_deploy.pytorch.layers import SignConv2d


class SiMaNConv2d(SignConv2d):
    """SiMaN's layer: bits that training chose by magnitude, a learned scale, and the mean as the threshold.

    Attributes:
        B: [O, 1, C / groups * KH * KW], each weight's bit as 0 or 1; newer code stores it without the axis of
            one.
        alpha: [O, 1, 1], the scale.
        percent: A number; training alone uses it.
        weight: Training alone uses it too.
    """

    sign_of_zero: ClassVar[int] = 0

    threshold: ClassVar[Threshold] = "sample_mean"
    percent: Tensor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes the arguments of `SignConv2d`."""
        super().__init__(*arguments, **options)
        weight = self.weight.detach()
        self.alpha = nn.Parameter(weight.abs().mean((1, 2, 3)).view(-1, 1, 1))
        self.B = nn.Parameter((weight >= 0).float().view(len(weight), 1, -1), requires_grad=False)
        self.register_buffer("percent", torch.tensor(0.0))

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`: 2 B - 1."""
        return (2 * self.B - 1).view_as(self.weight)

    def scale(self) -> Tensor:
        """See `SignConv2d`."""
        return self.alpha.flatten()
