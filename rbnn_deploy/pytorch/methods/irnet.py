"""IR-Net: Qin et al., "Forward and Backward Information Retention for Accurate BNNs", CVPR 2020."""

from typing import ClassVar

import torch
from torch import Tensor

from rbnn_deploy.pytorch.layers import SignConv2d


class IRConv2d(SignConv2d):
    """IR-Net's layer: centred weights, and a scale that is a power of two (equations 8 to 10).

    With w' = (w - mean(w)) / std(w) per output channel, std being the unbiased one: the bits are those of w',
    and the scale is 2^round(log2(mean |w'|)).
    """

    sign_of_zero: ClassVar[int] = 0

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`: w - mean(w), float64; its deviation is positive and cancels in the sign."""
        weight = self.weight.double()
        return weight - weight.mean((1, 2, 3), keepdim=True)

    @torch.no_grad()
    def scale(self) -> Tensor:
        """See `SignConv2d`: float64 [O]; 0 where all weights of a channel are equal and have no deviation."""
        centred = self.effective_weight().flatten(1)
        deviation = centred.std(1)
        magnitude = centred.abs().mean(1) / deviation
        return torch.where(deviation > 0, magnitude.log2().round().exp2(), 0.0)
