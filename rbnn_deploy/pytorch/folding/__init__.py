"""Folding: a trained network becomes one whose binary layers hold bits, and is still a torch module."""

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.pytorch.folding.batch_norm import BatchNormFold, fold_batch_norms
from rbnn_deploy.pytorch.folding.binary_conv2d import BinaryConv2d
from rbnn_deploy.pytorch.folding.binary_weights import FoldedWeights, fold_binary_layers
from rbnn_deploy.pytorch.folding.fold import FoldedNetwork, fold
from rbnn_deploy.pytorch.folding.general_binary_conv2d import GeneralBinaryConv2d

__all__ = [
    "BatchNormFold",
    "BinaryConv2d",
    "ChannelAffine",
    "FoldedNetwork",
    "FoldedWeights",
    "GeneralBinaryConv2d",
    "fold",
    "fold_batch_norms",
    "fold_binary_layers",
]
