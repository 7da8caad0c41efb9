"""Networks with randomised parameters, shared by the end-to-end tests."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.pytorch.methods import AdaBinConv2d, BNextConv2d, Maxout, ReCUConv2d, SiMaNConv2d
from rbnn_deploy.pytorch.methods.xnornet import XnorLayer
from rbnn_deploy.pytorch.networks.blocks import LearnableBias
from rbnn_deploy.pytorch.networks.bnext import BNextUnit


def randomise(module: nn.Module, seed: int) -> nn.Module:  # noqa: PLR0912 - a branch per kind of module
    """Draws scales, angles, bits, slopes, shifts and BatchNorms; negative ones and zeros among them."""
    generator = torch.Generator().manual_seed(seed)
    for child in module.modules():
        if isinstance(child, RotatedBinaryConv2d):
            fan_in = child.weight[0].numel()
            child.alpha.data.normal_(0, fan_in**-0.5, generator=generator)
            child.alpha.data[0] = 0
            child.rotate.data.uniform_(-2, 2, generator=generator)
        elif isinstance(child, ReCUConv2d | SiMaNConv2d):
            child.alpha.data.normal_(0, child.weight[0].numel() ** -0.5, generator=generator)
            child.alpha.data[0] = 0
            if isinstance(child, SiMaNConv2d):
                child.B.data.bernoulli_(generator=generator)
        elif isinstance(child, AdaBinConv2d):
            child.weight.data += torch.randn(len(child.weight), 1, 1, 1, generator=generator) / 30
            child.binary_a.alpha_a.data.normal_(0.3, 0.5, generator=generator)
            child.binary_a.beta_a.data.normal_(0, 0.3, generator=generator)
        elif isinstance(child, Maxout):
            child.neg_scale.data.normal_(0.25, 0.5, generator=generator)
            child.pos_scale.data.normal_(1, 0.5, generator=generator)
        elif isinstance(child, XnorLayer):
            child.convolution.weight.data *= 20  # some are clamped
        elif isinstance(child, BNextConv2d):
            child.temperature.fill_(1e-8)
        elif isinstance(child, BNextUnit):
            child.scale.data.normal_(0.5, 0.5, generator=generator)
        elif isinstance(child, nn.PReLU):
            child.weight.data.normal_(0.25, 0.5, generator=generator)
        elif isinstance(child, LearnableBias):
            child.bias.data.normal_(0, 0.3, generator=generator)
        elif isinstance(child, nn.BatchNorm2d | nn.BatchNorm1d):
            child.running_mean.normal_(generator=generator)
            if child.affine:
                child.bias.data.normal_(generator=generator)
                child.weight.data.normal_(generator=generator)
                child.weight.data[-1] = 0
            child.running_var.uniform_(0.3, 2, generator=generator)
    return module.eval()


def calibrate(module: nn.Module, x: Tensor) -> nn.Module:
    """Sets the statistics of each BatchNorm to those of a batch: products of maps would grow without end."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.momentum = 1.0
    with torch.no_grad():
        module.train()(x)
    return module.eval()


class UsersOwnNetwork(nn.Module):
    """What somebody might write: odd channels, groups, dilation, a large stride, a bias, ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 33, 3, padding=1)
        self.wide = RotatedBinaryConv2d(33, 65, 5, stride=3, padding=2, bias=True)
        self.dilated = RotatedBinaryConv2d(65, 66, 3, padding=2, dilation=2, bias=True)
        self.norm = nn.BatchNorm2d(66)
        self.grouped = RotatedBinaryConv2d(66, 66, 5, padding=2, groups=2, threshold="zero")
        self.depthwise = RotatedBinaryConv2d(66, 66, 3, padding="same", groups=66)
        self.head = nn.Linear(66, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(self.wide(x))
        x = self.norm(self.dilated(x))
        x = F.hardtanh(self.grouped(x) + x)
        x = self.depthwise(x)
        return self.head(x.mean((2, 3)))
