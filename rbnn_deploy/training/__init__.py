"""Trains networks of rotated binary convolutions, after the paper's recipe."""

from rbnn_deploy.training.data import TrainingData, load_training_data
from rbnn_deploy.training.recipe import TrainingRecipe, default_recipe
from rbnn_deploy.training.statistics import rotation_statistics
from rbnn_deploy.training.trainer import EpochResult, evaluate, train

__all__ = [
    "EpochResult",
    "TrainingData",
    "TrainingRecipe",
    "default_recipe",
    "evaluate",
    "load_training_data",
    "rotation_statistics",
    "train",
]
