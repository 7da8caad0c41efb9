"""XNOR-Net: Rastegari et al., ECCV 2016, as github.com/jiecaoyu/XNOR-Net-PyTorch computes it."""

from abc import abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.pytorch.layers import BinaryLayer, SignGradient, binary_sign, conv2d_attributes
from rbnn_deploy.pytorch.layers.signs import trainable_sign

LEAST_GAIN = 0.01
EPSILON = 1e-4


class XnorLayer(BinaryLayer):
    """XNOR-Net's layer: BatchNorm, sign, and a convolution with centred and clamped weights.

    With m, v, g and b the mean, variance, gain and shift of the BatchNorm, and w' = clamp(w - mean(w), -1, 1)
    with a mean over the input channels of each tap:

        y = mean(|w'|) conv(sign(BatchNorm(x)), sign(w')) + bias

    BatchNorm(x) >= 0 is a comparison of x with t = m - b sqrt(v + eps) / g. Where g is negative it is x <= t,
    which is not(x >= t'), t' being the next float above t: the weights of that channel change their signs.
    Where g is 0 every x has the sign of b.

    The published code computes the mean of |x| (section 3.2 of the paper) and does not use it.

    Args:
        channels: C.
        least_gain: Smaller gains count as this one; None where they count as they are.

    Attributes:
        bn: The BatchNorm.
    """

    sign_of_zero: ClassVar[int] = 0

    def __init__(self, channels: int, least_gain: float | None) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=EPSILON)
        self.sign_gradient = SignGradient.at_epoch(0, 1)
        self._least_gain = least_gain

    @property
    @abstractmethod
    def convolution(self) -> nn.Conv2d | nn.Linear:
        """The module that has the weights, and a bias."""

    @property
    def affine(self) -> ChannelAffine:
        """See `BinaryLayer`."""
        scale, bias = self._weight().detach().double().abs().mean((1, 2, 3)), self.convolution.bias
        assert bias is not None
        return ChannelAffine(scale.cpu().numpy(), bias.detach().double().cpu().numpy())

    @property
    def thresholds(self) -> Tensor:
        """See `BinaryLayer`: the x at which the BatchNorm is 0, from float64, in the type of its mean."""
        norm = self.bn
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain, shift = self._gain().detach().double(), norm.bias.detach().double()
        deviation = (norm.running_var.double() + norm.eps).sqrt()
        value = (norm.running_mean.double() - shift * deviation / gain).to(norm.running_mean.dtype)
        value = torch.where(gain < 0, torch.nextafter(value, torch.full_like(value, torch.inf)), value)
        most = torch.full_like(value, torch.finfo(value.dtype).max / 2)
        return torch.where(gain == 0, torch.where(shift >= 0, -most, most), value)

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`."""
        turn = torch.where(self._gain().detach() < 0, -1.0, 1.0).to(self.bn.weight.dtype)
        return turn.view(1, -1, 1, 1) * self._weight()

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, O, OH, OW]."""
        a, bias = self.attributes, self.convolution.bias
        assert bias is not None
        weight = self._weight()
        scale = weight.abs().mean((1, 2, 3)).view(-1, 1, 1)
        if self.training:
            norm = self.bn
            x = F.batch_norm(
                x, norm.running_mean, norm.running_var, self._gain(), norm.bias, True, eps=norm.eps
            )
            x = trainable_sign(x, self.sign_gradient.for_activations)
            weight = trainable_sign(weight, self.sign_gradient)
        else:
            x = binary_sign(x, self.thresholds.view(-1, 1, 1))
            weight = binary_sign(self.effective_weight())
        return F.conv2d(x, weight, None, a.strides, a.pads[:2], a.dilations) * scale + bias.view(-1, 1, 1)

    def set_sign_gradient(self, gradient: SignGradient) -> None:
        """See `BinaryLayer`."""
        self.sign_gradient = gradient

    def _gain(self) -> Tensor:
        gain = self.bn.weight
        return gain if self._least_gain is None else gain.clamp(min=self._least_gain)

    def _weight(self) -> Tensor:
        """Returns w' as [O, C, KH, KW]."""
        weight = self.convolution.weight
        weight = weight if weight.ndim == 4 else weight[:, :, None, None]
        return (weight - weight.mean(1, keepdim=True)).clamp(-1, 1)


class XnorConv2d(XnorLayer):
    """Its convolution.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: KH and KW.
        padding: Zeros on each side, behind the sign.
        least_gain: See `XnorLayer`; the code for CIFAR has 0.01.

    Attributes:
        conv: Weights and bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        padding: int = 0,
        *,
        least_gain: float | None = LEAST_GAIN,
    ) -> None:
        super().__init__(in_channels, least_gain)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding)

    @property
    def convolution(self) -> nn.Conv2d:
        """See `XnorLayer`."""
        return self.conv

    @property
    def attributes(self) -> BinaryConv2dAttributes:
        """See `BinaryLayer`."""
        return conv2d_attributes(self.conv, "zero")


class XnorLinear(XnorLayer):
    """Its linear layer, as the convolution of one pixel.

    Args:
        in_features: C.
        out_features: O.
        least_gain: See `XnorLayer`.

    Attributes:
        linear: Weights and bias.
    """

    def __init__(self, in_features: int, out_features: int, *, least_gain: float | None = None) -> None:
        super().__init__(in_features, least_gain)
        self.linear = nn.Linear(in_features, out_features)

    @property
    def convolution(self) -> nn.Linear:
        """See `XnorLayer`."""
        return self.linear

    @property
    def attributes(self) -> BinaryConv2dAttributes:
        """See `BinaryLayer`."""
        return BinaryConv2dAttributes(channels=self.linear.in_features, threshold="zero")
