"""Runs the folding passes in their order on a copy of a network."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch._dynamo.eval_frame import OptimizedModule

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.folding.batch_norm import BatchNormFold, fold_batch_norms
from rbnn_deploy.pytorch.folding.binary_conv2d import BinaryConv2d
from rbnn_deploy.pytorch.folding.binary_weights import FoldedWeights, fold_binary_layers
from rbnn_deploy.pytorch.folding.user_code import batch_dependent, check_initialised, copied
from rbnn_deploy.pytorch.layers import binary_layers


@dataclass(frozen=True)
class FoldedNetwork:
    """A folded network and the outcomes of the passes.

    Attributes:
        module: The network in evaluation mode; same inputs and outputs as the original.
        layers: One entry per folded convolution.
        batch_norms: One entry per BatchNorm2d that was found.
    """

    module: nn.Module
    layers: tuple[FoldedWeights, ...]
    batch_norms: tuple[BatchNormFold, ...]

    @property
    def zeros(self) -> int:
        """How many weights were exactly zero and became +1."""
        return sum(layer.zeros for layer in self.layers)


def fold(module: nn.Module) -> FoldedNetwork:
    """Folds weights, scales and BatchNorms into one-bit weights and per-channel scale and bias.

    Args:
        module: Any module that contains binary layers; it is not changed.

    Raises:
        UserError: The module has no binary layer, code of a user's changes what a binary layer computes, a
            layer has no weights yet, or its weights, scale or bias are not finite.
    """
    check_initialised(module)
    network = copied(unwrapped(module)).eval()
    for name, child in list(network.named_modules()):  # shells that change only how a module runs
        if child is not (inner := unwrapped(child)):
            network.set_submodule(name, inner)
    _warn_of_untrained(network)
    for name in batch_dependent(network):
        warnings.warn(
            f"{name or type(network).__name__} is a BatchNorm without running statistics, so each result "
            "depends on the other samples of its batch; build it with track_running_stats=True",
            stacklevel=2,
        )
    with np.errstate(all="ignore"):  # values that are not finite are refused below, with the layer's name
        folded, layers = fold_binary_layers(network)
    if not layers and not any(isinstance(child, BinaryConv2d) for child in folded.modules()):
        raise UserError(
            f"{type(module).__name__} has no binary layer; build it with rbnn_deploy.RotatedBinaryConv2d"
        )
    with np.errstate(all="ignore"):  # values that are not finite are refused below, with the layer's name
        batch_norms = tuple(fold_batch_norms(folded))
    _check_finite(folded)
    return FoldedNetwork(folded, tuple(layers), batch_norms)


def _warn_of_untrained(module: nn.Module) -> None:
    """Warns once of each part of a training that never happened, with the layers that lack it."""
    lacking: dict[str, list[str]] = {}
    for name, layer in binary_layers(module):
        if clause := layer.untrained():
            lacking.setdefault(clause, []).append(name or type(layer).__name__)
    for clause, names in lacking.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        warnings.warn(f"{names[0]}{more}: {clause}", stacklevel=3)


def unwrapped(module: nn.Module) -> nn.Module:
    """Returns the module inside torch.compile's and nn.DataParallel's shells."""
    while isinstance(module, OptimizedModule | nn.DataParallel):
        module = module._orig_mod if isinstance(module, OptimizedModule) else module.module
    return module


def _check_finite(folded: nn.Module) -> None:
    for name, child in folded.named_modules():
        if isinstance(child, BinaryConv2d) and not all(
            torch.isfinite(values).all() for values in child.buffers()
        ):
            where = f"layer {name}" if name else "the layer"
            raise UserError(
                f"cannot fold {where}: its scale or bias, with a BatchNorm's that follows, is not finite in "
                "float32; train it again or mend the checkpoint"
            )
