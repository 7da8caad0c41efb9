"""The changes that a recipe makes to a module before its first step."""

import torch
from torch import nn

from rbnn_deploy.pytorch.layers import accept_angles, set_rotation_angle
from rbnn_deploy.pytorch.training.recipe import TrainingRecipe


@torch.no_grad()
def initialise(module: nn.Module, recipe: TrainingRecipe) -> None:
    """Sets a module's parameters to a recipe's initial values; values that the recipe leaves open stay.

    Args:
        module: The network, new or loaded.
        recipe: Its numbers.
    """
    if recipe.initial_angle is not None:
        set_rotation_angle(module, recipe.initial_angle)
    accept_angles(module)
    if recipe.norm_gain is not None:
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d) and layer.affine:
                nn.init.constant_(layer.weight, recipe.norm_gain)
