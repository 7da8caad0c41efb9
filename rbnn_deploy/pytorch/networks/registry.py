"""The one table of networks that we train: the name of each, the function that builds it, and its images."""

from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import PAPER_ANGLE, set_rotation_angle
from rbnn_deploy.pytorch.networks import cifar, digits, imagenet
from rbnn_deploy.pytorch.networks.architecture import (
    CIFAR10,
    CIFAR100,
    DIGITS,
    IMAGENET,
    Architecture,
    Family,
)
from rbnn_deploy.pytorch.networks.initial import initialise_as_published
from rbnn_deploy.pytorch.networks.other_methods import OTHER_METHODS


def _cifar_architectures(family: Family) -> tuple[Architecture, ...]:
    return (
        Architecture(family, "resnet18_1w1a", cifar.ResNet18),
        Architecture(family, "resnet20_1w1a", cifar.resnet20_1w1a),
        Architecture(family, "resnet20_bireal_1w1a", cifar.resnet20_bireal_1w1a),
        Architecture(family, "vgg_small_1w1a", cifar.VggSmall, "fc"),
        # The same topologies with other methods' thresholds and activations, for the same trainer.
        Architecture(family, "resnet20_sign_1w1a", cifar.resnet20_sign_1w1a),
        Architecture(family, "resnet20_react_1w1a", cifar.resnet20_react_1w1a),
        Architecture(family, "vgg_small_sign_1w1a", cifar.vgg_small_sign_1w1a, "fc"),
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
    if name in OTHER_METHODS:
        raise UserError(
            f"{name} is exported from a checkpoint of its own code, and not trained here; "
            f"choose one of {', '.join(ARCHITECTURES)}"
        )
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
