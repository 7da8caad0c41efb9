"""The optimizer, with its parameters grouped by kind.

The paper treats all groups alike; a recipe may give each its own learning rate and weight decay.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from rbnn_deploy.pytorch.layers import BinaryLayer
from rbnn_deploy.pytorch.training.recipe import TrainingRecipe

# Of a binary layer: its weights, its angles theta, its scales alpha; then BatchNorm's, then all others.
GROUPS = ("binary", "angle", "scale", "norm", "float")
ADAM_BETA2 = 0.999


def group_parameters(module: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Sorts a module's parameters into `GROUPS`; a shared parameter is in the group of its first owner."""
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in GROUPS}
    seen: set[nn.Parameter] = set()
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter in seen:
                continue
            seen.add(parameter)
            if isinstance(owner, BinaryLayer):
                group = owner.parameter_groups.get(name, "float")
            else:
                group = "norm" if isinstance(owner, _BatchNorm) else "float"
            groups[group].append(parameter)
    return groups


def build_optimizer(module: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Builds the optimizer of a recipe.

    Every parameter group has a `name` of `GROUPS` and a `factor`, by which `set_learning_rate` multiplies.

    Args:
        module: The network, on the device where it is trained.
        recipe: Its numbers.
    """
    groups: list[dict[str, Any]] = [
        {"params": parameters, "name": name, "factor": 1.0, "weight_decay": recipe.weight_decay}
        for name, parameters in group_parameters(module).items()
        if parameters
    ]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, recipe.learning_rate, (recipe.momentum, ADAM_BETA2))
    return torch.optim.SGD(groups, recipe.learning_rate, recipe.momentum)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Sets every group's learning rate to the schedule's, times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["factor"]
