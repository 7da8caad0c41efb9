"""What is known of a network: the function that builds it, and the images that it takes."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from rbnn_deploy.input_image import InputImage

Builder = Callable[[int], nn.Module]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Family(InputImage):
    """The images that a group of networks was made for.

    Attributes:
        name: First part of an architecture's name.
        num_classes: How many classes the data set has.
        mean, std: As `InputImage` has them; known for each of these data sets.
    """

    name: str
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Architecture:
    """A network of the table.

    Attributes:
        family: The images that it takes.
        model: Second part of its name, as a reference checkpoint spells it.
        builder: Builds it for a number of classes.
        head: Name of its last layer, whose outputs are the logits.
        unused_keys: Prefixes of keys that its reference checkpoints hold and nothing uses.
        look_alikes: Networks that compute something else and have the same keys and shapes, as a clause;
            empty where there are none.
        caution: What somebody who loads its checkpoint must know, as a clause; empty where there is nothing.
        must_be_named: Whether look-alikes are so common that only a name can tell it.
    """

    family: Family
    model: str
    builder: Builder
    head: str = "linear"
    unused_keys: tuple[str, ...] = ()
    look_alikes: str = ""
    caution: str = ""
    must_be_named: bool = False

    @property
    def name(self) -> str:
        """The full name, `family/model`."""
        return f"{self.family.name}/{self.model}"


# The reference normalises CIFAR-10 with ImageNet's statistics.
CIFAR10 = Family(
    name="cifar10", num_classes=10, input_shape=(3, 32, 32), mean=IMAGENET_MEAN, std=IMAGENET_STD
)
CIFAR100 = Family(
    name="cifar100",
    num_classes=100,
    input_shape=(3, 32, 32),
    mean=(0.507, 0.487, 0.441),
    std=(0.267, 0.256, 0.276),
)
IMAGENET = Family(
    name="imagenet",
    num_classes=1000,
    input_shape=(3, 224, 224),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    resize=256,
)
DIGITS = Family(name="digits", num_classes=10, input_shape=(1, 8, 8), mean=(0.305,), std=(0.376,))
