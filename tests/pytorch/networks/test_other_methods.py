"""Networks of other methods compute their published formulas, load from their checkpoints, and deploy."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from support import other_methods as published
from support.networks import calibrate, randomise
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.comparing import compare
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import OPERATORS
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint
from rbnn_deploy.pytorch.inspecting import inspect_network
from rbnn_deploy.pytorch.layers import BinaryLayer
from rbnn_deploy.pytorch.methods import XnorConv2d, XnorLinear
from rbnn_deploy.pytorch.module_inputs import images as image_inputs
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
    "imagenet/reactnet_a": published.reactnet_a,
    "imagenet/rbonn_resnet18": published.birealnet18,
    "imagenet/xnor_alexnet": published.xnor_alexnet,
    "cifar10/reste_resnet20": partial(published.reste_resnet20, shortcuts=1),
    "cifar10/reste_resnet20_bireal": partial(published.reste_resnet20, shortcuts=2),
    "cifar10/reste_resnet18": published.reste_resnet18,
    "cifar10/reste_vgg_small": published.reste_vgg_small,
    "imagenet/reste_resnet18": published.reste_resnet18,
    "cifar10/bnext_tiny": published.bnext,
    "imagenet/bnext_tiny": published.bnext,
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
    "mobile": "imagenet/reactnet_a",
    "rbonn": "imagenet/rbonn_resnet18",
    "alexnet": "imagenet/xnor_alexnet",
    "reste": "cifar10/reste_resnet20",
    "bnext": "cifar10/bnext_tiny",
}
# Whose test takes smaller images, because they are large networks.
SMALLER = {SMALL["mobile"], SMALL["rbonn"]}
# Whose layers have shifts on either side, and whose only sums are those and residuals.
SHIFTED = {SMALL["reactnet"], SMALL["mobile"], SMALL["rbonn"]}
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
    SMALL["mobile"]: 8,
    SMALL["rbonn"]: 8,
    SMALL["alexnet"]: 4,
    SMALL["reste"]: 0,
    SMALL["bnext"]: 12,
}


def network(name: str, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    architecture = OTHER_METHODS[name]
    module = randomise(architecture.builder(architecture.family.num_classes), seed)
    return calibrate(module, images(name, 2)[:, :, :64, :64]) if "bnext" in name else module


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
    size = 227 if "alexnet" in name else 64
    x = images(name, 2)[:, :, :size, :size].double()
    with torch.no_grad():
        logits, expected = module(x), FORMULAS[name](module.state_dict(), x)
    # Both round in float64, in another order; no activation lies that near to its threshold.
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 1e-3


@pytest.mark.parametrize("name", [name for name in FORMULAS if not OTHER_METHODS[name].must_be_named])
def test_its_keys_tell_the_network(name: str, tmp_path: Path) -> None:
    save(tmp_path / "model.th", network(name))
    loaded = load_checkpoint(tmp_path / "model.th")
    assert loaded.architecture == name
    assert any("ReActNet's first training step" in note for note in loaded.notes) == (
        "reactnet_resnet" in name
    )


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


def test_methods_with_the_same_keys_must_be_named(tmp_path: Path) -> None:
    save(tmp_path / "model.th", network(SMALL["reste"]))
    with pytest.raises(UserError, match=r"fit cifar10/irnet_resnet20, .* or reste_resnet20 or"):
        load_checkpoint(tmp_path / "model.th")
    for name in ("reste_resnet20", "reste_resnet20_bireal", "irnet_resnet20"):
        assert load_checkpoint(tmp_path / "model.th", name).architecture == f"cifar10/{name}"


def test_an_unfinished_temperature_is_refused(tmp_path: Path) -> None:
    """Above 1e-7 BNext's weights are a clamp's, and not signs."""
    module = network(SMALL["bnext"])
    module.get_submodule("feature.3.FFN.binary_conv").temperature.fill_(0.01)
    save(tmp_path / "model.th", module)
    with pytest.raises(
        UserError,
        match=r"cannot fold layer feature\.3\.FFN\.binary_conv: its temperature is 0\.01, .*train on",
    ):
        rbnn_deploy.export(tmp_path / "model.th", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_parts_inside_data_parallel_are_found(tmp_path: Path) -> None:
    """AlexNet's training program wraps its convolutions alone."""
    module = network(SMALL["alexnet"])
    state = {key.replace("features.", "features.module."): v for key, v in module.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "model.th")
    assert load_checkpoint(tmp_path / "model.th").architecture == SMALL["alexnet"]


@pytest.mark.parametrize("gain", [-0.5, 0.0, 0.5])
@pytest.mark.parametrize("shift", [-0.25, 0.0, 0.25])
def test_every_gain_of_a_norm_in_front_of_a_sign(gain: float, shift: float) -> None:
    """Binary fractions: the BatchNorm is exact, and x lies on both sides of its zero and on it."""
    layer = XnorLinear(2, 1).eval()
    layer.bn.eps = 0.0
    layer.bn.weight.data[:] = torch.tensor([gain, 0.0])
    layer.bn.bias.data[:] = torch.tensor([shift, 1.0])  # the second channel's sign is always +1
    layer.linear.weight.data[:] = torch.tensor([0.5, -0.5])
    layer.linear.bias.data.fill_(0.5)
    x = torch.tensor([-1.0, -0.5, -0.0, 0.0, 0.5, 1.0])
    y = layer(torch.stack([x, x], 1)[:, :, None, None]).flatten()
    assert torch.equal(y, published.sign(x * gain + shift) / 2)


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
    if name in SMALLER:
        checkpoint = replace(checkpoint, inputs=image_inputs((3, 64, 64)))
    result = rbnn_deploy.export(checkpoint, tmp_path / "model.onnx")
    layers = [layer for layer in checkpoint.module.modules() if isinstance(layer, BinaryLayer)]
    assert sum(result.nodes.get(operator, 0) for operator in OPERATORS) == len(layers)
    assert "PRelu" not in result.nodes  # slopes are parts of a layer
    if name in SHIFTED:
        assert "Add" not in result.nodes  # and so are shifts
    assert result.nodes["Transpose"] <= 1 + POOLS[name]
    x = images(name, 2)[:, :, :64, :64] if name in SMALLER else images(name, 2)
    report = compare(tmp_path / "model.onnx", checkpoint.module, x.numpy(), layers=True)
    assert report.ok, report.to_text()
    assert {layer.name for layer in report.layers or ()} != set()


def test_other_methods_are_not_trained() -> None:
    with pytest.raises(
        UserError, match="is exported from a checkpoint of its own code, and not trained here"
    ):
        build_network("cifar10/recu_resnet20")
