"""The networks that we train, those of other methods that we read, and the tables that name them."""

from rbnn_deploy.pytorch.networks.architecture import Architecture, Family
from rbnn_deploy.pytorch.networks.other_methods import OTHER_METHODS
from rbnn_deploy.pytorch.networks.registry import ARCHITECTURES, build_network, get_architecture

__all__ = ["ARCHITECTURES", "OTHER_METHODS", "Architecture", "Family", "build_network", "get_architecture"]
