"""The numbers of a training: the paper's by default, and others for some data sets."""

import math
from dataclasses import dataclass, fields, replace

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.fields import explained, make_plain

OPTIMIZERS = ("sgd", "adam")
_SEEDS = 2**63  # that PyTorch takes


@dataclass(frozen=True)
class TrainingRecipe:
    """How a network is trained; the defaults gave the paper's CIFAR results.

    Every field is also an option of `rbnn-deploy train`, with the field's own explanation.
    """

    epochs: int = explained(1000, "Length of the training.")
    batch_size: int = explained(
        256, "Images per step, over all processes; the last partial batch of an epoch is left out."
    )
    optimizer: str = explained("sgd", "sgd or adam.")
    learning_rate: float = explained(0.1, "Highest learning rate.")
    momentum: float = explained(0.9, "Momentum of SGD; first beta of Adam.")
    weight_decay: float = explained(1e-4, "Added to every gradient, times the parameter.")
    warmup_epochs: float = explained(
        5, "Epochs over which the learning rate rises linearly; then it falls to 0 as a cosine."
    )
    t_min: float = explained(1e-2, "Sharpness t of the sign's gradient at the start.")
    t_max: float = explained(1e1, "Sharpness t of the sign's gradient at the end.")
    # At pi / 2 no gradient reaches the weights and only weight decay moves theta, which takes hundreds of
    # epochs, so a short training starts elsewhere.
    initial_angle: float | None = explained(
        None,
        "Start of the angle of every rotation; the network's own, pi / 2 for a named one, if absent.",
    )
    norm_gain: float | None = explained(
        None, "Start of the gains of every BatchNorm2d; the network's own, 1e-8 for a new one, if absent."
    )
    crop_padding: int = explained(
        4, "Pad images by this many black pixels and cut them back at a random place."
    )
    flip: bool = explained(True, "Mirror half of the images.")
    seed: int = explained(0, "Seed of new weights, of the order of images and of their augmentation.")

    def __post_init__(self) -> None:
        """Checks every number.

        Raises:
            UserError: A value is not a number, or outside its domain.
        """
        make_plain(self)
        if self.epochs < 1:
            raise UserError(f"a training needs at least 1 epoch, not {self.epochs}")
        if self.batch_size < 2:
            raise UserError(f"a batch needs at least 2 images for BatchNorm, not {self.batch_size}")
        for name in ("learning_rate", "t_min", "t_max"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"{name} must be above 0, not {value}")
        for name in ("momentum", "weight_decay", "warmup_epochs", "crop_padding", "seed"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name} must not be negative, and is {value}")
        if self.optimizer not in OPTIMIZERS:
            raise UserError(
                f"no optimizer is called {self.optimizer!r}; choose one of {', '.join(OPTIMIZERS)}"
            )
        if self.seed >= _SEEDS:
            raise UserError(f"seed must be below 2^63, not {self.seed}")
        if self.momentum >= 1:
            raise UserError(f"momentum must be below 1, not {self.momentum}")
        for name in ("initial_angle", "norm_gain"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise UserError(f"{name} must be a finite number, not {value}")

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Returns the learning rate of a step.

        The reference changes it once per epoch; here it follows the same curve step by step.

        Args:
            step: Steps done, over all epochs.
            steps: Steps of one epoch.
        """
        total = self.epochs * steps
        warmup = min(self.warmup_epochs * steps, total)
        if step < warmup:
            return self.learning_rate * min((step + 1) / warmup, 1.0)
        return self.learning_rate / 2 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def recipe_help() -> dict[str, str]:
    """Returns the explanation of every field of a recipe."""
    return {entry.name: entry.metadata["help"] for entry in fields(TrainingRecipe)}


PAPER, SHORT = "paper", "short"

# These numbers train in seconds. theta = 0.4 lets weights, rotations and theta learn from the first step:
# 97 to 99 % of the digits, against 59 % after twelve epochs from pi / 2.
_DIGITS = TrainingRecipe(
    epochs=15, batch_size=64, warmup_epochs=1, initial_angle=0.4, crop_padding=1, flip=False
)
# The recipes by name, and in each the numbers per family of networks; "" stands for all other families.
RECIPES: dict[str, dict[str, TrainingRecipe]] = {
    PAPER: {
        "": TrainingRecipe(),
        "imagenet": TrainingRecipe(epochs=150, batch_size=512),
        "digits": _DIGITS,
    },
}
# docs/training.md says why.
RECIPES[SHORT] = {
    family: replace(
        recipe,
        epochs=12,
        batch_size=64,
        optimizer="adam",
        learning_rate=0.005,
        weight_decay=0.0,
        warmup_epochs=1,
        initial_angle=0.4,
        norm_gain=0.1,
        crop_padding=0,
    )
    for family, recipe in RECIPES[PAPER].items()
} | {"digits": _DIGITS}


def get_recipe(name: str, architecture: str) -> TrainingRecipe:
    """Returns a named recipe for a network.

    Args:
        name: One of `RECIPES`.
        architecture: Full name of the network; the recipe follows its family, the first part.

    Raises:
        UserError: There is no such recipe.
    """
    if name not in RECIPES:
        raise UserError(f"no recipe is called {name!r}; choose one of {', '.join(RECIPES)}")
    by_family = RECIPES[name]
    return by_family.get(architecture.partition("/")[0], by_family[""])


def default_recipe(architecture: str) -> TrainingRecipe:
    """Returns the paper's recipe for a network, or for the embedded digits one that takes seconds."""
    return get_recipe(PAPER, architecture)
