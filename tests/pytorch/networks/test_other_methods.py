"""Networks of other methods compute their published formulas, load from their checkpoints, and deploy."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from support import other_methods as published
from support.networks import randomise
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.comparing import compare
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import OPERATORS
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint
from rbnn_deploy.pytorch.inspecting import inspect_network
from rbnn_deploy.pytorch.layers import BinaryLayer
from rbnn_deploy.pytorch.methods import XnorConv2d
from rbnn_deploy.pytorch.networks import OTHER_METHODS, build_network

FORMULAS: dict[str, Callable[[published.State, Tensor], Tensor]] = {
    "cifar10/irnet_resnet20": partial(published.resnet20, conv=published.irnet),
    "cifar10/irnet_resnet18": partial(published.resnet18, conv=published.irnet, shortcut=published.real),
    "cifar10/irnet_vgg_small": partial(published.vgg_small, conv=published.irnet),
    "cifar10/recu_resnet20": partial(published.resnet20, conv=published.recu, reduced=published.pooled),
    "cifar10/recu_resnet18": partial(published.resnet18, conv=published.recu, shortcut=published.recu),
    "cifar10/recu_vgg_small": partial(published.vgg_small, conv=published.recu),
    "cifar10/siman_resnet20": partial(
        published.resnet20, conv=published.siman, activation=published.prelu, stem=published.relu
    ),
    "cifar10/adabin_resnet20": partial(
        published.resnet20, conv=published.adabin, activation=published.maxout, stem=published.maxout
    ),
    "cifar10/siman_resnet18": partial(published.resnet18, conv=published.siman, shortcut=published.siman),
    "cifar10/siman_vgg_small": partial(published.vgg_small, conv=published.siman, activation=published.prelu),
    "imagenet/irnet_resnet18": partial(published.imagenet_resnet18, conv=published.irnet),
    "imagenet/recu_resnet18": partial(published.imagenet_resnet18, conv=published.recu),
    "imagenet/siman_resnet18": partial(
        published.imagenet_resnet18, conv=published.siman, activation=published.prelu, stem=published.relu
    ),
    "cifar10/adabin_resnet18": published.adabin_resnet18,
    "imagenet/adabin_resnet18": partial(
        published.imagenet_resnet18, conv=published.adabin, activation=published.maxout, stem=published.maxout
    ),
    "cifar10/binarynet_vgg": published.binarynet_vgg,
    "cifar10/xnor_nin": published.xnor_nin,
    "imagenet/birealnet18": published.birealnet18,
    "imagenet/reactnet_resnet18": published.birealnet18,
}
# The layer of each method in the smallest network that has one, for what takes longer.
SMALL = {
    "irnet": "cifar10/irnet_resnet20",
    "recu": "cifar10/recu_resnet20",
    "siman": "cifar10/siman_resnet20",
    "adabin": "cifar10/adabin_resnet20",
    "binarynet": "cifar10/binarynet_vgg",
    "xnornet": "cifar10/xnor_nin",
    "bireal": "imagenet/birealnet18",
    "reactnet": "imagenet/reactnet_resnet18",
}
# Transposes of ONNX Runtime's pools, which are faster channels-first.
POOLS = {
    SMALL["irnet"]: 0,
    SMALL["recu"]: 4,
    SMALL["siman"]: 0,
    SMALL["adabin"]: 0,
    SMALL["binarynet"]: 0,
    SMALL["xnornet"]: 4,
    SMALL["bireal"]: 8,
    SMALL["reactnet"]: 8,
}


def network(name: str, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    architecture = OTHER_METHODS[name]
    return randomise(architecture.builder(architecture.family.num_classes), seed)


def save(path: Path, module: nn.Module) -> None:
    """Writes what the published training programs write, as DataParallel names it."""
    state = {f"module.{key}": value for key, value in module.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "best_prec1": 61.0}, path)


def images(name: str, count: int) -> Tensor:
    return torch.randn(
        count, *OTHER_METHODS[name].family.input_shape, generator=torch.Generator().manual_seed(7)
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_it_computes_the_published_formula(name: str) -> None:
    module = network(name).double()
    size = {"imagenet": 64, "cifar10": 32}[name.partition("/")[0]]
    x = images(name, 2)[:, :, :size, :size].double()
    with torch.no_grad():
        logits, expected = module(x), FORMULAS[name](module.state_dict(), x)
    # Both round in float64, in another order; no activation lies that near to its threshold.
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 1e-3


@pytest.mark.parametrize("name", [name for name in FORMULAS if "irnet" not in name])
def test_its_keys_tell_the_network(name: str, tmp_path: Path) -> None:
    save(tmp_path / "model.th", network(name))
    loaded = load_checkpoint(tmp_path / "model.th")
    assert loaded.architecture == name
    assert any("ReActNet's first training step" in note for note in loaded.notes) == ("reactnet" in name)


def test_a_normalisation_that_is_not_known_is_told(tmp_path: Path) -> None:
    save(tmp_path / "model.th", network(SMALL["xnornet"]))
    notes = load_checkpoint(tmp_path / "model.th").notes
    assert any("another program had normalised" in note for note in notes)


def test_inspect_counts_thresholds_and_terms(tmp_path: Path) -> None:
    save(tmp_path / "model.th", network(SMALL["adabin"]))
    loaded = load_checkpoint(tmp_path / "model.th")
    layers = {layer.name: layer for layer in inspect_network(loaded, tmp_path / "model.th").layers}
    bits, floats = 16 * 9 * 2, 16 + 16 + 1 + 16 + 9 * 16  # scale, bias, threshold, window_sum, border
    assert layers["layer1.0.conv1"].size == bits + 4 * floats


def test_gains_below_the_least_count_as_that() -> None:
    """XNOR-Net's code raises them to 0.01, so a negative one turns no bit round."""
    layer = XnorConv2d(8, 4, 3, padding=1).eval()
    layer.bn.weight.data[:] = torch.tensor([-3.0, -0.5, 0, 0.005, 0.01, 0.02, 1, 2])
    layer.bn.bias.data.fill_(0.5)
    gains = torch.tensor([0.01, 0.01, 0.01, 0.01, 0.01, 0.02, 1, 2])
    torch.testing.assert_close(layer.thresholds, -0.5 / gains, rtol=1e-3, atol=0)


def test_an_irnet_must_be_named(tmp_path: Path) -> None:
    save(tmp_path / "model.th", network(SMALL["irnet"]))
    with pytest.raises(UserError, match=r"float networks and those of ReSTE .* say --arch irnet_resnet20"):
        load_checkpoint(tmp_path / "model.th")
    assert load_checkpoint(tmp_path / "model.th", "irnet_resnet20").architecture == SMALL["irnet"]


def test_axes_of_one_may_be_missing(tmp_path: Path) -> None:
    """Another version of SiMaN's code stores its bits as [O, K]."""
    module = network(SMALL["siman"])
    state = {key: value[:, 0] if key.endswith(".B") else value for key, value in module.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "model.th")
    loaded = load_checkpoint(tmp_path / "model.th")
    x = images(SMALL["siman"], 2)
    assert torch.equal(loaded.module(x), module(x))


@pytest.mark.parametrize("name", SMALL.values(), ids=SMALL)
def test_it_deploys_and_every_difference_is_explained(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    save(tmp_path / "model.th", network(name))
    checkpoint = load_checkpoint(tmp_path / "model.th", name)
    result = rbnn_deploy.export(checkpoint, tmp_path / "model.onnx")
    layers = [layer for layer in checkpoint.module.modules() if isinstance(layer, BinaryLayer)]
    assert sum(result.nodes.get(operator, 0) for operator in OPERATORS) == len(layers)
    assert "PRelu" not in result.nodes  # slopes are parts of a layer
    assert result.nodes["Transpose"] <= 1 + POOLS[name]
    report = compare(tmp_path / "model.onnx", checkpoint.module, images(name, 2).numpy(), layers=True)
    assert report.ok, report.render()
    assert {layer.name for layer in report.layers or ()} != set()


def test_other_methods_are_not_trained() -> None:
    with pytest.raises(
        UserError, match="is exported from a checkpoint of its own code, and not trained here"
    ):
        build_network("cifar10/recu_resnet20")
