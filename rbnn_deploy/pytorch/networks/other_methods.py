"""The one table of other people's networks, whose checkpoints are read and deployed, and not trained, here.

Topologies and parameter names are those of the published code of each method:

- IR-Net: github.com/htqin/IR-Net, whose LogSoftmax at the end is left out: it changes no class.
- ReCU: github.com/z-hXu/ReCU.
- SiMaN: github.com/lmbxmu/SiMaN.
- AdaBin: github.com/huawei-noah/Efficient-Computing, folder BinaryNetworks/AdaBin.
- BinaryNet: github.com/itayhubara/BinaryNet.pytorch, whose LogSoftmax at the end is left out too.
- XNOR-Net: github.com/jiecaoyu/XNOR-Net-PyTorch, folders CIFAR_10 and ImageNet.
- Bi-Real Net: github.com/liuzechun/Bi-Real-net.
- ReActNet: github.com/liuzechun/ReActNet, folders resnet and mobilenet.
- RBONN: github.com/SteveTsui/RBONN. ReSTE: github.com/DravenALG/ReSTE. BNext: github.com/hpi-xnor/BNext.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from torch import nn

from rbnn_deploy.pytorch.methods import (
    AdaBinConv2d,
    IRConv2d,
    Maxout,
    RBONNConv2d,
    ReCUConv2d,
    ReSTEConv2d,
    SiMaNConv2d,
)
from rbnn_deploy.pytorch.networks.architecture import (
    CIFAR10,
    CIFAR100,
    IMAGENET,
    Architecture,
    Builder,
    Family,
)
from rbnn_deploy.pytorch.networks.binarynet import BinaryNetVgg
from rbnn_deploy.pytorch.networks.bireal import BiRealBlock, BiRealNet
from rbnn_deploy.pytorch.networks.blocks import BiRealBlock as TwoConvolutions
from rbnn_deploy.pytorch.networks.blocks import ReActBlock, pooled_shortcut
from rbnn_deploy.pytorch.networks.bnext import SIZES, BNext
from rbnn_deploy.pytorch.networks.cifar import ResNet18, ResNet20, VggSmall
from rbnn_deploy.pytorch.networks.imagenet import ImageNetResNet
from rbnn_deploy.pytorch.networks.reactnet import ReActNetA
from rbnn_deploy.pytorch.networks.reste import (
    ReSTEBiRealBlock,
    ReSTEBlock,
    ReSTEImageNetBlock,
    ReSTEImageNetResNet,
    ReSTEResNet18,
    ReSTEResNet20,
    ReSTEVggSmall,
)
from rbnn_deploy.pytorch.networks.xnornet import XnorAlexNet, XnorNin


def _relu(channels: int) -> nn.Module:
    return nn.ReLU()


# Methods whose checkpoints have the keys of float networks.
_FLOAT_LOOK_ALIKES = {
    "irnet": "float networks and those of ReSTE have the same keys",
    "reste": "float networks and those of IR-Net have the same keys",
}
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
    "reste_resnet20": (partial(ReSTEResNet20, partial(ReSTEBlock, conv=ReSTEConv2d)), "linear"),
    "reste_resnet20_bireal": (partial(ReSTEResNet20, partial(ReSTEBiRealBlock, conv=ReSTEConv2d)), "linear"),
    "reste_resnet18": (
        partial(ReSTEResNet18, conv=ReSTEConv2d, shortcut_conv=nn.Conv2d, block=ReSTEBlock),
        "linear",
    ),
    "reste_vgg_small": (partial(ReSTEVggSmall, conv=ReSTEConv2d), "fc"),
    "binarynet_vgg": (BinaryNetVgg, "classifier.6"),
    **{f"bnext_{size}": (partial(BNext, size), "fc") for size in SIZES},
    "siman_vgg_small": (partial(VggSmall, conv=SiMaNConv2d, activation=nn.PReLU), "fc"),
}


def _cifar(family: Family) -> Iterator[Architecture]:
    for model, (builder, head) in _CIFAR.items():
        look_alikes = _FLOAT_LOOK_ALIKES.get(model.partition("_")[0], "")
        yield Architecture(
            family, model, builder, head, look_alikes=look_alikes, must_be_named=bool(look_alikes)
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
            look_alikes=_FLOAT_LOOK_ALIKES["irnet"],
            must_be_named=True,
        )
        yield Architecture(
            IMAGENET,
            f"reste_resnet{depth}",
            partial(ReSTEImageNetResNet, blocks, conv=ReSTEConv2d, block=ReSTEImageNetBlock),
            "fc",
            look_alikes=_FLOAT_LOOK_ALIKES["reste"],
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
    rbonn = partial(ReActBlock, conv=RBONNConv2d)
    yield Architecture(IMAGENET, "rbonn_resnet18", partial(BiRealNet, rbonn, (4, 4, 4, 4)), "fc")
    yield Architecture(IMAGENET, "reactnet_a", ReActNetA, "fc")
    yield Architecture(
        replace(IMAGENET, input_shape=(3, 227, 227)),
        "xnor_alexnet",
        XnorAlexNet,
        "classifier.4",
        caution=_XNOR_IMAGES,
    )
    for size in SIZES:
        yield Architecture(IMAGENET, f"bnext_{size}", _CIFAR[f"bnext_{size}"][0], "fc")


OTHER_METHODS: dict[str, Architecture] = {
    architecture.name: architecture for architecture in (*_cifar(CIFAR10), *_cifar(CIFAR100), *_imagenet())
}
