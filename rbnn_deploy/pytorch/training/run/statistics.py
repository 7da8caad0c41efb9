"""Measures of trained rotations, after the paper's claims about them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import rotated_layers


@dataclass(frozen=True)
class RotationStatistics:
    """Over all rotated layers of a network: w are their weights, and their bits are the signs of w'.

    Attributes:
        flipped: Share of weights whose sign the rotation changed; about a half in the paper.
        cosine_before: Mean cosine of the angle between an output channel's w and its signs; 1 where
            binarising loses no direction, 0.8 for normally distributed weights.
        cosine_after: Likewise for w'.
        angle_before: Mean of these angles for w, in degrees.
        angle_after: Likewise for w'.
        sine: Mean |sin(theta)| over the output channels; 0 is no rotation, 1 the whole.
    """

    flipped: float
    cosine_before: float
    cosine_after: float
    angle_before: float
    angle_after: float
    sine: float


@torch.no_grad()
def rotation_statistics(module: nn.Module) -> RotationStatistics | None:
    """Measures the rotations of a network; None where it has no rotated layer."""
    # Summed where the weights are, and read once: a GPU would be waited for in every layer.
    flipped, before, after, sines = [], [], [], []
    weights = 0
    for _, layer in rotated_layers(module):
        rotated = layer.effective_weight().flatten(1)
        plain = layer.weight.double().flatten(1)
        plain = plain - plain.mean(1, keepdim=True)
        flipped.append(((rotated >= 0) != (plain >= 0)).sum())
        weights += rotated.numel()
        before.append(_cosines(plain))
        after.append(_cosines(rotated))
        sines.append(layer.rotate.double().sin().abs().flatten())
    if not weights:
        return None
    cosines = [torch.cat(before), torch.cat(after)]
    numbers = [
        torch.stack(flipped).sum() / weights,
        *(values.mean() for values in cosines),
        *(values.clamp(-1, 1).acos().rad2deg().mean() for values in cosines),
        torch.cat(sines).mean(),
    ]
    return RotationStatistics(*torch.stack(numbers).tolist())


def _cosines(w: Tensor) -> Tensor:
    """Returns <w, sign(w)> / (|w| |sign(w)|) of every row of w [O, n]; 0 for a row of zeros."""
    norms: Tensor = torch.linalg.vector_norm(w, dim=1)
    cosines: Tensor = w.abs().sum(1) / (norms * w.shape[1] ** 0.5).clamp_min(1e-300)
    return cosines
