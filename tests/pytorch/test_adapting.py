"""Binary layers of a user's own class are exported by a description, without a change to the class."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy import BinaryConvolution
from rbnn_deploy.errors import UserError

X = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
METADATA = rbnn_deploy.ModelMetadata("mine", (4, 8, 8), mean=(0,) * 4, std=(1,) * 4)


class BinConv2d(nn.Conv2d):
    """As XNOR-Net's descendants have it: scaled by the mean of the weights' magnitudes."""

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight.abs().mean((1, 2, 3), keepdim=True)
        y = F.conv2d(x.sign(), self.weight.sign() * scale, None, self.stride, self.padding)
        return y if self.bias is None else y + self.bias[:, None, None]


class FlatBinConv(nn.Module):
    """With weights of a shape of its own, a learned scale, and the mean of each sample for a threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.randn(8 * 8 * 9))
        self.gain = nn.Parameter(torch.rand(1, 8, 1, 1) - 0.5)

    def forward(self, x: Tensor) -> Tensor:
        signs = (x - x.mean((1, 2, 3), keepdim=True)).sign()
        return F.conv2d(signs, self.flat.view(8, 8, 3, 3).sign(), stride=2, padding=1) * self.gain


def describe(layer: BinConv2d) -> BinaryConvolution:
    bias = 0.0 if layer.bias is None else layer.bias
    return BinaryConvolution(weight=layer.weight, scale=layer.weight.abs().mean((1, 2, 3)), bias=bias)


def describe_flat(layer: FlatBinConv) -> BinaryConvolution:
    return BinaryConvolution(
        weight=layer.flat.view(8, 8, 3, 3),
        scale=layer.gain,
        threshold="sample_mean",
        geometry=nn.Conv2d(8, 8, 3, stride=2, padding=1),
    )


DESCRIPTIONS = {BinConv2d: describe, FlatBinConv: describe_flat}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        BinConv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), FlatBinConv(), nn.Flatten(), nn.Linear(128, 3)
    ).eval()


def test_an_adapted_network_computes_the_users_code_and_is_exported_as_bits(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    model = network()
    adapted = rbnn_deploy.adapt(model, DESCRIPTIONS)
    assert type(model[0]) is BinConv2d
    with torch.no_grad():
        assert torch.equal(adapted(X), model(X))
    path = tmp_path / "model.onnx"
    result = rbnn_deploy.export(adapted, path, metadata=METADATA)
    assert result.nodes["BinaryConv2d"] == 2
    assert [layer.name for layer in result.folded.layers] == ["0", "2"]
    report = rbnn_deploy.compare(path, adapted, X.numpy(), layers=True)
    assert sum(pair.unexplained for pair in report.pairs) == 0
    # Float steps in another order: the BatchNorm is folded, and a Linear sums 128 values.
    with torch.no_grad():
        want = model(X).numpy()
    assert abs(rbnn_deploy.load_model(path, "numpy").run(X.numpy()) - want).max() < 1e-4


def test_a_description_that_does_not_hold_is_found_by_export(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    wrong = {**DESCRIPTIONS, BinConv2d: lambda layer: BinaryConvolution(weight=layer.weight)}
    with pytest.raises(UserError, match="computes something else than Sequential"):
        rbnn_deploy.export(rbnn_deploy.adapt(network(), wrong), tmp_path / "m.onnx", metadata=METADATA)
    assert list(tmp_path.iterdir()) == []


def hooked() -> nn.Module:
    model = network()
    model[0].register_forward_hook(lambda *_: None)
    return model


def padded() -> nn.Module:
    return nn.Sequential(BinConv2d(4, 8, 3, padding=1, padding_mode="reflect"))


@pytest.mark.parametrize(
    ("model", "descriptions", "said"),
    [
        (network, {nn.Conv3d: describe}, "Sequential has no layer of Conv3d"),
        (network, {}, "Sequential has no layer of no class"),
        (hooked, DESCRIPTIONS, "cannot adapt layer 0: it has a forward hook"),
        (padded, DESCRIPTIONS, "layer 0 pads by 'reflect'"),
        (network, {FlatBinConv: lambda m: BinaryConvolution(weight=m.flat.view(8, 8, 3, 3))}, "`geometry`"),
        (network, {BinConv2d: lambda m: m.weight}, "description of layer 0 is a Parameter; return a Binary"),
        (network, {BinConv2d: lambda m: m.absent}, "describing layer 0 failed with AttributeError"),
        (
            network,
            {BinConv2d: lambda m: BinaryConvolution(weight=m.weight, scale=torch.ones(3))},
            "scale of layer 0 has 3 elements for 8 output channels",
        ),
        (
            network,
            {BinConv2d: lambda m: BinaryConvolution(weight=m.weight[:, :2])},
            r"weights of shape \[8, 2, 3, 3\]",
        ),
    ],
)
def test_what_cannot_be_described_is_refused(model, descriptions: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        rbnn_deploy.fold(rbnn_deploy.adapt(model(), descriptions))


class TwoLevelConv2d(nn.Conv2d):
    """Activations 0 and 1 by a threshold per channel, and weights of two levels around their mean."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.limits = nn.Parameter(torch.randn(1, self.in_channels, 1, 1) / 2)

    def forward(self, x: Tensor) -> Tensor:
        centre = self.weight.mean((1, 2, 3), keepdim=True)
        weight = (self.weight - centre).sign() * 0.25 + centre
        return self._conv_forward((x >= self.limits).float(), weight, self.bias)


def describe_levels(layer: TwoLevelConv2d) -> BinaryConvolution:
    centre = layer.weight.mean((1, 2, 3), keepdim=True)
    return BinaryConvolution(
        weight=layer.weight - centre,
        scale=0.25,
        offset=centre,
        levels=(0.0, 1.0),
        threshold=layer.limits,
        bias=0.0 if layer.bias is None else layer.bias,
    )


def test_levels_and_thresholds_of_a_users_own_are_one_node(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(3)
    model = nn.Sequential(
        TwoLevelConv2d(4, 8, 3, padding=2, stride=2),
        nn.BatchNorm2d(8),
        TwoLevelConv2d(8, 6, (3, 2), padding=1, groups=2, bias=False),
        nn.Flatten(),
        nn.Linear(180, 3),
    ).eval()
    adapted = rbnn_deploy.adapt(model, {TwoLevelConv2d: describe_levels})
    path = tmp_path / "model.onnx"
    result = rbnn_deploy.export(adapted, path, metadata=METADATA)
    assert result.nodes["GeneralBinaryConv2d"] == 2
    assert "Add" not in result.nodes
    report = rbnn_deploy.compare(path, adapted, X.numpy(), layers=True)
    assert report.ok, report.render()
    with torch.no_grad():
        want = model(X).numpy()
    assert abs(rbnn_deploy.load_model(path, "numpy").run(X.numpy()) - want).max() < 1e-4


def test_a_wrong_number_of_thresholds_is_refused() -> None:
    model = nn.Sequential(TwoLevelConv2d(4, 8, 3))
    wrong = rbnn_deploy.adapt(
        model, {TwoLevelConv2d: lambda one: BinaryConvolution(weight=one.weight, threshold=torch.zeros(3))}
    )
    with pytest.raises(UserError, match="the threshold of layer 0 has 3 elements for 4 input channels"):
        rbnn_deploy.export(wrong, "never.onnx", metadata=METADATA)
