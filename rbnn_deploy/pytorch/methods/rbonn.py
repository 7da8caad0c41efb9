"""RBONN: Xu et al., "Recurrent Bilinear Optimization for Binary Neural Networks", ECCV 2022."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import SignConv2d

UNIT = 0.02


class RBONNConv2d(SignConv2d):
    """RBONN's layer: plain signs, and a learned scale whose sign does not count.

        y = 0.02 |scale_factor| conv(sign(x), sign(w))

    Attributes:
        scale_factor: [O, 1, 1, 1].
        u: [O, 1, 1, 1]; training alone uses it.
    """

    sign_of_zero: ClassVar[int] = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes the arguments of `SignConv2d`."""
        super().__init__(*arguments, **options)
        self.scale_factor = nn.Parameter(torch.randn(self.out_channels, 1, 1, 1))
        self.u = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), 0.2))

    def scale(self) -> Tensor:
        """See `SignConv2d`."""
        return UNIT * self.scale_factor.abs().flatten()
