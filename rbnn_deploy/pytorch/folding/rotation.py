"""Pass 1: rotated binary convolutions become bits.

1. The layer convolves sign(a) with sign(w'), w' = (1 - s) w + s R1^T w R2 and s = |sin(theta)|
   (equations 4 and 5 of the method), so only the sign of w' is kept.
2. It then adds its bias, if any, and multiplies by alpha: alpha (acc + bias) = alpha acc + alpha bias.
3. An exact zero of w' has no sign. The reference implementation leaves it out of the sum; a bit cannot, so it
   becomes +1 (rbnn_deploy.bits) and is counted, because each one moves its output by alpha.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.bits import pack_signs
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.pytorch.folding.binary_conv2d import BinaryConv2d
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d


@dataclass(frozen=True)
class FoldedWeights:
    """The outcome of folding one layer's weights.

    Attributes:
        name: Qualified name of the layer.
        weights: How many one-bit weights it has.
        zeros: How many of them were exactly zero and became +1.
    """

    name: str
    weights: int
    zeros: int


def _pair(values: Sequence[int]) -> tuple[int, int]:
    vertical, horizontal = values
    return vertical, horizontal


def _onnx_pads(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """Returns (top, left, bottom, right); as torch does, "same" puts the odd pixel at the end."""
    if isinstance(layer.padding, str):
        if layer.padding == "valid":
            return (0, 0, 0, 0)
        vertical, horizontal = (d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
        return (vertical // 2, horizontal // 2, vertical - vertical // 2, horizontal - horizontal // 2)
    vertical, horizontal = layer.padding
    return (int(vertical), int(horizontal), int(vertical), int(horizontal))


def fold_rotated_layer(layer: RotatedBinaryConv2d) -> tuple[BinaryConv2d, int]:
    """Folds one layer.

    Returns:
        The folded layer, and how many weights were exactly zero.

    Raises:
        ValueError: A weight is not finite.
    """
    effective = layer.effective_weight().cpu()
    if not torch.isfinite(effective).all():
        raise ValueError("its weights are not finite")
    attributes = BinaryConv2dAttributes(
        channels=layer.in_channels,
        strides=_pair(layer.stride),
        pads=_onnx_pads(layer),
        dilations=_pair(layer.dilation),
        groups=layer.groups,
        threshold=layer.threshold,
    )
    packed = torch.from_numpy(pack_signs(effective.permute(0, 2, 3, 1).numpy())).to(layer.weight.device)
    alpha = layer.alpha.detach().cpu().numpy().astype(np.float64).reshape(-1)
    offset = np.zeros_like(alpha) if layer.bias is None else alpha * layer.bias.detach().cpu().numpy()
    return BinaryConv2d(attributes, packed, ChannelAffine(alpha, offset)), int((effective == 0).sum())


def fold_rotations(module: nn.Module) -> list[FoldedWeights]:
    """Replaces every RotatedBinaryConv2d inside `module` in place.

    A layer that is used under several names stays shared.

    Raises:
        UserError: A layer's weights are not finite.
    """
    folded: dict[RotatedBinaryConv2d, BinaryConv2d] = {}
    report = []
    for parent_name, parent in list(module.named_modules()):
        # named_children would leave out the second name of a shared layer.
        for child_name, child in list(parent._modules.items()):
            if not isinstance(child, RotatedBinaryConv2d):
                continue
            name = f"{parent_name}.{child_name}" if parent_name else child_name
            if child not in folded:
                try:
                    folded[child], zeros = fold_rotated_layer(child)
                except ValueError as error:
                    raise UserError(
                        f"cannot fold layer {name}: {error}; train it again or mend the checkpoint"
                    ) from None
                report.append(FoldedWeights(name, child.weight.numel(), zeros))
            setattr(parent, child_name, folded[child])
    return report
