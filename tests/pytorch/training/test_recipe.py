import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training import TrainingOptions, TrainingRecipe, default_recipe


def test_the_defaults_are_the_papers():
    recipe = default_recipe("cifar10/resnet20_1w1a")
    assert recipe == default_recipe("somebody's own network") == TrainingRecipe()
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay, recipe.batch_size) == (
        0.1,
        0.9,
        1e-4,
        256,
    )
    assert (recipe.warmup_epochs, recipe.crop_padding, recipe.flip, recipe.initial_angle) == (
        5,
        4,
        True,
        None,
    )
    imagenet = default_recipe("imagenet/resnet18_1w1a")
    assert (imagenet.epochs, imagenet.batch_size) == (150, 512)


def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine():
    recipe = TrainingRecipe(epochs=25, warmup_epochs=5, learning_rate=0.8)
    rates = [recipe.learning_rate_at(step, 10) for step in range(250)]
    assert rates[:50] == pytest.approx([0.8 * (step + 1) / 50 for step in range(50)])
    assert rates[50:] == pytest.approx([0.4 * (1 + math.cos(math.pi * step / 200)) for step in range(200)])
    assert rates[150] == pytest.approx(0.4)


@pytest.mark.parametrize("warmup", [0, 0.5, 1, 3, 7])
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("steps", [1, 3])
def test_every_step_of_a_short_training_has_a_rate(warmup, epochs, steps):
    recipe = TrainingRecipe(epochs=epochs, warmup_epochs=warmup, learning_rate=0.5)
    assert all(0 < recipe.learning_rate_at(step, steps) <= 0.5 for step in range(epochs * steps))


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"momentum": -0.1},
        {"weight_decay": math.nan},
        {"warmup_epochs": -1},
        {"crop_padding": -1},
        {"t_min": 0.0},
        {"optimizer": "lion"},
        {"momentum": 1.0},
        {"norm_gain": math.nan},
        {"epochs": 1.5},
        {"epochs": None},
        {"learning_rate": "fast"},
        {"seed": 2**63},
    ],
    ids=str,
)
def test_numbers_outside_their_domain_are_refused(wrong):
    with pytest.raises(UserError):
        TrainingRecipe(**wrong)


def test_numbers_of_numpy_and_torch_become_pythons():
    recipe = TrainingRecipe(
        epochs=np.int64(30), learning_rate=np.float32(0.5), initial_angle=torch.tensor(0.25), seed=np.uint8(3)
    )
    assert recipe == TrainingRecipe(epochs=30, learning_rate=0.5, initial_angle=0.25, seed=3)
    assert json.loads(json.dumps(asdict(recipe))) == asdict(recipe)
    options = TrainingOptions(device=torch.device("cpu"), checkpoint_every=np.int32(7))
    assert json.loads(json.dumps(asdict(options))) == asdict(TrainingOptions(checkpoint_every=7))
