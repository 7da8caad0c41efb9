"""A second kind of binary layer goes the whole way by saying what it is, and nothing else knows its name."""

import ast
import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.paths import ROOT
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.bits import unpack_signs
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork
from rbnn_deploy.pytorch.folding import fold
from rbnn_deploy.pytorch.inspecting import inspect_network
from rbnn_deploy.pytorch.layers import (
    BinaryLayer,
    SignGradient,
    binary_layers,
    conv2d_attributes,
    set_training_progress,
)
from rbnn_deploy.pytorch.layers.signs import binary_sign, trainable_sign
from rbnn_deploy.pytorch.module_inputs import images
from rbnn_deploy.pytorch.training import TrainingRecipe
from rbnn_deploy.pytorch.training.step.optimizer import group_parameters


class FlatSignConv2d(BinaryLayer):
    """As Bi-Real Net has it: flat weights, plain signs of both, the mean absolute weight as the scale."""

    parameter_groups: ClassVar[Mapping[str, str]] = {"weights": "binary"}

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.shape, self.stride, self.padding = (outputs, inputs, kernel, kernel), stride, kernel // 2
        self.weights = nn.Parameter(torch.randn(math.prod(self.shape), 1))
        self.gradient = SignGradient.at_epoch(0, 1)
        self.register_buffer("epochs_begun", torch.zeros((), dtype=torch.int64))

    @property
    def attributes(self) -> BinaryConv2dAttributes:
        return BinaryConv2dAttributes(
            channels=self.shape[1],
            strides=(self.stride,) * 2,
            pads=(self.padding,) * 4,
            threshold="zero",
        )

    @property
    def affine(self) -> ChannelAffine:
        scale = self.effective_weight().abs().mean((1, 2, 3), dtype=torch.float64)
        return ChannelAffine(scale.detach().numpy(), np.zeros(self.shape[0]))

    def effective_weight(self) -> Tensor:
        return self.weights.view(self.shape)

    def set_sign_gradient(self, gradient: SignGradient) -> None:
        self.gradient = gradient

    def begin_epoch(self) -> None:
        self.epochs_begun += 1

    def forward(self, x: Tensor) -> Tensor:
        w = self.effective_weight()
        sign = trainable_sign if self.training else lambda v, _: binary_sign(v)
        y = F.conv2d(sign(x, self.gradient), sign(w, self.gradient), None, self.stride, self.padding)
        return y * w.abs().mean((1, 2, 3)).view(-1, 1, 1)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.first, self.first_norm = FlatSignConv2d(12, 20, 3, stride=2), nn.BatchNorm2d(20)
        self.second, self.second_norm = FlatSignConv2d(20, 20, 3), nn.BatchNorm2d(20)
        self.head = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.first_norm(self.first(self.stem(x))))
        x = F.hardtanh(self.second_norm(self.second(x)) + x)
        return self.head(x.mean((2, 3)))


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    made = Network()
    for norm in (made.first_norm, made.second_norm):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.3, 2)
    return made.eval()


def test_it_folds_to_its_signs_and_its_scale(network: Network) -> None:
    folded = fold(network)
    assert [(layer.name, layer.weights) for layer in folded.layers] == [
        ("first", 20 * 12 * 9),
        ("second", 20 * 20 * 9),
    ]
    assert [entry.into for entry in folded.batch_norms] == ["first", "second"]
    bits = unpack_signs(folded.module.second.weight.numpy(), 20).transpose(0, 3, 1, 2)
    weights = network.second.weights.detach().numpy().reshape(20, 20, 3, 3)
    np.testing.assert_array_equal(bits, np.where(weights >= 0, 1, -1))
    x = torch.randn(4, 3, 8, 8)
    with torch.no_grad():  # float32: the BatchNorm is folded into one multiplication and one addition
        torch.testing.assert_close(folded.module(x), network(x), atol=1e-5, rtol=1e-5)


def test_it_is_exported_and_compared(network: Network, tmp_path) -> None:
    result = rbnn_deploy.export(network, tmp_path / "m.onnx", input_shape=(3, 8, 8))
    assert result.nodes["BinaryConv2d"] == 2
    samples = np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32)
    report = rbnn_deploy.compare(tmp_path / "m.onnx", network, samples, layers=True)
    assert report.ok
    assert [pair.left for pair in report.pairs].count("torch") == 3
    assert report.layers is not None
    assert [(layer.name, layer.bits, layer.identical) for layer in report.layers] == [
        ("first", 16 * 8 * 8 * 12, True),
        ("second", 16 * 4 * 4 * 20, True),
    ]
    assert not report.notes  # torch has layers of these names too


def test_it_is_inspected(network: Network, tmp_path) -> None:
    file = tmp_path / "checkpoint"
    file.write_bytes(b"")
    loaded = LoadedNetwork(
        inputs=images((3, 8, 8)),
        module=network,
        architecture="own",
        num_classes=5,
        class_names=None,
        sha256="",
        epoch=None,
        unused_keys=(),
    )
    layers = {layer.name: layer for layer in inspect_network(loaded, file).layers}
    assert [layer.kind for layer in layers.values()] == ["float", "binary", "binary", "float"]
    second = layers["second"]
    assert second.operator == "FlatSignConv2d 3x3"
    assert (second.weights, second.macs, second.output) == (3600, 3600 * 16, (20, 4, 4))
    assert second.size == 20 * 9 * 3 + 2 * 4 * 20  # three bytes hold the bits of 20 channels


def test_its_parameters_are_grouped(network: Network) -> None:
    groups = group_parameters(network)
    assert groups["binary"] == [network.first.weights, network.second.weights]
    assert groups["angle"] == groups["scale"] == []


def test_training_tells_it_of_every_epoch(network: Network) -> None:
    assert [name for name, _ in binary_layers(network)] == ["first", "second"]
    gradient = set_training_progress(network, 2, 4)
    assert network.first.gradient is network.second.gradient is gradient
    images = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    batches = [(images, (images.mean((1, 2, 3)) > 0).long())] * 2
    before = network.first.weights.detach().clone()
    history = rbnn_deploy.train(
        network, (batches, batches), TrainingRecipe(epochs=3, warmup_epochs=0, learning_rate=0.05)
    )
    assert network.first.epochs_begun == 3
    assert network.first.gradient.t == history[-1].t
    assert history[-1].loss < history[0].loss
    assert history[-1].flipped is None  # there is no rotation to measure
    assert (network.first.weights != before).any()


class WrongScale(FlatSignConv2d):
    @property
    def affine(self) -> ChannelAffine:
        return ChannelAffine(np.ones(1), np.zeros(1))


def test_a_layer_whose_parts_do_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"layer 0: WrongScale describes weights of shape \[4, 3, 1, 1\]"):
        fold(nn.Sequential(WrongScale(3, 4, 1)))


def test_a_module_that_does_not_say_what_it_is_cannot_be_made() -> None:
    class Nameless(BinaryLayer):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nameless()


@pytest.mark.parametrize(
    ("padding", "pads"), [("valid", (0, 0, 0, 0)), ("same", (1, 0, 1, 1)), ((2, 1), (2, 1, 2, 1))]
)
def test_geometry_of_a_torch_convolution(padding, pads) -> None:
    layer = nn.Conv2d(8, 4, (3, 2), padding=padding, dilation=1, groups=4)
    assert conv2d_attributes(layer, "zero") == BinaryConv2dAttributes(
        channels=8, pads=pads, groups=4, threshold="zero"
    )


def test_only_rotations_and_networks_import_the_rotated_layer() -> None:
    """Everything else asks for `BinaryLayer`, so that the next kind of layer needs no change there."""
    name = "RotatedBinaryConv2d"
    users = {
        path.relative_to(ROOT).as_posix()
        for folder in ("rbnn_deploy", "exporters", "runtimes")
        for path in (ROOT / folder).rglob("*.py")
        if any(
            getattr(node, "id", None) == name
            or (isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names])
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert users == {
        "rbnn_deploy/__init__.py",
        "rbnn_deploy/pytorch/layers/__init__.py",
        "rbnn_deploy/pytorch/layers/binary_linear.py",
        "rbnn_deploy/pytorch/layers/rotated_conv.py",
        "rbnn_deploy/pytorch/networks/blocks.py",
    }
