"""Pass 1: binary layers become bits.

1. Only the signs of a layer's effective weights are kept (`BinaryLayer`).
2. An exact zero has no sign. The reference implementation leaves it out of the sum; a bit cannot, so it
   becomes +1 (rbnn_deploy.bits) and is counted, because each one moves its output by the scale.
"""

from dataclasses import dataclass

import torch
from torch import nn

from rbnn_deploy.bits import pack_signs
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.folding.binary_conv2d import BinaryConv2d
from rbnn_deploy.pytorch.folding.general_binary_conv2d import GeneralBinaryConv2d
from rbnn_deploy.pytorch.folding.user_code import check_layer
from rbnn_deploy.pytorch.layers import BinaryLayer


@dataclass(frozen=True)
class FoldedWeights:
    """What became of one layer's weights.

    Attributes:
        name: Qualified name of the layer.
        weights: How many one-bit weights it has.
        zeros: How many of them were exactly zero and became +1.
    """

    name: str
    weights: int
    zeros: int


def fold_layer(layer: BinaryLayer, name: str) -> tuple[BinaryConv2d, FoldedWeights]:
    """Folds one layer.

    Args:
        layer: The layer.
        name: What it is called in the report and in an error; empty where it is the whole network.

    Raises:
        UserError: See `check_layer`; or the layer is not binary, a weight is not finite, or its weights,
            scale or bias do not fit its attributes.
    """
    check_layer(layer, name)
    where = f"layer {name}" if name else "the layer"
    if reason := layer.refusal():
        raise UserError(f"cannot fold {where}: {reason}")
    attributes, affine, weight = layer.attributes, layer.affine, layer.effective_weight().detach()
    if not torch.isfinite(weight).all():
        raise UserError(
            f"cannot fold {where}: its weights are not finite; train it again or mend the checkpoint"
        )
    shape, scales = tuple(weight.shape), (affine.multiplier.shape, affine.offset.shape)
    inputs = attributes.group_channels
    if len(shape) != 4 or shape[1] != inputs or shape[0] % attributes.groups or scales != ((shape[0],),) * 2:
        raise UserError(
            f"cannot fold {where}: {type(layer).__name__} describes weights of shape {list(shape)} with "
            f"{affine.multiplier.size} scales, where its attributes want [O, {inputs}, KH, KW] and O"
        )
    packed = torch.from_numpy(pack_signs(weight.permute(0, 2, 3, 1).cpu().numpy())).to(weight.device)
    report = FoldedWeights(name, weight.numel(), int((weight == 0).sum()))
    thresholds, terms = layer.thresholds, layer.window_terms
    if thresholds is None and terms is None:
        return BinaryConv2d(attributes, packed, affine), report
    return GeneralBinaryConv2d(attributes, packed, affine, thresholds, terms), report


def fold_binary_layers(module: nn.Module) -> tuple[nn.Module, list[FoldedWeights]]:
    """Replaces every binary layer inside `module` in place.

    A layer that is used under several names stays shared.

    Returns:
        The module, or what took its place where it is a layer itself; and a report per layer.

    Raises:
        UserError: See `fold_layer`.
    """
    if isinstance(module, BinaryLayer) and not isinstance(module, BinaryConv2d):
        layer, report = fold_layer(module, "")
        return layer, [report]
    folded: dict[nn.Module, BinaryConv2d] = {}
    reports = []
    for parent_name, parent in list(module.named_modules()):
        # named_children would leave out the second name of a shared layer.
        for child_name, child in list(parent._modules.items()):
            if not isinstance(child, BinaryLayer) or isinstance(child, BinaryConv2d):
                continue
            if child not in folded:
                name = f"{parent_name}.{child_name}" if parent_name else child_name
                folded[child], report = fold_layer(child, name)
                reports.append(report)
            setattr(parent, child_name, folded[child])
    return module, reports
