"""The binary layers of other people's methods, as their published code computes them: one file per method.

Each class has the parameter names of that code, so that its checkpoints load. Where that code takes the sign
of an exact zero as 0, ours takes it as +1 (rbnn_deploy.bits): one bit has no third value.
"""

from rbnn_deploy.pytorch.methods.adabin import AdaBinConv2d, Maxout
from rbnn_deploy.pytorch.methods.binarynet import BinarizeConv2d, BinarizeLinear, SignWeightConv2d
from rbnn_deploy.pytorch.methods.bireal import BiRealConv2d
from rbnn_deploy.pytorch.methods.bnext import BNextConv2d
from rbnn_deploy.pytorch.methods.irnet import IRConv2d
from rbnn_deploy.pytorch.methods.rbonn import RBONNConv2d
from rbnn_deploy.pytorch.methods.recu import ReCUConv2d
from rbnn_deploy.pytorch.methods.reste import ReSTEConv2d
from rbnn_deploy.pytorch.methods.siman import SiMaNConv2d
from rbnn_deploy.pytorch.methods.xnornet import XnorConv2d, XnorLinear

__all__ = [
    "AdaBinConv2d",
    "BNextConv2d",
    "BiRealConv2d",
    "BinarizeConv2d",
    "BinarizeLinear",
    "IRConv2d",
    "Maxout",
    "RBONNConv2d",
    "ReCUConv2d",
    "ReSTEConv2d",
    "SiMaNConv2d",
    "SignWeightConv2d",
    "XnorConv2d",
    "XnorLinear",
]
