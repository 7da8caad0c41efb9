"""AdaBin: Tu et al., "AdaBin: Improving Binary Neural Networks with Adaptive Binary Sets", ECCV 2022."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.pytorch.layers import SignConv2d, SignGradient
from rbnn_deploy.pytorch.layers.signs import binary_sign, trainable_sign
from rbnn_deploy.window_terms import WindowTerms, two_levels


class AdaptiveLevels(nn.Module):
    """The two levels of a layer's activations: alpha_a (beta_a + 1) and alpha_a (beta_a - 1).

    Attributes:
        alpha_a: A number, half of their distance.
        beta_a: A number, the threshold, and their centre in units of alpha_a.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alpha_a = nn.Parameter(torch.tensor(1.0))
        self.beta_a = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor, gradient: SignGradient) -> Tensor:
        """Maps x to alpha_a (sign((x - beta_a) / alpha_a) + beta_a), of the same shape.

        In evaluation mode the sign is that of the comparison x >= beta_a, turned round where alpha_a is
        negative: an x that is exactly beta_a has a sign, and no quotient is rounded.

        Args:
            x: Values of any shape.
            gradient: Of the sign, in training.
        """
        if self.training:
            return self.alpha_a * (trainable_sign((x - self.beta_a) / self.alpha_a, gradient) + self.beta_a)
        return self.alpha_a.abs() * binary_sign(x, self.beta_a) + self.alpha_a * self.beta_a


class AdaBinConv2d(SignConv2d):
    """AdaBin's layer: activations and weights of two levels each, around a centre that is not 0.

    With w the weights, u their mean and v their (biased) deviation per output channel (equations 5 to 8), and
    a and k the layer's alpha_a and beta_a (section 3.2):

        y = conv(a (sign((x - k) / a) + k), v sign(w - u) + u)

    with zeros as padding behind the activations. With s = sign(x - k), turned weights where a is negative,
    acc the sum of s * sign(weights) and S that of s over the taps inside the image, that is

        y = a v acc + |a| u S + a k (sum of v sign(w - u) + u over the taps inside the image).

    Attributes:
        binary_a: The levels of the activations.
    """

    sign_of_zero: ClassVar[int] = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes the arguments of `SignConv2d`."""
        super().__init__(*arguments, **options)
        self.binary_a = AdaptiveLevels()

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`: w - u, float64, of the other sign where alpha_a is negative."""
        weight = self.weight.double()
        return self._turn() * (weight - weight.mean((1, 2, 3), keepdim=True))

    @torch.no_grad()
    def scale(self) -> Tensor:
        """See `SignConv2d`: a v, float64 [O]."""
        return self.binary_a.alpha_a.double() * self._deviation()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        """See `SignConv2d`."""
        x, weight = self.binary_a(input, self.sign_gradient.for_activations), self._levels().to(input.dtype)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    @property
    def affine(self) -> ChannelAffine:
        """See `BinaryLayer`: the offset holds the constant of a window without padded taps."""
        affine, _ = self._terms()
        return ChannelAffine(affine.multiplier, affine.offset + super().affine.offset)

    @property
    def thresholds(self) -> Tensor:
        """See `BinaryLayer`."""
        return self.binary_a.beta_a.detach().reshape(1)

    @property
    def window_terms(self) -> WindowTerms:
        """See `BinaryLayer`."""
        return self._terms()[1]

    @torch.no_grad()
    def _terms(self) -> tuple[ChannelAffine, WindowTerms]:
        """Returns the layer as `two_levels` has it, without its own bias."""
        alpha, beta = float(self.binary_a.alpha_a), float(self.binary_a.beta_a)
        arrays = (
            binary_sign(self.effective_weight()),
            self._turn() * self._deviation(),
            self.weight.double().mean((1, 2, 3)),
        )
        signs, scale, offset = (array.detach().cpu().numpy() for array in arrays)
        return two_levels(signs, scale, offset, centre=alpha * beta, half=abs(alpha))

    def _turn(self) -> float:
        """Returns -1 where alpha_a turns the sign of its quotient round, else 1."""
        return -1.0 if float(self.binary_a.alpha_a.detach()) < 0 else 1.0

    def _deviation(self) -> Tensor:
        return self.weight.double().flatten(1).std(1, correction=0)

    def _levels(self) -> Tensor:
        """Returns the weights as they count, v sign(w - u) + u, float64 [O, C / groups, KH, KW]."""
        weight = self.weight.double()
        centre = weight.mean((1, 2, 3), keepdim=True)
        if self.training:
            signs = trainable_sign(weight - centre, self.sign_gradient)
        else:
            signs = self._turn() * binary_sign(self.effective_weight())
        return self._deviation().view(-1, 1, 1, 1) * signs + centre


class Maxout(nn.Module):
    """The activation between its layers: a slope per channel on either side of 0 (section 3.4).

        y = neg_scale x where x < 0, else pos_scale x

    Args:
        channels: C.

    Attributes:
        neg_scale: [C].
        pos_scale: [C].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.neg_scale = nn.Parameter(torch.full((channels,), 0.25))
        self.pos_scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to the same shape."""
        below, above = self.neg_scale.view(-1, 1, 1), self.pos_scale.view(-1, 1, 1)
        return torch.where(x < 0, below, above) * x
