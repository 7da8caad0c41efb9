"""The one table of networks: the name of each, the function that builds it, and the images that it takes."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.input_image import InputImage
from rbnn_deploy.pytorch.layers import PAPER_ANGLE, set_rotation_angle
from rbnn_deploy.pytorch.networks import cifar, digits, imagenet
from rbnn_deploy.pytorch.networks.initial import initialise_as_published

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
    """

    family: Family
    model: str
    builder: Builder
    head: str = "linear"
    unused_keys: tuple[str, ...] = ()

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


def _cifar_architectures(family: Family) -> tuple[Architecture, ...]:
    return (
        Architecture(family, "resnet18_1w1a", cifar.ResNet18),
        Architecture(family, "resnet20_1w1a", cifar.resnet20_1w1a),
        Architecture(family, "resnet20_bireal_1w1a", cifar.resnet20_bireal_1w1a),
        Architecture(family, "vgg_small_1w1a", cifar.VggSmall, "fc"),
    )


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        *_cifar_architectures(CIFAR10),
        *_cifar_architectures(CIFAR100),
        Architecture(IMAGENET, "resnet18_1w1a", imagenet.resnet18_1w1a, "fc", unused_keys=("bn3.",)),
        Architecture(IMAGENET, "resnet34_1w1a", imagenet.resnet34_1w1a, "fc", unused_keys=("bn3.",)),
        Architecture(DIGITS, "resnet8_1w1a", digits.ResNet8),
    )
}


def get_architecture(name: str) -> Architecture:
    """Looks a network up by its full name.

    Raises:
        UserError: There is none of that name.
    """
    if name not in ARCHITECTURES:
        raise UserError(f"no network is called {name!r}; choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def build_network(name: str, num_classes: int | None = None) -> nn.Module:
    """Builds a network with new weights, in training mode; see `initialise_as_published` for their values.

    The angles start at the paper's pi / 2.

    Args:
        name: Full name, such as "cifar10/resnet20_bireal_1w1a".
        num_classes: Number of logits; None for the data set's own.

    Raises:
        UserError: There is no network of that name, or no class.
    """
    architecture = get_architecture(name)
    classes = architecture.family.num_classes if num_classes is None else num_classes
    if classes < 1:
        raise UserError(f"a network needs at least 1 class, not {classes}; give the number of classes")
    network = architecture.builder(classes)
    set_rotation_angle(network, PAPER_ANGLE)
    return network if architecture.family is DIGITS else initialise_as_published(network)
