"""What the paper says of trained rotations, as numbers to watch."""

from dataclasses import dataclass

import torch
from torch import nn

from rbnn_deploy.layers import binary_layers


@dataclass(frozen=True)
class RotationStatistics:
    """Over all binary weights of a network.

    Attributes:
        flipped: Share of weights whose sign the rotation changed; about a half in the paper.
        cosine: Mean cosine of the angle between an output channel's weights and their signs; 1 where
            binarising loses no direction, 0.8 for normally distributed weights.
    """

    flipped: float
    cosine: float


@torch.no_grad()
def rotation_statistics(module: nn.Module) -> RotationStatistics | None:
    """Measures the rotations of a network; None where it has no binary layer."""
    flipped = weights = 0
    cosines = []
    for _, layer in binary_layers(module):
        rotated = layer.effective_weight().flatten(1)
        plain = layer.weight.double().flatten(1)
        plain = plain - plain.mean(1, keepdim=True)
        flipped += int(((rotated >= 0) != (plain >= 0)).sum())
        weights += rotated.numel()
        # <w, sign(w)> / (|w| |sign(w)|)
        cosines.append(rotated.abs().sum(1) / (rotated.norm(dim=1) * rotated.shape[1] ** 0.5))
    if not cosines:
        return None
    return RotationStatistics(flipped / weights, float(torch.cat(cosines).mean()))
