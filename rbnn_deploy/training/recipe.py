"""The numbers of a training: the paper's by default, and what each data set needs in their place."""

import math
from dataclasses import dataclass

from rbnn_deploy.errors import UserError


@dataclass(frozen=True)
class TrainingRecipe:
    """How a network is trained; the defaults gave the paper's CIFAR results.

    Attributes:
        epochs: Length of the training.
        batch_size: Images a step; the last partial batch of an epoch is left out.
        learning_rate: Highest learning rate, of SGD.
        momentum: Of SGD.
        weight_decay: Of SGD, on every parameter.
        warmup_epochs: The learning rate rises linearly over these, then falls to 0 as a cosine.
        t_min: Sharpness t of the sign's gradient at the start, see `SignGradient`.
        t_max: And at the end.
        initial_angle: Where every theta starts. None keeps the module's, pi / 2 for a new one: there no
            gradient reaches the weights and only weight decay moves theta, which takes hundreds of epochs. A
            short training starts at an angle like 0.4.
        crop_padding: Images are padded by so many black pixels and cut back at a random place.
        flip: Whether half of the images are mirrored.
        seed: Of the order of images and their augmentation.
    """

    epochs: int = 1000
    batch_size: int = 256
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup_epochs: float = 5
    t_min: float = 1e-2
    t_max: float = 1e1
    initial_angle: float | None = None
    crop_padding: int = 4
    flip: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every number.

        Raises:
            UserError: A number is outside its domain.
        """
        if self.epochs < 1:
            raise UserError(f"a training needs at least 1 epoch, not {self.epochs}")
        if self.batch_size < 2:
            raise UserError(f"a batch needs at least 2 images for BatchNorm, not {self.batch_size}")
        for name in ("learning_rate", "t_min", "t_max"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"{name} must be above 0, not {value}")
        for name in ("momentum", "weight_decay", "warmup_epochs", "crop_padding"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name} must not be negative, and is {value}")

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Returns the learning rate of a step.

        The reference changes it once an epoch; a step at a time is the same curve without its stairs.

        Args:
            step: Steps done, over all epochs.
            steps: Steps of one epoch.
        """
        total = self.epochs * steps
        warmup = min(self.warmup_epochs * steps, total)
        if step < warmup:
            return self.learning_rate * min((step + 1) / warmup, 1.0)
        return self.learning_rate / 2 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


_RECIPES = {
    "cifar10": TrainingRecipe(),
    "cifar100": TrainingRecipe(),
    "imagenet": TrainingRecipe(epochs=150, batch_size=512),
    # Made to take seconds. theta = 0.4 lets weights, rotations and theta learn from the first step, to
    # 97 or 98 % of the digits, where twelve epochs from pi / 2 reach 59 %.
    "digits": TrainingRecipe(
        epochs=15, batch_size=64, warmup_epochs=1, initial_angle=0.4, crop_padding=1, flip=False
    ),
}


def default_recipe(architecture: str) -> TrainingRecipe:
    """Returns the recipe for a network, by the family in its name; the paper's where that is unknown."""
    return _RECIPES.get(architecture.partition("/")[0], TrainingRecipe())
