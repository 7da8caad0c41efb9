"""The one table of other people's networks, whose checkpoints are read and deployed, and not trained, here.

Topologies and parameter names are those of the published code of each method:

- IR-Net: github.com/htqin/IR-Net, whose LogSoftmax at the end is left out: it changes no class.
- ReCU: github.com/z-hXu/ReCU.
- SiMaN: github.com/lmbxmu/SiMaN.
- AdaBin: github.com/huawei-noah/Efficient-Computing, folder BinaryNetworks/AdaBin.
- BinaryNet: github.com/itayhubara/BinaryNet.pytorch, whose LogSoftmax at the end is left out too.
- XNOR-Net: github.com/jiecaoyu/XNOR-Net-PyTorch, folder CIFAR_10.
- Bi-Real Net: github.com/liuzechun/Bi-Real-net. ReActNet: github.com/liuzechun/ReActNet, folder resnet.
"""

from collections.abc import Iterator
from functools import partial

from torch import nn

from rbnn_deploy.pytorch.methods import AdaBinConv2d, IRConv2d, Maxout, ReCUConv2d, SiMaNConv2d
from rbnn_deploy.pytorch.networks.architecture import (
    CIFAR10,
    CIFAR100,
    IMAGENET,
    Architecture,
    Builder,
    Family,
)
from rbnn_deploy.pytorch.networks.binarynet import BinaryNetVgg
from rbnn_deploy.pytorch.networks.bireal import BiRealBlock, BiRealNet, ReActBlock
from rbnn_deploy.pytorch.networks.blocks import BiRealBlock as TwoConvolutions
from rbnn_deploy.pytorch.networks.blocks import pooled_shortcut
from rbnn_deploy.pytorch.networks.cifar import ResNet18, ResNet20, VggSmall
from rbnn_deploy.pytorch.networks.imagenet import ImageNetResNet
from rbnn_deploy.pytorch.networks.xnornet import XnorNin


def _relu(channels: int) -> nn.Module:
    return nn.ReLU()


_IRNET_LOOK_ALIKES = "float networks and those of ReSTE have the same keys"
_REACTNET_LOOK_ALIKES = "those of ReActNet's first training step, with float weights, have the same keys"
_XNOR_IMAGES = (
    "its code read images that another program had normalised, which rbnn-deploy cannot repeat: feed the "
    "deployed model with arrays that were normalised like that"
)
# Model -> how it is built, and its last layer.
_CIFAR: dict[str, tuple[Builder, str]] = {
    "irnet_resnet20": (partial(ResNet20, partial(TwoConvolutions, conv=IRConv2d)), "linear"),
    "irnet_resnet18": (partial(ResNet18, conv=IRConv2d, shortcut_conv=nn.Conv2d), "linear"),
    "irnet_vgg_small": (partial(VggSmall, conv=IRConv2d), "fc"),
    "recu_resnet20": (
        partial(ResNet20, partial(TwoConvolutions, conv=ReCUConv2d), shortcut=pooled_shortcut),
        "linear",
    ),
    "recu_resnet18": (partial(ResNet18, conv=ReCUConv2d), "linear"),
    "recu_vgg_small": (partial(VggSmall, conv=ReCUConv2d), "fc"),
    "siman_resnet20": (
        partial(
            ResNet20,
            partial(TwoConvolutions, conv=SiMaNConv2d, activation=nn.PReLU),
            stem_activation=_relu,
        ),
        "linear",
    ),
    "siman_resnet18": (partial(ResNet18, conv=SiMaNConv2d), "linear"),
    "adabin_resnet20": (
        partial(
            ResNet20,
            partial(TwoConvolutions, conv=AdaBinConv2d, activation=Maxout),
            stem_activation=Maxout,
        ),
        "linear",
    ),
    "adabin_resnet18": (
        partial(
            ResNet18,
            conv=AdaBinConv2d,
            shortcut_conv=nn.Conv2d,
            block=TwoConvolutions,
            activation=Maxout,
            stem_activation=Maxout,
        ),
        "linear",
    ),
    "binarynet_vgg": (BinaryNetVgg, "classifier.6"),
    "siman_vgg_small": (partial(VggSmall, conv=SiMaNConv2d, activation=nn.PReLU), "fc"),
}


def _cifar(family: Family) -> Iterator[Architecture]:
    for model, (builder, head) in _CIFAR.items():
        irnet = model.startswith("irnet_")
        yield Architecture(
            family, model, builder, head, look_alikes=_IRNET_LOOK_ALIKES if irnet else "", must_be_named=irnet
        )
    yield Architecture(family, "xnor_nin", XnorNin, "xnor.13", caution=_XNOR_IMAGES)


def _imagenet() -> Iterator[Architecture]:
    for depth, blocks in ((18, (2, 2, 2, 2)), (34, (3, 4, 6, 3))):
        build = partial(ImageNetResNet, blocks)
        yield Architecture(
            IMAGENET,
            f"irnet_resnet{depth}",
            partial(build, conv=IRConv2d),
            "fc",
            unused_keys=("bn3.",),
            look_alikes=_IRNET_LOOK_ALIKES,
            must_be_named=True,
        )
        yield Architecture(IMAGENET, f"recu_resnet{depth}", partial(build, conv=ReCUConv2d), "fc")
        siman = partial(build, conv=SiMaNConv2d, activation=nn.PReLU, stem_activation=_relu)
        yield Architecture(IMAGENET, f"siman_resnet{depth}", siman, "fc")
        adabin = partial(build, conv=AdaBinConv2d, activation=Maxout, stem_activation=Maxout)
        yield Architecture(
            IMAGENET,
            f"adabin_resnet{depth}",
            partial(adabin, pooled_shortcuts=True),
            "fc",
            unused_keys=("bn3.", "nonlinear2."),
        )
    for depth, blocks in ((18, (4, 4, 4, 4)), (34, (6, 8, 12, 6))):
        yield Architecture(IMAGENET, f"birealnet{depth}", partial(BiRealNet, BiRealBlock, blocks), "fc")
        yield Architecture(
            IMAGENET,
            f"reactnet_resnet{depth}",
            partial(BiRealNet, ReActBlock, blocks),
            "fc",
            look_alikes=_REACTNET_LOOK_ALIKES,
        )


OTHER_METHODS: dict[str, Architecture] = {
    architecture.name: architecture for architecture in (*_cifar(CIFAR10), *_cifar(CIFAR100), *_imagenet())
}
