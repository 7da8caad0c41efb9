"""ReCU: Xu et al., "ReCU: Reviving the Dead Weights in Binary Neural Networks", ICCV 2021."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import SignConv2d


class ReCUConv2d(SignConv2d):
    """ReCU's layer: centred weights and a learned scale, which may be negative.

    The rectified clamp unit (equation 7) moves large weights towards 0 and keeps their signs, so it does not
    matter here.

    Attributes:
        alpha: [O, 1, 1], the scale.
        tau: A number, the clamp's quantile; training alone uses it.
    """

    sign_of_zero: ClassVar[int] = 0

    tau: Tensor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes the arguments of `SignConv2d`."""
        super().__init__(*arguments, **options)
        self.alpha = nn.Parameter(torch.rand(self.out_channels, 1, 1))
        self.register_buffer("tau", torch.tensor(1.0))

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`: w - mean(w) per output channel, float64."""
        weight = self.weight.double()
        return weight - weight.mean((1, 2, 3), keepdim=True)

    def scale(self) -> Tensor:
        """See `SignConv2d`."""
        return self.alpha.flatten()
