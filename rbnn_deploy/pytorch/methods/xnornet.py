"""XNOR-Net: Rastegari et al., ECCV 2016, as github.com/jiecaoyu/XNOR-Net-PyTorch computes it."""

import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.pytorch.layers import BinaryLayer, SignGradient, binary_sign, conv2d_attributes
from rbnn_deploy.pytorch.layers.signs import trainable_sign

LEAST_GAIN = 0.01
EPSILON = 1e-4


class XnorConv2d(BinaryLayer):
    """XNOR-Net's layer: BatchNorm, sign, and a convolution with centred and clamped weights.

    With m, v, g and b the mean, variance, gain and shift of the BatchNorm, and w' = clamp(w - mean(w), -1, 1)
    with a mean over the input channels of each tap:

        y = mean(|w'|) conv(sign(BatchNorm(x)), sign(w')) + bias

    The published code keeps every gain at 0.01 or above, so BatchNorm(x) >= 0 is a comparison of x
    with m - b sqrt(v + eps) / g. It computes the mean of |x| (section 3.2 of the paper) and does not use it.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: KH and KW.
        padding: Zeros on each side, behind the sign.

    Attributes:
        bn: The BatchNorm.
        conv: Weights and bias.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, padding: int = 0) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(in_channels, eps=EPSILON)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding)
        self.sign_gradient = SignGradient.at_epoch(0, 1)

    @property
    def attributes(self) -> BinaryConv2dAttributes:
        """See `BinaryLayer`."""
        return conv2d_attributes(self.conv, "zero")

    @property
    def affine(self) -> ChannelAffine:
        """See `BinaryLayer`."""
        scale = self.effective_weight().detach().double().abs().mean((1, 2, 3)).cpu().numpy()
        assert self.conv.bias is not None
        return ChannelAffine(scale, self.conv.bias.detach().double().cpu().numpy())

    @property
    def thresholds(self) -> Tensor:
        """See `BinaryLayer`: the x at which the BatchNorm is 0, from float64, in the type of its mean."""
        norm = self.bn
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight.detach().double().clamp(min=LEAST_GAIN)
        deviation = (norm.running_var.double() + norm.eps).sqrt()
        value = norm.running_mean.double() - norm.bias.detach().double() * deviation / gain
        return value.to(norm.running_mean.dtype)

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`."""
        weight = self.conv.weight
        return (weight - weight.mean(1, keepdim=True)).clamp(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, O, OH, OW]."""
        conv, weight = self.conv, self.effective_weight()
        scale = weight.abs().mean((1, 2, 3)).view(-1, 1, 1)
        if self.training:
            norm = self.bn
            gain = norm.weight.clamp(min=LEAST_GAIN)
            x = F.batch_norm(x, norm.running_mean, norm.running_var, gain, norm.bias, True, eps=norm.eps)
            x = trainable_sign(x, self.sign_gradient.for_activations)
            weight = trainable_sign(weight, self.sign_gradient)
        else:
            x, weight = binary_sign(x, self.thresholds.view(-1, 1, 1)), binary_sign(weight)
        y = F.conv2d(x, weight, None, conv.stride, conv.padding, conv.dilation, conv.groups) * scale
        return y if conv.bias is None else y + conv.bias.view(-1, 1, 1)

    def set_sign_gradient(self, gradient: SignGradient) -> None:
        """See `BinaryLayer`."""
        self.sign_gradient = gradient
