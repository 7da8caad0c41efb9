"""Trains networks of rotated binary convolutions, after the paper's recipe.

The names below are imported when they are first used: a recipe's numbers are options of the command line,
whose other commands must not load torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbnn_deploy.pytorch.training.data.image_sets import StreamedData, TrainingData, load_training_data
    from rbnn_deploy.pytorch.training.options import TrainingOptions
    from rbnn_deploy.pytorch.training.recipe import RECIPES, TrainingRecipe, default_recipe, get_recipe
    from rbnn_deploy.pytorch.training.run.evaluation import evaluate
    from rbnn_deploy.pytorch.training.run.results import EpochResult, Progress
    from rbnn_deploy.pytorch.training.run.statistics import rotation_statistics
    from rbnn_deploy.pytorch.training.run.trainer import train

__all__ = [
    "RECIPES",
    "EpochResult",
    "Progress",
    "StreamedData",
    "TrainingData",
    "TrainingOptions",
    "TrainingRecipe",
    "default_recipe",
    "evaluate",
    "get_recipe",
    "load_training_data",
    "rotation_statistics",
    "train",
]

_HOMES = {
    "RECIPES": "recipe",
    "EpochResult": "run.results",
    "Progress": "run.results",
    "StreamedData": "data.image_sets",
    "TrainingData": "data.image_sets",
    "TrainingOptions": "options",
    "TrainingRecipe": "recipe",
    "default_recipe": "recipe",
    "evaluate": "run.evaluation",
    "get_recipe": "recipe",
    "load_training_data": "data.image_sets",
    "rotation_statistics": "run.statistics",
    "train": "run.trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
